"""Context for transports that asyncq does not wrap in spans of its own: Kafka's headers, say."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from opentelemetry import context as contexts
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator


def carrier(*, propagator: TextMapPropagator | None = None) -> dict[str, str]:
    """The present context as headers: `traceparent` and the like. Nothing when there is no trace.

    Args:
        propagator: How context is written; the program's, W3C's when not given.
    """
    headers: dict[str, str] = {}
    (propagator or propagate.get_global_textmap()).inject(cast("Any", headers))
    return headers


@contextmanager
def carried(headers: Mapping[str, str], *, propagator: TextMapPropagator | None = None) -> Generator[None]:
    """Go on in the context that headers carry, for the length of a block. No span is made.

    Args:
        headers: As `carrier` wrote them, or another program.
        propagator: How context is read; the program's, W3C's when not given.
    """
    found = (propagator or propagate.get_global_textmap()).extract(dict(headers), Context())
    token = contexts.attach(found)
    try:
        yield
    finally:
        contexts.detach(token)

"""The trace of who pushes, on its way to who handles: in headers, as W3C and go-zero write it.

Without OpenTelemetry there is nothing to carry, and nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec

_Write = Callable[[], dict[str, str]]
_Use = Callable[[Mapping[str, str]], AbstractContextManager[None]]


@cache
def _ways() -> tuple[_Write, _Use] | None:
    if find_spec("opentelemetry") is None:
        return None
    from asyncq.tracing import carried, carrier  # noqa: PLC0415 - needs an extra that this room does without

    return carrier, carried


def trace_headers() -> dict[str, bytes]:
    """The headers that carry the present trace; none when there is no trace."""
    ways = _ways()
    return {name: text.encode() for name, text in ways[0]().items()} if ways else {}


def in_trace(headers: Mapping[str, bytes]) -> AbstractContextManager[None]:
    """A block inside of the trace that headers carry."""
    ways = _ways()
    if ways is None or not headers:
        return nullcontext()
    return ways[1]({name: value.decode(errors="replace") for name, value in headers.items()})

"""What both ends have in common: the tracer, the way into headers and out of them, and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import ProxyTracerProvider, Span, Status, StatusCode, Tracer, TracerProvider

from asyncq.tracing import conventions

SCOPE: Final = "asyncq"


class Means:
    """A tracer and a propagator, or none as long as the program has set up no tracing.

    Args:
        provider: Where spans go; the one of the program when not given.
        propagator: How context is written; the one of the program, W3C's `traceparent`, when not given.
    """

    __slots__ = ("_propagator", "_provider", "_tracer")

    def __init__(self, provider: TracerProvider | None, propagator: TextMapPropagator | None) -> None:
        self._provider: Final = provider
        self._propagator: Final = propagator
        self._tracer: Tracer | None = None

    def tracer(self) -> Tracer | None:
        """What makes spans. `None` when nobody would see them: then nothing of it is to be paid for."""
        if self._tracer is None:
            provider = self._provider or trace.get_tracer_provider()
            if isinstance(provider, ProxyTracerProvider):
                return None  # no SDK yet; there may be one later
            self._tracer = provider.get_tracer(SCOPE)
        return self._tracer

    def written(self, context: Context) -> dict[str, str]:
        """A context as headers."""
        headers: dict[str, str] = {}
        self._text().inject(cast("Any", headers), context)
        return headers

    def read(self, headers: Mapping[str, str]) -> Context:
        """The context that headers carry, beside nothing of what happens to be current here."""
        return self._text().extract(dict(headers), Context())

    def _text(self) -> TextMapPropagator:
        return self._propagator or propagate.get_global_textmap()


def note_error(span: Span, error: BaseException, kind: str = "") -> None:
    """Say in a span that it ended with an error."""
    name = kind or type_of(error)
    span.set_attribute(conventions.ERROR_TYPE, name)
    span.set_status(Status(StatusCode.ERROR, name))
    span.record_exception(error)


def type_of(error: BaseException) -> str:
    """The name of the class of an error; bounded, unlike its text."""
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"

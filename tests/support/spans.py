"""Spans, recorded by OpenTelemetry's own SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from asyncq import Mux, tracing
from tests.support.waiting import wait_until

__all__ = ["Recorder", "attributes", "links", "span_id", "trace_id"]


class Recorder:
    """Records spans of a provider of its own: the program's can be set but once."""

    def __init__(self) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False)
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def tracer(self) -> Tracer:
        """For spans of the test's own."""
        return self.provider.get_tracer("test")

    def spans(self, beginning: str = "") -> list[ReadableSpan]:
        """Those that have ended, in their order."""
        return [span for span in self._exporter.get_finished_spans() if span.name.startswith(beginning)]

    async def until(self, beginning: str, count: int) -> list[ReadableSpan]:
        """Wait for so many spans."""
        await wait_until(lambda: len(self.spans(beginning)) >= count, f"{count} spans {beginning!r}")
        return self.spans(beginning)

    def producer(self) -> Any:
        """The end of who sends."""
        return tracing.producer(tracer_provider=self.provider)

    def mux(self, **options: Any) -> Mux:
        """A mux with the other end."""
        mux = Mux()
        mux.use(tracing.consumer(tracer_provider=self.provider, **options))
        return mux


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """What a span carries."""
    return dict(span.attributes or {})


def links(span: ReadableSpan) -> Sequence[int]:
    """The spans that it is linked to."""
    return [link.context.span_id for link in span.links]


def span_id(span: ReadableSpan) -> int:
    """Its id."""
    assert span.context is not None
    return span.context.span_id


def trace_id(span: ReadableSpan) -> int:
    """The trace that it is in."""
    assert span.context is not None
    return span.context.trace_id

"""A task is part of the trace that sent it, and a retry is linked to it. Needs opentelemetry-sdk.

It prints:

    send default
    process default, attempt 1, a child of what sent it: ConnectionError
    process default, attempt 2, linked to what sent it: fine
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from _example import example_url
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import set_tracer_provider

from asyncq import Client, Context, Mux, Server, Task, tracing


class Printer(SpanExporter):
    """Stands for Jaeger, Tempo and the like."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Say what came to an end."""
        for span in spans:
            print(_described(span))
        return SpanExportResult.SUCCESS


def _described(span: ReadableSpan) -> str:
    said = dict(span.attributes or {})
    if "messaging.asyncq.task.attempt" not in said:
        return span.name
    how = "a child of what sent it" if span.parent is not None else "linked to what sent it"
    attempt, outcome = said["messaging.asyncq.task.attempt"], said.get("error.type", "fine")
    return f"{span.name}, attempt {attempt!r}, {how}: {outcome!s}"


async def main(url: str) -> None:
    """Both ends are middleware."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Printer()))
    set_tracer_provider(provider)
    mux = Mux()
    mux.use(tracing.consumer(child_within=60))

    @mux.handle("fetch")
    async def fetch(_: Task, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise ConnectionError("try again")

    async with Client(url, middleware=[tracing.producer()]) as client:
        await client.enqueue(Task("fetch"), retention=60, task_id="fetch")
        async with Server(url, retry=lambda *_: 0.05).running(mux):
            await client.result("fetch", timeout=30)
    provider.shutdown()


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

"""Spans of those who make one task of a group."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import INVALID_SPAN, Link, Span, TracerProvider

from asyncq._handlers import is_async
from asyncq.config import GroupAggregator
from asyncq.task import Task
from asyncq.tracing import conventions
from asyncq.tracing._means import Means, note_error


def aggregator(
    aggregate: GroupAggregator,
    *,
    tracer_provider: TracerProvider | None = None,
    propagator: TextMapPropagator | None = None,
) -> GroupAggregator:
    """Wrap the aggregator of a server: a span for each group, linked to those that sent its tasks.

        Server(url, group_aggregator=tracing.aggregator(aggregate))

    The task that comes of it carries the context of that span.

    Args:
        aggregate: The aggregator, `async def` or `def`.
        tracer_provider: Where spans go; the program's when not given.
        propagator: How context is read and written; the program's when not given.
    """
    means = Means(tracer_provider, propagator)
    call: Callable[[str, list[Task]], Any] = aggregate

    def in_thread(group: str, tasks: list[Task]) -> Any:
        with _span(means, group, tasks) as span:
            return _marked(call(group, tasks), means, span)

    async def on_loop(group: str, tasks: list[Task]) -> Any:
        with _span(means, group, tasks) as span:
            return _marked(await call(group, tasks), means, span)

    return on_loop if is_async(aggregate) else in_thread


@contextmanager
def _span(means: Means, group: str, tasks: list[Task]) -> Generator[Span]:
    tracer = means.tracer()
    if tracer is None:
        yield INVALID_SPAN
        return
    senders = (trace.get_current_span(means.read(task.headers)).get_span_context() for task in tasks)
    span = tracer.start_span(
        f"aggregate {tasks[0].queue if tasks else ''}".rstrip(),
        context=Context(),
        links=[Link(one, {conventions.LINK_KIND: "gathered"}) for one in senders if one.is_valid],
        attributes={
            conventions.SYSTEM: conventions.SYSTEM_NAME,
            conventions.OPERATION_NAME: "aggregate",
            conventions.BATCH_COUNT: len(tasks),
            conventions.GROUP: group,
        },
    )
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except BaseException as error:
            note_error(span, error)
            raise


def _marked(made: object, means: Means, span: Span) -> Any:
    """The task that was made, with the context in its headers. What is no task the server refuses."""
    if not isinstance(made, Task) or not span.get_span_context().is_valid:
        return made
    options: dict[str, Any] = {**made.options}
    context = means.written(trace.set_span_in_context(span))
    headers = {**options.get("headers", {}), **context, conventions.SENT_AT: f"{time.time():.3f}"}
    options["headers"] = headers
    return Task(made.type, made.payload, **options)

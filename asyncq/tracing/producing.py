"""Spans of those who enqueue."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import MeterProvider
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Tracer, TracerProvider

from asyncq.client import EnqueueCall, EnqueueMiddleware
from asyncq.options import TaskOptions
from asyncq.task import Task
from asyncq.task_info import TaskInfo
from asyncq.tracing import conventions
from asyncq.tracing._means import Means, note_error
from asyncq.tracing._meters import SendMeters

DEFAULT_QUEUE: Final = "default"


class _Batch:
    """What is sent inside one `batch`."""

    __slots__ = ("context", "count", "per_task", "queues", "refused")

    def __init__(self, context: Context, *, per_task: bool) -> None:
        self.context: Final = context
        self.per_task: Final = per_task
        self.count = 0
        self.refused = 0
        self.queues: set[str] = set()


_BATCH: Final[ContextVar[_Batch | None]] = ContextVar("asyncq_tracing_batch", default=None)


def producer(
    *,
    tracer_provider: TracerProvider | None = None,
    propagator: TextMapPropagator | None = None,
    meter_provider: MeterProvider | None = None,
) -> EnqueueMiddleware:
    """Middleware for a client or a scheduler: a span for each task that is sent, `send <queue>`.

        client = Client(url, middleware=[tracing.producer()])

    The context goes into the headers of the task, whichever wire it takes, and `consumer` finds it there.
    As long as the program has set up no tracing it does nothing, and costs next to that.

    Args:
        tracer_provider: Where spans go; the program's when not given.
        propagator: How context is written into headers; the program's, W3C's when not given.
        meter_provider: Where metrics of what is sent go; there are none when not given.
    """
    means = Means(tracer_provider, propagator)
    meters = None if meter_provider is None else SendMeters(meter_provider)

    async def send(task: Task, options: TaskOptions, call_next: EnqueueCall) -> TaskInfo:
        tracer = means.tracer()
        if meters is not None:  # inside of the span, so that numbers can name it
            call_next = meters.around(call_next, _likely)
        if tracer is None:
            return await call_next(task, options)
        batch = _BATCH.get()
        if batch is None:
            return await _sent(means, tracer, conventions.SEND, (task, options), call_next)
        try:
            if batch.per_task:
                info = await _sent(means, tracer, conventions.CREATE, (task, options), call_next)
            else:
                info = await call_next(task, _with(options, means.written(batch.context)))
        except BaseException:
            batch.refused += 1
            raise
        batch.count += 1
        batch.queues.add(info.queue)
        return info

    return send


async def _sent(
    means: Means, tracer: Tracer, operation: str, what: tuple[Task, TaskOptions], call_next: EnqueueCall
) -> TaskInfo:
    """Send one task in a span of its own."""
    task, options = what
    likely = _likely(task, options)
    span = tracer.start_span(
        f"{operation} {likely}",
        kind=SpanKind.PRODUCER,
        attributes={
            conventions.SYSTEM: conventions.SYSTEM_NAME,
            conventions.OPERATION_NAME: operation,
            conventions.OPERATION_TYPE: operation,
            conventions.DESTINATION: likely,
            conventions.TASK_TYPE: task.type,
        },
    )
    context = trace.set_span_in_context(span)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            info = await call_next(task, _with(options, means.written(context)))
        except BaseException as error:
            note_error(span, error)
            raise
        if span.is_recording():
            if info.queue != likely:  # the defaults of the client said so
                span.update_name(f"{operation} {info.queue}")
                span.set_attribute(conventions.DESTINATION, info.queue)
            span.set_attribute(conventions.MESSAGE_ID, info.id)
            span.set_attribute(conventions.BODY_SIZE, len(info.raw))
    return info


def _likely(task: Task, options: TaskOptions) -> str:
    """The queue of a task, as far as that can be said before it is enqueued."""
    return str(options.get("queue") or task.options.get("queue") or DEFAULT_QUEUE)


def _with(options: TaskOptions, headers: Mapping[str, str]) -> TaskOptions:
    """Options with headers added. What a handler passes on of its own task's is replaced."""
    if not headers:
        return options
    given = options.get("headers") or {}
    return {**options, "headers": {**given, **headers, conventions.SENT_AT: f"{time.time():.3f}"}}


@contextmanager
def batch(
    name: str = "", *, per_task: bool = False, tracer_provider: TracerProvider | None = None
) -> Generator[Span]:
    """One span for all tasks that are sent inside a `with` block, by a client that has `producer`.

        with tracing.batch():
            async for outcome in client.enqueue_many(tasks): ...

    A million tasks then make one span and not a million. Each of them carries the context of that one.

    Args:
        name: What to call it; `send <queue>` when not given, or `send` if they go to several queues.
        per_task: Whether each task has a span of its own as well, `create <queue>`, which is what its
            processing is then linked to.
        tracer_provider: Where the span goes; the program's when not given.
    """
    tracer = Means(tracer_provider, None).tracer()
    if tracer is None:
        yield INVALID_SPAN
        return
    span = tracer.start_span(
        name or conventions.SEND,
        kind=SpanKind.CLIENT if per_task else SpanKind.PRODUCER,
        attributes={
            conventions.SYSTEM: conventions.SYSTEM_NAME,
            conventions.OPERATION_NAME: conventions.SEND,
            conventions.OPERATION_TYPE: conventions.SEND,
        },
    )
    many = _Batch(trace.set_span_in_context(span, get_current()), per_task=per_task)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        token = _BATCH.set(many)
        try:
            yield span
        except BaseException as error:
            note_error(span, error)
            raise
        finally:
            _BATCH.reset(token)
            _sum_up(span, many, name)


def _sum_up(span: Span, many: _Batch, name: str) -> None:
    span.set_attribute(conventions.BATCH_COUNT, many.count)
    if many.refused:
        span.set_attribute(conventions.REFUSED, many.refused)
    if len(many.queues) == 1:
        (queue,) = many.queues
        span.set_attribute(conventions.DESTINATION, queue)
        if not name:
            span.update_name(f"{conventions.SEND} {queue}")

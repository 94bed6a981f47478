"""Spans of those who run tasks."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.metrics import MeterProvider
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, Tracer, TracerProvider

from asyncq._clock import seconds
from asyncq.context import Context
from asyncq.mux import Call, Middleware
from asyncq.task import Task
from asyncq.tracing import conventions
from asyncq.tracing._ends import end_of
from asyncq.tracing._means import Means, note_error
from asyncq.tracing._meters import ProcessMeters

CHILD_WITHIN: Final = 10.0


def consumer(
    *,
    child_within: float | timedelta = CHILD_WITHIN,
    tracer_provider: TracerProvider | None = None,
    propagator: TextMapPropagator | None = None,
    meter_provider: MeterProvider | None = None,
) -> Middleware:
    """Middleware for a mux: a span for each attempt at a task, `process <queue>`.

        mux.use(tracing.consumer())

    The first attempt, when it begins promptly, is a child of the span that sent the task, and so both are in
    one trace. A retry, and a task that was delayed or waited long, begins a trace of its own that is linked
    to it: nobody waits for a trace that goes on tomorrow. The span is current in the handler, also in a
    thread; a process has its own.

    Args:
        child_within: Seconds after sending within which a first attempt is a child. 0: always a link;
            `math.inf`: first attempts are always children.
        tracer_provider: Where spans go; the program's when not given.
        propagator: How context is read from headers; the program's, W3C's when not given.
        meter_provider: Where metrics of attempts go; there are none when not given.

    Raises:
        ConfigError: `child_within` is no duration.
    """
    means, limit = Means(tracer_provider, propagator), seconds(child_within, name="child_within")
    meters = None if meter_provider is None else ProcessMeters(meter_provider)

    async def process(task: Task, ctx: Context, call_next: Call) -> object:
        tracer = means.tracer()
        if meters is not None:  # inside of the span, so that numbers can name it
            call_next = meters.around(call_next)
        if tracer is None:
            return await call_next(task, ctx)
        span, context = _begun(means.read(ctx.headers), tracer, task, ctx, limit)
        token = contexts.attach(context)
        try:
            result: object = await call_next(task, ctx)
        except BaseException as error:
            _note_end(span, ctx, error)
            raise
        finally:
            contexts.detach(token)
            span.end()
        return result

    return process


def _begun(
    sent: TraceContext, tracer: Tracer, task: Task, ctx: Context, limit: float
) -> tuple[Span, TraceContext]:
    sender = trace.get_current_span(sent).get_span_context()
    waited = _waited(task)
    is_child = _is_prompt(ctx, waited, limit)
    # Baggage goes along in any case; the span of the sender only where it is to be the parent.
    base = sent if is_child else trace.set_span_in_context(INVALID_SPAN, sent)
    links = [Link(sender, {conventions.LINK_KIND: "sent"})] if sender.is_valid and not is_child else []
    span = tracer.start_span(
        f"{conventions.PROCESS} {ctx.queue}",
        context=base,
        kind=SpanKind.CONSUMER,
        links=links,
        attributes={
            conventions.SYSTEM: conventions.SYSTEM_NAME,
            conventions.OPERATION_NAME: conventions.PROCESS,
            conventions.OPERATION_TYPE: conventions.PROCESS,
            conventions.DESTINATION: ctx.queue,
            conventions.MESSAGE_ID: ctx.id,
            conventions.CLIENT_ID: ctx.server_id,
            conventions.TASK_TYPE: ctx.type,
            conventions.ATTEMPT: ctx.attempt,
            conventions.MAX_RETRY: ctx.max_retry,
        },
    )
    if span.is_recording():
        span.set_attribute(conventions.BODY_SIZE, len(task.raw))
        if ctx.deliveries:
            span.set_attribute(conventions.DELIVERIES, ctx.deliveries)
        if waited is not None:
            span.set_attribute(conventions.WAITED, waited)
    return span, trace.set_span_in_context(span, base)


def _is_prompt(ctx: Context, waited: float | None, limit: float) -> bool:
    """Whether this attempt belongs to the trace of who sent the task."""
    if ctx.retried or ctx.deliveries or limit <= 0:
        return False
    # Somebody else's program may send context without the time.
    return waited is None or waited <= limit


def _waited(task: Task) -> float | None:
    """Seconds since it was sent, as far as the clocks of both machines agree."""
    try:
        return max(0.0, round(time.time() - float(task.headers[conventions.SENT_AT]), 3))
    except (KeyError, ValueError):
        return None


def _note_end(span: Span, ctx: Context, error: BaseException) -> None:
    end = end_of(ctx, error)
    if end.outcome:
        span.set_attribute(conventions.OUTCOME, end.outcome)
    if end.error_type:
        note_error(span, error, end.error_type)

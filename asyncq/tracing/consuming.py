"""Spans of those who run tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final, cast

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, Tracer, TracerProvider

from asyncq._clock import seconds
from asyncq.context import Context
from asyncq.errors import RetryIn, RevokeTask
from asyncq.mux import Call, Middleware
from asyncq.task import Task
from asyncq.tracing import conventions
from asyncq.tracing._means import Means, note_error

CHILD_WITHIN: Final = 10.0

_GIVEN_BACK: Final = {"shutdown", "slot_lost"}
"""Reasons for which a handler is stopped that are none of its task's faults."""


def consumer(
    *,
    child_within: float | timedelta = CHILD_WITHIN,
    tracer_provider: TracerProvider | None = None,
    propagator: TextMapPropagator | None = None,
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

    Raises:
        ConfigError: `child_within` is no duration.
    """
    means, limit = Means(tracer_provider, propagator), seconds(child_within, name="child_within")

    async def process(task: Task, ctx: Context, call_next: Call) -> object:
        tracer = means.tracer()
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
    """Say how an attempt ended that did not succeed: not each such end is an error."""
    if isinstance(error, asyncio.CancelledError) and ctx.cancel_reason is not None:
        if ctx.cancel_reason in _GIVEN_BACK:
            span.set_attribute(conventions.OUTCOME, "given back")
        else:
            note_error(span, error, ctx.cancel_reason)
    elif (control := _control(error)) is not None:
        if isinstance(control, RevokeTask):
            span.set_attribute(conventions.OUTCOME, "revoked")
        else:
            span.set_attribute(conventions.OUTCOME, "retry asked for")
            if control.counts:
                note_error(span, error)
    else:
        note_error(span, error)


def _control(error: BaseException) -> RevokeTask | RetryIn | None:
    """What a handler steers with, also from inside a group of errors."""
    if isinstance(error, (RevokeTask, RetryIn)):
        return error
    if isinstance(error, BaseExceptionGroup):
        inner = cast("Iterable[BaseException]", cast("Any", error).exceptions)
        return next((found for one in inner if (found := _control(one)) is not None), None)
    return None

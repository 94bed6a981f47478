"""Metrics of both ends, as OpenTelemetry's conventions for messaging name them. Labels are bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.metrics import MeterProvider

from asyncq.client import EnqueueCall
from asyncq.context import Context
from asyncq.measures import OTHER
from asyncq.mux import Call
from asyncq.options import TaskOptions
from asyncq.task import Task
from asyncq.task_info import TaskInfo
from asyncq.tracing import conventions
from asyncq.tracing._ends import end_of
from asyncq.tracing._means import SCOPE, type_of

MOST: Final = 100
"""Queues, types and errors that have numbers of their own; all others are `other`. Whoever enqueues says what
types there are, and must not be able to fill the memory of those who count."""

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Bounds of durations in seconds, as the conventions advise them."""

_BASE: Final = {conventions.SYSTEM: conventions.SYSTEM_NAME}


class Bounded:
    """Lets the first values through, as many as may be, and calls all others `other`."""

    __slots__ = ("_known", "_most")

    def __init__(self, most: int = MOST) -> None:
        self._most: Final = most
        self._known: Final[set[str]] = set()

    def __call__(self, value: str) -> str:
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value


class SendMeters:
    """Counts what is enqueued.

    Args:
        provider: Where the numbers go.
    """

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(SCOPE)
        self._sent: Final = meter.create_counter(
            conventions.SENT_MESSAGES, unit="{message}", description="Tasks that were sent, or could not be."
        )
        self._duration: Final = meter.create_histogram(
            conventions.OPERATION_DURATION,
            unit="s",
            description="How long it took to send a task.",
            explicit_bucket_boundaries_advisory=BOUNDS,
        )
        self._queue, self._error = Bounded(), Bounded()

    def around(self, call_next: EnqueueCall, likely: Callable[[Task, TaskOptions], str]) -> EnqueueCall:
        """Count what goes through `call_next`.

        Args:
            call_next: What enqueues.
            likely: Says the queue of a task that was not enqueued.
        """

        async def counted(task: Task, options: TaskOptions) -> TaskInfo:
            began, queue, error_type = time.perf_counter(), "", ""
            try:
                info = await call_next(task, options)
                queue = info.queue
            except BaseException as error:
                queue, error_type = likely(task, options), type_of(error)
                raise
            finally:
                labels = {
                    **_BASE,
                    conventions.OPERATION_NAME: conventions.SEND,
                    conventions.DESTINATION: self._queue(queue),
                }
                if error_type:
                    labels[conventions.ERROR_TYPE] = self._error(error_type)
                self._sent.add(1, labels)
                duration = time.perf_counter() - began
                self._duration.record(duration, {**labels, conventions.OPERATION_TYPE: conventions.SEND})
            return info

        return counted


class ProcessMeters:
    """Counts attempts at tasks.

    Args:
        provider: Where the numbers go.
    """

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(SCOPE)
        self._consumed: Final = meter.create_counter(
            conventions.CONSUMED_MESSAGES,
            unit="{message}",
            description="Tasks that were handed to a handler.",
        )
        self._duration: Final = meter.create_histogram(
            conventions.PROCESS_DURATION,
            unit="s",
            description="How long attempts at tasks took.",
            explicit_bucket_boundaries_advisory=BOUNDS,
        )
        self._queue, self._type, self._error = Bounded(), Bounded(), Bounded()

    def around(self, call_next: Call) -> Call:
        """Count what goes through `call_next`."""

        async def counted(task: Task, ctx: Context) -> Any:
            labels = {
                **_BASE,
                conventions.OPERATION_NAME: conventions.PROCESS,
                conventions.DESTINATION: self._queue(ctx.queue),
                conventions.TASK_TYPE: self._type(ctx.type),
            }
            self._consumed.add(1, labels)
            began = time.perf_counter()
            try:
                return await call_next(task, ctx)
            except BaseException as error:
                end = end_of(ctx, error)
                if end.outcome:
                    labels[conventions.OUTCOME] = end.outcome
                if end.error_type:
                    labels[conventions.ERROR_TYPE] = self._error(end.error_type)
                raise
            finally:
                self._duration.record(time.perf_counter() - began, labels)

        return counted

"""One handler at work."""

from __future__ import annotations

import asyncio
from typing import Final

from asyncq._broker.deliver import Delivery
from asyncq._broker.settle import Settlement
from asyncq._engine.measures import Series
from asyncq._wire.messages import Envelope
from asyncq.context import CancelReason, Context
from asyncq.task import Task

NEVER: Final = float("inf")


class Run:
    """One handler at work: what it was given, when it must end, and how far it has come."""

    __slots__ = (
        "begun_at",
        "context",
        "delivery",
        "ends_at",
        "envelope",
        "has_started",
        "is_settled",
        "leaks_at",
        "limit",
        "series",
        "settlement",
        "started_at",
        "task",
        "worker",
    )

    def __init__(  # noqa: PLR0913 - one record, built in one place
        self,
        delivery: Delivery,
        envelope: Envelope,
        task: Task,
        context: Context,
        series: Series,
        *,
        ends_at: float,
        limit: CancelReason,
        started_at: float,
    ) -> None:
        self.delivery = delivery
        self.envelope = envelope
        self.task = task
        self.context = context
        self.ends_at = ends_at  #: when it is to be stopped, by the loop's clock
        self.limit: CancelReason = limit  #: by which limit that is
        self.started_at = started_at
        self.begun_at = NEVER  #: when its handler had its first turn
        self.series = series
        self.worker: asyncio.Task[None] | None = None
        self.has_started = False
        self.settlement: Settlement | None = None  #: what it will come to, once that is decided
        self.is_settled = False
        self.leaks_at = NEVER  #: when we stop waiting for it to obey a cancellation

"""Writes down what became of the times of entries."""

from __future__ import annotations

from typing import Final

from asyncq._broker.schedules import Schedules
from asyncq._clock import now
from asyncq._logs import Log
from asyncq._timetable import Tick
from asyncq.errors import BrokerError


class Chronicle:
    """The histories of entries. That one cannot be written is no reason not to enqueue."""

    def __init__(self, schedules: Schedules, *, scheduler_id: str, log: Log) -> None:
        self._schedules: Final = schedules
        self._scheduler_id: Final = scheduler_id
        self._log: Final = log

    async def note(self, tick: Tick, *, task_id: str = "", error: str = "") -> None:
        """Note that a task was enqueued for one time of an entry, or why none was."""
        nominal = tick.nominal.timestamp()
        event = {
            "task_id": task_id,
            "queue": tick.entry.queue,
            "enqueued_at": now(),
            "nominal": nominal,
            "error": error,
            "scheduler": self._scheduler_id,
        }
        next_at = 0.0 if tick.next_at is None else tick.next_at.timestamp()
        try:
            await self._schedules.record(tick.entry.id, event, at=nominal, next_at=next_at)
        except BrokerError as problem:
            self._log.warning(
                "what became of entry %r could not be written: %s",
                tick.entry.id,
                problem,
                extra={"event": "history_unwritten", "entry": tick.entry.id},
            )

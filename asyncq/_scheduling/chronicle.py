"""Writes down what became of the times of entries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asyncq._broker.schedules import Schedules
from asyncq._clock import now
from asyncq._logs import Log
from asyncq._timetable import Tick
from asyncq.entries import Entry
from asyncq.errors import BrokerError

_TEXTS: Final = {
    "missed": "no scheduler was there to enqueue it in time",
    "too_old": "it is older than times of this entry are made up for",
    "overlap": "the run before it is not over",
    "failed": "it could not be enqueued",
    "several": "some of these were left out; there are too many to say which",
    "changed": "the entry was changed or paused",
    "paused": "the entry was paused",
    "removed": "the entry was removed",
}


@dataclass(frozen=True, slots=True)
class Skipped:
    """Times of an entry that were not enqueued, for one reason."""

    first: datetime
    last: datetime
    count: int
    reason: str
    noted_at: datetime
    detail: str = ""  #: the task that stood in the way

    @property
    def text(self) -> str:
        """The reason in words."""
        said = _TEXTS.get(self.reason, self.reason)
        return f"{said} (task {self.detail})" if self.detail else said


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
        await self._record(tick.entry.id, event, at=nominal, next_at=next_at)

    async def skipped(self, entry: Entry, skipped: Skipped) -> bool:
        """Note that times were not enqueued, and why: one event for all of them. Whether it was written.

        Each scheduler that notes the same writes the same, so it is one event still.
        """
        last = skipped.last.timestamp()
        event = {
            "task_id": "",
            "queue": entry.queue,
            "enqueued_at": skipped.noted_at.timestamp(),
            "nominal": skipped.first.timestamp(),
            "error": skipped.text,
            "scheduler": "",
            "reason": skipped.reason,
            "count": skipped.count,
            "until": last,
        }
        next_at = 0.0 if entry.next_at is None else entry.next_at.timestamp()
        return await self._record(entry.id, event, at=last, next_at=next_at)

    async def _record(self, entry_id: str, event: dict[str, Any], *, at: float, next_at: float) -> bool:
        try:
            await self._schedules.record(entry_id, event, at=at, next_at=next_at)
        except BrokerError as problem:
            self._log.warning(
                "what became of entry %r could not be written: %s",
                entry_id,
                problem,
                extra={"event": "history_unwritten", "entry": entry_id},
            )
            return False
        return True

"""Lets schedulers that began at different moments come to the same times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Final

from asyncq._broker.schedules import Schedules
from asyncq._timetable import Timetable
from asyncq.entries import Entry
from asyncq.errors import BrokerError

_AT_A_TIME: Final = 100
"""Questions that are on their way together: a start with ten thousand entries must not flood Redis."""


class Alignment:
    """Reckons intervals from the last time that any scheduler had, as Redis remembers it.

    Times on a calendar are the same for all by themselves.
    """

    def __init__(
        self,
        schedules: Schedules,
        timetable: Timetable,
        *,
        clock: Callable[[], datetime],
        on_change: Callable[[], None],
    ) -> None:
        self._schedules: Final = schedules
        self._timetable: Final = timetable
        self._clock: Final = clock
        self._on_change: Final = on_change

    async def align_all(self, entries: Iterable[Entry]) -> None:
        """Let intervals go on where they were before a restart, or are with another scheduler."""
        intervals = [entry for entry in entries if entry.schedule.gap]
        for first in range(0, len(intervals), _AT_A_TIME):
            await asyncio.gather(*[self.align(entry) for entry in intervals[first : first + _AT_A_TIME]])

    async def align(self, entry: Entry) -> None:
        """Ask for the last time of one entry, and reckon from it, or else from when its rhythm began."""
        if not entry.schedule.gap:
            return
        # Without the answer the entry comes at times of its own, and learns better when they are taken.
        with suppress(BrokerError):
            last = await self._schedules.last_tick(entry.queue, entry.id)
            since = 0.0 if entry.since is None else entry.since.timestamp()
            self._timetable.align(entry.id, max(last, since), self._clock())
            self._on_change()

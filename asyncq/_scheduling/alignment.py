"""Lets schedulers that began at different moments come to the same times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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

    async def align_all(self) -> None:
        """Let all intervals go on where they were before a restart, or are with another scheduler."""
        intervals = [entry for entry in self._timetable.in_order() if entry.schedule.gap]
        for first in range(0, len(intervals), _AT_A_TIME):
            await asyncio.gather(*[self.align(entry) for entry in intervals[first : first + _AT_A_TIME]])

    async def align(self, entry: Entry) -> None:
        """Ask for the last time of one entry, and reckon from it."""
        if not entry.schedule.gap:
            return
        # Without the answer the entry comes at times of its own, and learns better when they are taken.
        with suppress(BrokerError):
            last = await self._schedules.last_tick(entry.queue, entry.id)
            self._timetable.align(entry.id, last, self._clock())
            self._on_change()

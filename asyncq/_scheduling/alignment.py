"""Lets schedulers that began at different moments come to the same times."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Final

from asyncq._broker.ticks import MOST_AT_ONCE, Recalled, Ticks
from asyncq._timetable import Timetable
from asyncq.entries import Entry
from asyncq.errors import BrokerError


class Alignment:
    """Reckons intervals from the last time that any scheduler had, as Redis remembers it.

    Times on a calendar are the same for all by themselves.
    """

    def __init__(
        self,
        ticks: Ticks,
        timetable: Timetable,
        *,
        clock: Callable[[], datetime],
        on_change: Callable[[], None],
    ) -> None:
        self._ticks: Final = ticks
        self._timetable: Final = timetable
        self._clock: Final = clock
        self._on_change: Final = on_change

    async def align_all(self, entries: Iterable[Entry]) -> None:
        """Let intervals go on where they were before a restart, or are with another scheduler."""
        intervals = [entry for entry in entries if entry.schedule.gap]
        # Without the answer they come at times of their own, and learn better when they are taken.
        with suppress(BrokerError):
            async for entry, recalled in recall_each(self._ticks, intervals):
                self._reckon(entry, recalled)

    async def align(self, entry: Entry) -> None:
        """Ask for the last time of one entry, and reckon from it, or else from when its rhythm began."""
        if not entry.schedule.gap:
            return
        with suppress(BrokerError):
            (recalled,) = await self._ticks.recall(entry.queue, [entry.id])
            self._reckon(entry, recalled)
            self._on_change()

    def _reckon(self, entry: Entry, recalled: Recalled) -> None:
        # It may have been resumed, or defined anew, while Redis was asked.
        current = self._timetable.find(entry.id) or entry
        since = 0.0 if current.since is None else current.since.timestamp()
        self._timetable.align(entry.id, max(recalled.at or 0.0, since), self._clock())


async def recall_each(ticks: Ticks, entries: Iterable[Entry]) -> AsyncGenerator[tuple[Entry, Recalled]]:
    """Ask what Redis remembers of entries, many in one call: a start with a hundred thousand is no flood.

    Raises:
        BrokerError: Redis could not be asked.
    """
    queues: dict[str, list[Entry]] = {}
    for entry in entries:
        queues.setdefault(entry.queue, []).append(entry)
    for queue, members in queues.items():
        for first in range(0, len(members), MOST_AT_ONCE):
            some = members[first : first + MOST_AT_ONCE]
            found = await ticks.recall(queue, [entry.id for entry in some])
            for entry, recalled in zip(some, found, strict=True):
                yield entry, recalled

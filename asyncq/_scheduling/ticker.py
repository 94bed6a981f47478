"""Sleeps until the next entry is due, and hands it on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from asyncq._service import Service
from asyncq._timetable import Tick, Timetable

LONGEST_SLEEP: Final = 30.0
"""Seconds after which it looks at the clock again: somebody may have set it."""


MOST_AT_ONCE: Final = 500
"""Times that are begun between two turns of the event loop: the first are on their way to Redis while the
others are begun."""


class Ticker(Service):
    """Finds what is due. It waits for nothing but time, so nothing that hangs can stop it."""

    def __init__(
        self, timetable: Timetable, begin: Callable[[Tick], None], *, clock: Callable[[], datetime]
    ) -> None:
        super().__init__("scheduler")
        self._timetable: Final = timetable
        self._begin: Final = begin
        self._clock: Final = clock

    async def tick(self) -> float:
        for tick in self._timetable.take_due(self._clock(), MOST_AT_ONCE):
            self._begin(tick)
        return min(self._timetable.wait(self._clock()), LONGEST_SLEEP)

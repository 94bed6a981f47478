"""Sleeps until the next entry is due, and hands it on."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from asyncq._scheduling.waves import Prepared
from asyncq._service import Service
from asyncq._timetable import Tick, Timetable

LONGEST_SLEEP: Final = 30.0
"""Seconds after which it looks at the clock again: somebody may have set it."""

RESOLUTION: Final = 0.001
"""Seconds by which timers of the event loop may be late, whatever else it does."""

AHEAD: Final = timedelta(seconds=0.25)
"""So much before a time comes, what can be done for it is done."""

MOST_AT_ONCE: Final = 250
"""Times that are begun between two turns of the event loop, which takes a millisecond at the most: the first
are on their way to Redis while the others are begun."""

MOST_AHEAD: Final = 100
"""Times that are prepared between two turns, which takes as long."""

MOST_PREPARED: Final = 5000
"""Times that are prepared before they come. What is more is prepared when these have been sent."""


PUT_BACK: Final = 1.0
"""Seconds by which a clock has to go back before times are reckoned anew: those known are too far away."""


class Wave(Protocol):
    """Prepares and sends times."""

    def prepare(self, ticks: Sequence[Tick], now: datetime) -> Sequence[Prepared]:
        """Do what can be done before these times come."""
        ...

    def begin(self, prepared: Sequence[Prepared], *, is_all: bool) -> None:
        """Send what has come."""
        ...


class Ticker(Service):
    """Finds what is due. It waits for nothing but time, so nothing that hangs can stop it."""

    def __init__(self, timetable: Timetable, wave: Wave, *, clock: Callable[[], datetime]) -> None:
        super().__init__("scheduler")
        self._timetable: Final = timetable
        self._wave: Final = wave
        self._clock: Final = clock
        # What comes at the same moment is taken out together; a heap of moments, as clocks may be set back.
        self._prepared: Final[dict[datetime, deque[Prepared]]] = {}
        self._moments: Final[list[datetime]] = []
        self._count = 0
        self._ahead = -math.inf  # seconds of the clock, less those of the event loop, which never go back

    async def tick(self) -> float:
        self._look_at_the_clock()
        self._begin()
        now = self._clock()
        if self._count < MOST_PREPARED:
            ticks = self._timetable.take_due(now, MOST_AHEAD, ahead=AHEAD)
            for prepared in self._wave.prepare(ticks, now):
                self._keep(prepared)
        return min(self._seconds_left(), LONGEST_SLEEP)

    def _look_at_the_clock(self) -> None:
        now = self._clock()
        ahead = now.timestamp() - asyncio.get_running_loop().time()
        if ahead < self._ahead - PUT_BACK:
            self._timetable.put_back(now)
            self.forget()
        self._ahead = ahead

    def _begin(self) -> None:
        """Hand on what has come."""
        now, moments = self._clock(), self._moments
        come: list[Prepared] = []
        while moments and moments[0] <= now and len(come) < MOST_AT_ONCE:
            waiting = self._prepared[moments[0]]
            while waiting and len(come) < MOST_AT_ONCE:
                come.append(waiting.popleft())
            if not waiting:
                del self._prepared[heapq.heappop(moments)]
        if come:
            self._count -= len(come)
            self._wave.begin(come, is_all=not moments or moments[0] > now)

    def _keep(self, prepared: Prepared) -> None:
        waiting = self._prepared.get(prepared.due)
        if waiting is None:
            waiting = self._prepared[prepared.due] = deque()
            heapq.heappush(self._moments, prepared.due)
        waiting.append(prepared)
        self._count += 1

    def _seconds_left(self) -> float:
        now = self._clock()
        wait = math.inf
        if self._count < MOST_PREPARED:
            wait = self._timetable.wait(now + AHEAD)
        if self._moments:
            # The event loop wakes up to a millisecond late: that one is waited for with open eyes.
            wait = min(wait, max(0.0, (self._moments[0] - now).total_seconds() - RESOLUTION))
        return wait

    def forget(self) -> None:
        """Let go of what has not come: times are reckoned anew."""
        # What is claimed is in Redis, which knows for itself when it is due.
        claimed = [one for moment in self._prepared.values() for one in moment if one.is_claimed]
        self._prepared.clear()
        self._moments.clear()
        self._count = 0
        if claimed:
            self._wave.begin(claimed, is_all=True)

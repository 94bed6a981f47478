"""Moves tasks whose time has come."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Final

from asyncq._broker.delayed import Delayed
from asyncq._service import Service

AHEAD: Final = 0.001
"""Seconds before its time to get up. The timers of event loops are up to a millisecond late; what is
left of it is spent asking Redis again, which takes a fraction of that."""


FIRST_STAGGER: Final = 0.002
LONGEST_STAGGER: Final = 0.01
"""Seconds for which a forwarder lets another one go first that was quicker the last times.

All servers of a fleet know the same due times. When many are due, one after the other, each server would ask
at each of them; so the others ask a hundred times a second. It is also how late a task may be when the server
that went first is gone, and the next ones half of that, and so on."""


class Forwarder(Service):
    """Moves due scheduled and retry tasks to where they can be taken.

    It sleeps until the next one is due and not at fixed intervals. It is poked when something is
    scheduled that is due before everything else, and when its messages may have been missed.

    Of the servers of a fleet mostly one does the work: whoever finds it done is a little later the next
    time, and whoever finds something to do is sooner again.
    """

    def __init__(self, delayed: Delayed, queues: Sequence[str], *, longest_sleep: float) -> None:
        super().__init__("forwarder")
        self._delayed: Final = delayed
        self._queues: Final = list(queues)
        self._longest_sleep: Final = longest_sleep
        self._stagger = 0.0
        self._next_due = math.inf  #: by the loop's clock, as far as we know

    async def tick(self) -> float:
        moved, wait = await self._delayed.forward(self._queues)
        before, now = self._next_due, asyncio.get_running_loop().time()
        self._next_due = math.inf if wait is None else now + wait
        if moved:
            # By and by, because also who comes second finds something now and then when much is due.
            self._stagger = self._stagger / 2 if self._stagger > FIRST_STAGGER else 0.0
        elif before <= now or before + AHEAD < self._next_due:
            # What we came for was not there any more: somebody else was quicker.
            self._stagger = min(max(FIRST_STAGGER, self._stagger * 2), LONGEST_STAGGER)
        if wait is None:
            return self._longest_sleep
        if wait == 0.0:
            return 0.0  # there is more than one call moves
        return max(0.0, min(wait + (self._stagger or -AHEAD), self._longest_sleep))

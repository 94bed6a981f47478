"""Moves tasks whose time has come."""

from __future__ import annotations

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
        self._missed = 0  #: times in a row that somebody else was quicker
        self._next_due = math.inf  #: what we come for the next time, by Redis' clock
        self._is_looking = False

    def expect(self, due: float) -> None:
        """The first of what is scheduled is due then, in Unix seconds: come earlier if that was not known."""
        # What a look finds that is on its way is not known here yet: then there is another one behind it.
        if self._is_looking or due < self._next_due:
            self.poke()

    async def tick(self) -> float:
        self._is_looking = True
        try:
            moved, wait, due, _ = await self._delayed.forward(self._queues)
        finally:
            self._is_looking = False
        before, self._next_due = self._next_due, due
        if moved:
            # By and by, because also who comes second finds something now and then when much is due.
            self._missed = 0
            self._stagger = self._stagger / 2 if self._stagger > FIRST_STAGGER else 0.0
        elif before < due:
            # What we came for was not there any more: somebody else was quicker. By what Redis calls its
            # time and not by a clock of ours: who comes a little early and again would take himself for two.
            self._missed += 1
            if (
                self._stagger or self._missed > 1
            ):  # once is an accident: those who come second find something, too
                self._stagger = min(max(FIRST_STAGGER, self._stagger * 2), LONGEST_STAGGER)
        if wait == 0.0:
            return 0.0  # there is more than one call moves
        return max(0.0, min(wait + (self._stagger or -AHEAD), self._longest_sleep))

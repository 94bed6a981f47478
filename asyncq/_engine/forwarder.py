"""Moves tasks whose time has come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asyncq._broker.delayed import Delayed
from asyncq._service import Service

AHEAD: Final = 0.001
"""Seconds before its time to get up. The timers of event loops are up to a millisecond late; what is
left of it is spent asking Redis again, which takes a fraction of that."""


class Forwarder(Service):
    """Moves due scheduled and retry tasks to where they can be taken.

    It sleeps until the next one is due and not at fixed intervals. It is poked when something is
    scheduled that is due before everything else, and when its messages may have been missed.
    """

    def __init__(self, delayed: Delayed, queues: Sequence[str], *, longest_sleep: float) -> None:
        super().__init__("forwarder")
        self._delayed: Final = delayed
        self._queues: Final = list(queues)
        self._longest_sleep: Final = longest_sleep

    async def tick(self) -> float:
        _, wait = await self._delayed.forward(self._queues)
        return self._longest_sleep if wait is None else max(0.0, min(wait - AHEAD, self._longest_sleep))

"""Says that this scheduler is there, and what it has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from asyncq._broker.schedules import Schedules
from asyncq._clock import now
from asyncq._logs import Log
from asyncq._service import Service

SHORTEST_INTERVAL: Final = 1.0
"""Seconds between two announcements that only say that entries were enqueued: of a thousand entries a
thousand may be due at once, and each announcement has all of them."""

LAST_WORDS: Final = 2.0


class Herald(Service):
    """Announces the scheduler, for tools to show: in intervals, and when something has changed.

    Nothing depends on it: a scheduler that nobody can see goes on.
    """

    def __init__(
        self,
        schedules: Schedules,
        scheduler_id: str,
        describe: Callable[[], Mapping[str, Any]],
        *,
        interval: float,
    ) -> None:
        super().__init__("scheduler heartbeat")
        self._schedules: Final = schedules
        self._scheduler_id: Final = scheduler_id
        self._describe: Final = describe
        self._interval: Final = interval
        self._announced_at = 0.0
        self._later: asyncio.TimerHandle | None = None

    async def tick(self) -> float:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._announced_at = asyncio.get_running_loop().time()
        await self._schedules.announce(
            self._scheduler_id, self._describe(), now=now(), ttl=2 * self._interval
        )
        return self._interval

    def poke_soon(self) -> None:
        """Announce within a second; at once, if the last time is longer ago."""
        if self._later is not None:
            return
        loop = asyncio.get_running_loop()
        self._later = loop.call_at(max(loop.time(), self._announced_at + SHORTEST_INTERVAL), self.poke)

    async def leave(self) -> None:
        """Say good-bye."""
        if self._later is not None:
            self._later.cancel()
        await say_good_bye(self._schedules.leave(self._scheduler_id), self.log)


async def say_good_bye(leaving: Awaitable[None], log: Log) -> None:
    """Wait for a good-bye. It must not fail or take long because nobody hears it."""
    try:
        async with asyncio.timeout(LAST_WORDS):
            await leaving
    except Exception as error:  # noqa: BLE001 - see above
        log.debug("could not say good-bye: %s", error, extra={"event": "farewell_failed"})

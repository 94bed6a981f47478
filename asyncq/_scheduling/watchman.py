"""Says when a scheduler enqueues nothing though something is due."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from asyncq._logs import Log
from asyncq._scheduling import hooks
from asyncq._scheduling.pulse import SchedulerHealth
from asyncq._scheduling.settings import SchedulerConfig
from asyncq._service import Service
from asyncq.errors import AsyncqError, SchedulerStalledError

LONGEST_INTERVAL: Final = 5.0
"""Seconds between two looks. They cost nothing: nobody is asked."""


class Watchman(Service):
    """Looks at the health of a scheduler, and tells the log, the record that tools see, and the program.

    Args:
        health: How the scheduler is.
        ask: Asks every Redis that holds keys, and returns what is wrong.
        config: Whom to tell.
        on_change: Called when the state is another one.
        clock: The time.
        log: Where to say so.
    """

    def __init__(
        self,
        health: Callable[[], SchedulerHealth],
        ask: Callable[[], Awaitable[AsyncqError | None]],
        config: SchedulerConfig,
        *,
        on_change: Callable[[], None],
        clock: Callable[[], datetime],
        log: Log,
    ) -> None:
        super().__init__("health of the scheduler")
        self._health: Final = health
        self._ask: Final = ask
        self._config: Final = config
        self._on_change: Final = on_change
        self._clock: Final = clock
        self.log = log
        self._stalled_since: datetime | None = None
        self._told_at = -float("inf")

    async def tick(self) -> float:
        stall = self._look()
        wait = min(LONGEST_INTERVAL, self._config.stalled_after / 4)
        if self._config.health_check is not None:
            now = asyncio.get_running_loop().time()
            if now - self._told_at >= self._config.health_check_interval:
                self._told_at = now
                trouble = stall or await self._ask()
                await hooks.call(self.log, self._config.health_check, trouble, name="health_check")
            wait = min(wait, self._config.health_check_interval)
        return wait

    def _look(self) -> SchedulerStalledError | None:
        health = self._health()
        is_stalled = health.state == "stalled" and health.overdue_since is not None
        if is_stalled and self._stalled_since is None:
            self._stalled_since = health.overdue_since
            self.log.error(
                "nothing was enqueued since %s, though it was due",
                health.overdue_since,
                extra={"event": "scheduler_stalled", "since": health.overdue_since},
            )
            self._on_change()
            self._told_at = -float("inf")
        elif not is_stalled and self._stalled_since is not None:
            seconds = (self._clock() - self._stalled_since).total_seconds()
            self._stalled_since = None
            self.log.warning(
                "times are enqueued again after %.0f s",
                seconds,
                extra={"event": "scheduler_recovered", "seconds": seconds},
            )
            self._on_change()
            self._told_at = -float("inf")
        if not is_stalled or health.overdue_since is None:
            return None
        return SchedulerStalledError((self._clock() - health.overdue_since).total_seconds())

"""What the slots of a consumer share: whether it ends, what was counted, and who is away."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio

from asyncq._logs import Log

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0


@dataclass(frozen=True, slots=True)
class ConsumerStats:
    """What a consumer did since it started. Copies are counted, where it is not said otherwise."""

    received: int = 0
    """Handed to us by nodes, each time."""

    handled: int = 0
    """Messages whose handler succeeded."""

    failed: int = 0
    """Attempts whose handler failed."""

    buried: int = 0
    """Set aside, since their message failed too often."""

    discarded: int = 0
    """Messages that were late, or that nobody could read."""

    duplicates: int = 0
    """Thrown away, since their message was done."""

    backups: int = 0
    """Put off, since somebody else handles their message."""

    postponed: int = 0
    """Put off, since Redis was away. With `ack="early"` none is."""

    lost: int = 0
    """Gone without having been handled, with `ack="early"`: Redis was away, or the handler failed."""

    given_back: int = 0
    """Whose handler was not done when the consumer had to leave."""

    running: int = 0
    """Messages that are being handled now."""


class Watch:
    """Shared by the slots of one consumer."""

    def __init__(self, name: str, log: Log) -> None:
        self.name: Final = name
        self.log: Final = log
        self.stats = ConsumerStats()
        self.stopping: Final = asyncio.Event()
        """Take nothing more."""
        self.is_over = False
        """Nothing may be waited for any more."""
        self.redis: Final = Outage(self, "Redis")

    def count(self, **more: int) -> None:
        """Add to what was counted."""
        now: dict[str, Any] = {name: getattr(self.stats, name) + by for name, by in more.items()}
        self.stats = replace(self.stats, **now)

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than until the consumer stops."""
        if not self.stopping.is_set():
            with anyio.move_on_after(seconds):
                await self.stopping.wait()


class Outage:
    """Somebody whom we need, and who may be away: said once, and once more when it is over."""

    def __init__(self, watch: Watch, who: str) -> None:
        self._watch: Final = watch
        self._who: Final = who
        self._since: float | None = None
        self._pause = FIRST_PAUSE

    def away(self, error: Exception) -> None:
        """It did not answer."""
        if self._since is None:
            self._since = asyncio.get_running_loop().time()
            self._watch.log.error(
                "%s cannot use %s: %s",
                self._watch.name,
                self._who,
                error,
                extra={"event": "dq_away", "actor": self._watch.name, "where": self._who},
            )

    def back(self) -> None:
        """It answered."""
        if self._since is not None:
            seconds = asyncio.get_running_loop().time() - self._since
            self._since, self._pause = None, FIRST_PAUSE
            self._watch.log.warning(
                "%s uses %s again after %.1f s",
                self._watch.name,
                self._who,
                seconds,
                extra={
                    "event": "dq_back",
                    "actor": self._watch.name,
                    "where": self._who,
                    "seconds": seconds,
                },
            )

    async def pause(self) -> None:
        """Wait before it is tried again, longer each time."""
        wait = random.uniform(self._pause / 2, self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        await self._watch.pause(wait)

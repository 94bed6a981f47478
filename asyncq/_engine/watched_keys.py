"""Keys that are read when they have changed: which of them, and when. Reading is left to others."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from typing import Final


class WatchedKeys:
    """Keys that are read together, when they have changed and not too often."""

    def __init__(self, names: Collection[str], read: Callable[[set[str]], None], *, gap: float) -> None:
        self._names: Final = {name.encode(): name for name in names}
        self._read: Final = read
        self._gap: Final = gap
        self._loop: Final = asyncio.get_running_loop()
        self._read_at = -math.inf
        self._timer: asyncio.TimerHandle | None = None
        self.changed: set[str] = set()  #: and were not read since, so that nothing more will be heard of them

    def note(self, keys: Collection[bytes] | None) -> set[str]:
        """These have changed; `None` stands for all. Returns which of them are ours."""
        told = self._names if keys is None else keys
        ours = {self._names[key] for key in told if key in self._names}
        self.changed |= ours
        return ours

    def want(self, delay: float = 0.0) -> None:
        """Read what has changed, in so many seconds or when the gap since the last time is over."""
        if not self.changed:
            return
        now = self._loop.time()
        at = max(now + delay, self._read_at + self._gap)
        if self._timer is not None and self._timer.when() <= at:
            return
        self.cancel()
        if at <= now:
            self._now()
        else:
            self._timer = self._loop.call_at(at, self._now)

    def _now(self) -> None:
        self._timer = None
        self._read_at = self._loop.time()
        self._read(self.changed)

    def cancel(self) -> None:
        """Read no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

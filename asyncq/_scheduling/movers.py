"""Moves entries from one queue to another: the one before is told first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from asyncq._broker.entries import Entries, Stored
from asyncq._logs import Log
from asyncq._service import Errands
from asyncq.errors import BrokerError

AT_A_TIME: Final = 50
"""Entries that are moved at the same time."""

PAUSE: Final = 0.5
"""Seconds until queues are told again of which none could be reached."""


class Movers:
    """Holds entries that have moved until the queues that they have left enqueue them no more.

    Mostly whoever has moved them has done that by now. If he has died, or could not reach a queue,
    it is done here, for as long as it takes; other entries do not wait for that.

    Args:
        entries: Where they are stored.
        take: Called with those that have moved.
        log: Where to say so.
    """

    def __init__(
        self, entries: Entries, take: Callable[[Sequence[Stored]], Awaitable[None]], *, log: Log
    ) -> None:
        self._entries: Final = entries
        self._take: Final = take
        self._log: Final = log
        self._held: Final[dict[str, Stored]] = {}
        self._problems: Final[dict[str, BrokerError]] = {}
        self._progress = asyncio.Event()
        self._errands: Final = Errands()
        self._is_busy = False

    def hold(self, stored: Stored) -> None:
        """Move an entry, soon."""
        self.drop(stored.id)
        self._held[stored.id] = stored
        if not self._is_busy:
            self._is_busy = True
            self._errands.start(self._move_all(), name="moving entries")

    def drop(self, entry_id: str, stored: Stored | None = None) -> bool:
        """Hold an entry no more, or only if it has not changed since; says whether it was held."""
        held = self._held.get(entry_id)
        if held is None or (stored is not None and held is not stored):
            return False
        del self._held[entry_id]
        self._problems.pop(entry_id, None)
        return True

    async def moved(self, entry_id: str) -> None:
        """Wait until an entry has moved, if it has to.

        Raises:
            BrokerError: The queue that it has left cannot be reached.
        """
        while entry_id in self._held:
            if entry_id in self._problems:
                raise self._problems[entry_id]
            await self._progress.wait()

    async def _move_all(self) -> None:
        try:
            while self._held:
                some = [*self._held.values()][:AT_A_TIME]
                if not await self._move(some):
                    await asyncio.sleep(PAUSE)
        finally:
            self._is_busy = False

    async def _move(self, some: Sequence[Stored]) -> bool:
        done = await asyncio.gather(*map(self._hand_over, some))
        moved = [stored for stored, problem in zip(some, done, strict=True) if problem is None]
        for stored, problem in zip(some, done, strict=True):
            if problem is not None:
                self._put_off(stored, problem)
        await self._take(moved)
        self._progress.set()
        self._progress = asyncio.Event()
        return bool(moved)

    async def _hand_over(self, stored: Stored) -> BrokerError | None:
        try:
            await self._entries.hand_over(stored)
        except BrokerError as error:
            return error
        return None

    def _put_off(self, stored: Stored, problem: BrokerError) -> None:
        if self._held.get(stored.id) is not stored:
            return
        is_news = stored.id not in self._problems
        # The others come first the next time.
        self._held[stored.id] = self._held.pop(stored.id)
        self._problems[stored.id] = problem
        if is_news:
            self._log.warning(
                "entry %r waits to be moved to queue %r until the one before it can be told: %s",
                stored.id,
                stored.queue,
                problem,
                extra={"event": "entry_held", "entry": stored.id},
            )

    async def aclose(self) -> None:
        """Leave the rest to others, or to the next start."""
        await self._errands.cancel()

"""Keeps a scheduler in step with the stored entries: they are the truth, and its timetable a copy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from asyncq._broker.broker import Broker
from asyncq._broker.entries import MODULUS, Change, Entries, Stored
from asyncq._logs import Log
from asyncq._redis.subscription import Subscription
from asyncq._scheduling.movers import Movers
from asyncq._scheduling.reconciler import Reconciler
from asyncq._scheduling.roster import Roster
from asyncq._service import Errands, Service
from asyncq.entries import Entry
from asyncq.errors import EntryDeclaredError, EntryExistsError

ROUNDS: Final = 3
"""Looks in one tick: what was stored is read back, and that may say that something else is to be done."""


SOON: Final = 0.5
"""Seconds until the next tick when there is more to do. Whatever it is, it must not go on without a pause."""

TURN: Final = 50
"""Entries that are taken over between two turns of the event loop: what is due must not wait for them."""


class Follower(Service):
    """Reads what has changed, and stores what is declared here and Redis does not have.

    It is poked by a message with each change, and looks in intervals where the message was missed.
    While Redis is away the timetable stays as it is.

    Args:
        entries: Where they are stored.
        roster: What is known of them here.
        reconciler: Stores what is declared, and judges what nobody declares any more.
        align: Called with entries that come at other times than before.
        owe: Called with an entry whose past is to be looked at.
        interval: Seconds between two looks.
        on_change: Called when entries have changed.
        log: Where to say so.
    """

    def __init__(  # noqa: PLR0913 - what it acts on, and for whom
        self,
        entries: Entries,
        roster: Roster,
        reconciler: Reconciler,
        *,
        align: Callable[[Sequence[Entry]], Awaitable[None]],
        owe: Callable[[Entry], None],
        interval: float,
        on_change: Callable[[], None],
        log: Log,
    ) -> None:
        super().__init__("entries")
        self._entries: Final = entries
        self._roster: Final = roster
        self._reconciler: Final = reconciler
        self._align: Final = align
        self._owe: Final = owe
        self._movers: Final = Movers(entries, self._take_moved, log=log)
        self._interval: Final = interval
        self._on_change: Final = on_change
        self.log = log
        self._version = 0
        self._lock: Final = asyncio.Lock()
        self._gap = 0  # what is missing in the sum, where somebody has changed entries by hand
        self._looks = 0  # how many have begun
        self._seen = 0  # the last one that has ended well

    async def tick(self) -> float:
        for _ in range(ROUNDS):
            await self.look()
            if not await self._reconciler.settle():
                return self._interval
        return min(SOON, self._interval)

    async def begin(self) -> None:
        """Load everything and store what is declared here, before anything is enqueued.

        Raises:
            EntryExistsError: A client has put other definitions under ids that are declared here.
            EntryDeclaredError: Another application that runs declares one of them otherwise.
            BrokerError: Redis could not be asked.
        """
        await self.tick()
        self._roster.is_followed = True
        conflicts = self._reconciler.conflicts
        foreign = [entry_id for entry_id, (word, _) in conflicts.items() if word == "declared"]
        if foreign:
            raise EntryDeclaredError(foreign[0], self._roster.known[foreign[0]].application)
        if conflicts:
            raise EntryExistsError(*sorted(conflicts))

    async def refresh(self, entry_id: str) -> tuple[Entry | None, str]:
        """Return an entry as it is now, or `None` and why: `paused`, or `changed` when it is gone.

        Raises:
            BrokerError: Redis could not be asked.
        """
        await self.look()
        if entry_id in self._roster.unsettled and await self._reconciler.settle():
            await self.look()
        await self._movers.moved(entry_id)
        await self._renew(entry_id)
        reason = "paused" if entry_id in self._roster.paused else "changed"
        return self._roster.current(entry_id), reason

    async def _renew(self, entry_id: str) -> None:
        """Let an entry not be fenced off by a change that Redis has lost."""
        present = self._roster.current(entry_id)
        if present is None:
            return
        renewed = await self._entries.renew(entry_id, present.queue)
        if renewed is None or renewed.version <= present.version:
            return
        if renewed.word == "done":
            self.log.warning(
                "Redis has lost a change of entry %r: it goes on as it is stored",
                entry_id,
                extra={"event": "entry_renewed", "entry": entry_id},
            )
        await self.look()

    async def look(self) -> None:
        """Take over what has changed in Redis. Those who ask at the same time share the answer."""
        asked_at = self._looks
        async with self._lock:
            if self._seen > asked_at:  # a look that began after we asked
                return
            self._looks += 1
            await self._take_over()
            self._seen = self._looks

    async def _take_over(self) -> None:
        if await self._read(self._version) == self._gap:
            return
        # Something was lost, in a fail-over or because we did not look for long: compare all of it.
        gap = await self._read(0)
        if gap not in (0, self._gap):
            self.log.warning("the stored entries do not add up", extra={"event": "entries_differ"})
        self._gap = gap or 0

    async def _read(self, after: int) -> int | None:
        """Read what was changed after a version; from 0, everything.

        Returns:
            By how much the sum of what is stored differs from that of what is known here; `None` when
            all has to be read.
        """
        is_whole = not after
        seen: set[str] = set()
        anew: list[Entry] = []
        while True:
            news = await self._entries.news(after)
            if news.version < after or (not is_whole and after < news.floor):
                return None
            seen.update(change.id for change in news.rows if change.is_there)
            anew += await self._take(news.rows)
            after = news.last
            if news.is_all:
                break
        gone = self._roster.gone(seen) if is_whole else []
        await self._take([Change(entry_id, 0, is_there=False, stored=None) for entry_id in gone])
        self._version = news.version
        await self._align(anew)
        return (news.sum - self._roster.sum) % MODULUS

    async def _take(self, changes: Sequence[Change]) -> list[Entry]:
        """Take over changes, and return the entries that come at other times than before."""
        anew: list[Entry] = []
        for number, change in enumerate(changes):
            if number % TURN == 0:
                await asyncio.sleep(0)
            before = self._roster.running(change.id)
            stored = change.stored
            is_held = stored is not None and stored.is_moving and self._roster.runs(stored)
            entry = self._roster.take(change, is_held=is_held)
            was_held = self._movers.drop(change.id)
            if is_held and stored is not None:
                self._movers.hold(stored)
            if entry is not None:
                anew.append(entry)
                if was_held or (before is not None and before.queue != entry.queue):
                    self._owe(entry)
        if changes:
            self._on_change()
        return anew

    async def _take_moved(self, moved: Sequence[Stored]) -> None:
        """Run entries in their queues of now, since those of before know of it."""
        async with self._lock:
            told = [replace(stored, left=()) for stored in moved if self._movers.drop(stored.id, stored)]
            anew = await self._take([Change(one.id, one.version, is_there=True, stored=one) for one in told])
            await self._align(anew)
        for entry in anew:
            self._owe(entry)

    async def aclose(self) -> None:
        """Tell no more queues."""
        await self._movers.aclose()


@asynccontextmanager
async def told(broker: Broker, follower: Follower, waking: str) -> AsyncGenerator[None]:
    """Poke a follower with each change that somebody makes, for the length of a block."""
    if waking == "poll":
        yield
        return
    errands = Errands()
    subscription = Subscription(
        broker.router,
        (broker.wire.keys.entry_news,),
        name=f"asyncq:entries:{broker.owner}",
        on_message=lambda channel, data: follower.poke(),  # noqa: ARG005 - it looks for itself
        on_listening=follower.poke,
    )
    errands.start(subscription.run(), name="entry news")
    try:
        yield
    finally:
        await errands.cancel()

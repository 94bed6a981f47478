"""Hears of what others put into our queues without a word: producers of another library on the same Redis.

Redis tells of it (`_redis/tracking.py`): once for each reading of a key. What is read is little, and when:

- `pending`, when the fetcher comes to rest, having got less than it wanted. A server that is busy does not
  rest and so does not read, and is told nothing.
- `scheduled` and `retry`, the first of each, after a change. The forwarder is woken only by what is due
  before all it knew, so others may schedule as much as they like for later.
- `groups` and `paused`, after a change.

Each reading tells what is there, so nothing is missed between the last look and the waiting. Where Redis does
not tell, or not us, all are looked at every second, as other servers of such a Redis do.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from asyncq._broker.basis import Basis
from asyncq._engine.watched_keys import WatchedKeys
from asyncq._engine.yielding import Yielding
from asyncq._logs import Log
from asyncq._redis.tracking import Tracking, Watch
from asyncq._service import OnBroken, Service, running
from asyncq.config import ServerConfig
from asyncq.errors import BrokerError, BrokerUnavailableError

CHECK_EVERY: Final = 15.0
"""Seconds between two questions whether the connection lives and leads to who serves the queues now."""

POLL_EVERY: Final = 1.0
"""Seconds between two looks while nothing is heard."""

REFUSED_FOR: Final = 60.0
"""Seconds between two attempts where Redis does not tell us: it will not change its mind by itself."""

UNHEARD_AFTER: Final = 10.0
"""Seconds without hearing after which it is said: a proxy may hang up instead of refusing in words."""

FIRST_DELAY: Final = 0.05
"""Seconds before the second attempt to connect; doubled up to `POLL_EVERY`."""

WORK_GAP: Final = 0.002
"""Seconds between two readings of `pending`. What comes faster is found several at a time."""

DELAYED_GAP: Final = 0.05
GROUPS_GAP: Final = 0.1
PAUSED_GAP: Final = 0.02
"""Seconds between two readings of the others: nothing there is urgent to the millisecond."""


class Takes(Protocol):
    """What we need of the fetcher."""

    taken: int
    on_rest: Callable[[Sequence[str]], None] | None

    def rouse(self, queue: str) -> None:
        """There may be work in a queue."""
        ...

    def is_asking(self, queue: str) -> bool:
        """Whether a call that asks for work of it is on its way."""
        ...


class Forwards(Protocol):
    """What we need of a forwarder."""

    def expect(self, due: float) -> None:
        """Something is due then."""
        ...

    def poke(self) -> None:
        """Look now."""
        ...


class Watcher(Service):
    """Wakes the actors of one server when somebody else has put something into queues of one slot."""

    def __init__(  # noqa: PLR0913 - what it may touch, said one by one
        self,
        tracking: Tracking,
        basis: Basis,
        queues: Sequence[str],
        *,
        fetcher: Takes,
        forwarder: Forwards,
        aggregator: Service | None,
        poll_every: float = POLL_EVERY,
    ) -> None:
        super().__init__("watcher")
        self._queues: Final = list(queues)
        self._fetcher: Final = fetcher
        self._forwarder: Final = forwarder
        self._aggregator: Final = aggregator
        self._poll_every: Final = min(POLL_EVERY, poll_every)
        self._events: Final = asyncio.get_running_loop()
        self._time: Final = self._events.time
        keys = [basis.queue(name) for name in queues]
        self._queue_of: Final = {key.pending: key.name for key in keys} | {
            key.paused: key.name for key in keys
        }
        self._pending: Final = tuple(key.pending for key in keys)
        self._work: Final = WatchedKeys(self._pending, self._read_work, gap=WORK_GAP)
        self._pauses: Final = WatchedKeys([key.paused for key in keys], self._read_pauses, gap=PAUSED_GAP)
        delayed = [name for key in keys for name in (key.scheduled, key.retry)]
        self._delayed: Final = WatchedKeys(delayed, self._read_delayed, gap=DELAYED_GAP)
        groups = [] if aggregator is None else [key.groups for key in keys]
        self._groups: Final = WatchedKeys(groups, self._read_groups, gap=GROUPS_GAP)
        self._all: Final = (self._pauses, self._work, self._delayed, self._groups)
        self._watch: Final = Watch(
            tracking, basis.slot(self._queues[0]), on_changed=self._changed, on_lost=self._lost
        )
        self._paused: set[str] = set()
        self._yielding: Final = Yielding()
        self._taken_before: int | None = None  #: how many had been taken when the fetcher was last roused
        self._is_contested = False  #: we were told of something, and let others go first
        self._answered: asyncio.Future[None] | None = None
        self._trouble: BrokerError | None = None
        self._opened_at = -math.inf
        self._delay = FIRST_DELAY
        self._refused_until = -math.inf
        self._deaf_since: float | None = None
        self._has_warned = False

    @property
    def hears(self) -> bool:
        """Whether Redis tells us of changes now."""
        return self._watch.is_open

    # -- the connection -----------------------------------------------------------------------------

    async def tick(self) -> float:
        """See that we hear; look ourselves where we do not."""
        if self._time() < self._refused_until:
            return self._look()
        try:
            trouble, self._trouble = self._trouble, None
            if trouble is not None:
                raise trouble
            if await self._watch.open():
                self._opened_at = self._time()
                self._read_all()
            await self._check()
        except BrokerError as error:
            return self._deaf(error)
        self._delay, self._deaf_since = FIRST_DELAY, None
        if self._has_warned:
            self._has_warned = False
            self.log.info("Redis tells of changes again", extra={"event": "changes_heard"})
        return CHECK_EVERY * random.uniform(0.9, 1.1)

    async def stop(self) -> None:
        """Stop, and hear no more."""
        await super().stop()
        self._watch.close()
        for keys in self._all:
            keys.cancel()

    def _read_all(self) -> None:
        self._paused.clear()
        for keys in self._all:
            keys.note(None)
            keys.want()

    async def _check(self) -> None:
        """Whether somebody is there, and serves our keys: an answer, or the error that it is not so."""
        answered: asyncio.Future[None] = self._events.create_future()
        self._answered = answered

        def on_value(_: Any) -> None:
            if not answered.done():
                answered.set_result(None)

        self._watch.read(("EXISTS", *self._pending), on_value)
        await answered

    def _lost(self, error: BrokerError) -> None:
        """Nothing is heard any more."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
            return
        if not isinstance(error, BrokerUnavailableError):
            self._trouble = error
        # At once, but where it is lost each time as soon as it is there.
        self._events.call_at(max(self._time(), self._opened_at + self._poll_every), self.poke)

    def _deaf(self, error: BrokerError) -> float:
        """Nothing will be heard for a while: look ourselves meanwhile."""
        self._watch.close()
        now = self._time()
        if self._deaf_since is None:
            self._deaf_since = now
        is_away = isinstance(error, BrokerUnavailableError)
        if not is_away or now - self._deaf_since >= UNHEARD_AFTER:
            self._warn(error)
        if is_away:
            self.log.debug("cannot hear of changes", extra={"event": "watch_failed", "reason": str(error)})
            self._look()
            self._delay = min(self._delay * 2, self._poll_every)
            return random.uniform(self._delay / 2, self._delay)
        self._refused_until = now + REFUSED_FOR
        return self._look()

    def _warn(self, error: BrokerError) -> None:
        if not self._has_warned:
            self._has_warned = True
            self.log.warning(
                "Redis does not tell of changes (%s): what other producers enqueue is looked for every %g s",
                error,
                self._poll_every,
                extra={"event": "changes_unheard", "reason": str(error), "seconds": self._poll_every},
            )

    def _look(self) -> float:
        for queue in self._queues:
            self._fetcher.rouse(queue)
        self._forwarder.poke()
        if self._aggregator is not None:
            self._aggregator.poke()
        return self._poll_every

    # -- what has changed -----------------------------------------------------------------------------

    def _changed(self, keys: Collection[bytes] | None) -> None:
        for key in self._work.note(keys):
            self._told_of(self._queue_of[key])
        for others in (self._delayed, self._groups, self._pauses):
            if others.note(keys):
                others.want()

    def _told_of(self, queue: str) -> None:
        """Somebody has put tasks into a queue, or taken some."""
        if queue in self._paused or self._fetcher.is_asking(queue):
            return  # when the answer is there, or the queue goes on, what is there is read
        delay = self._yielding.delay()
        if delay:
            self._is_contested = True
            self._work.want(delay)
        else:
            self._rouse([queue])

    def _rouse(self, queues: Sequence[str]) -> None:
        if self._taken_before is None:
            self._taken_before = self._fetcher.taken
        for queue in queues:
            self._fetcher.rouse(queue)

    def rested(self) -> None:
        """The fetcher has taken all there is and could take more."""
        before, self._taken_before = self._taken_before, None
        if before is not None:
            self._yielding.note(found=self._fetcher.taken > before)
        self._work.want()

    def _read_work(self, changed: set[str]) -> None:
        reading = [key for key in self._pending if key in changed and self._queue_of[key] not in self._paused]
        if not reading:
            return
        changed.difference_update(reading)
        is_contested, self._is_contested = self._is_contested, False

        def on_value(count: Any) -> None:
            if count:
                self._rouse([self._queue_of[key] for key in reading])
            elif is_contested:
                self._yielding.note(found=False)

        self._watch.read(("EXISTS", *reading), on_value)

    def _read_pauses(self, changed: set[str]) -> None:
        for key in changed:
            self._watch.read(("EXISTS", key), partial(self._note_pause, key))
        changed.clear()

    def _note_pause(self, key: str, count: Any) -> None:
        queue = self._queue_of[key]
        if count:
            self._paused.add(queue)
            return
        # Also where no pause was seen: the queue may have been paused and let go on between two
        # readings, and the fetcher have looked in vain meanwhile.
        self._paused.discard(queue)
        self._rouse([queue])
        self._work.want()

    def _read_delayed(self, changed: set[str]) -> None:
        for key in changed:
            self._watch.read(("ZRANGE", key, 0, 0, "WITHSCORES"), self._note_due)
        changed.clear()

    def _note_due(self, first: Any) -> None:
        if first:
            self._forwarder.expect(float(first[0][1]))

    def _read_groups(self, changed: set[str]) -> None:
        self._watch.read(("EXISTS", *sorted(changed)), self._note_groups)
        changed.clear()

    def _note_groups(self, count: Any) -> None:
        if count and self._aggregator is not None:
            self._aggregator.poke()


@dataclass(frozen=True, slots=True)
class Woken:
    """Whom the watchers wake: forwarders and aggregators each for the same queues, if there are any."""

    fetcher: Takes
    forwarders: Sequence[Forwards]
    aggregators: Sequence[Service]


@asynccontextmanager
async def watching(
    basis: Basis,
    config: ServerConfig,
    together: Sequence[Sequence[str]],
    woken: Woken,
    *,
    on_broken: OnBroken,
    log: Log,
) -> AsyncGenerator[list[Watcher]]:
    """Hear of what silent producers do, for the length of a block: a watcher for each slot's queues."""
    tracking = Tracking(basis.router, name=f"asyncq:watcher:{basis.owner}")
    watchers = [
        Watcher(
            tracking,
            basis,
            queues,
            fetcher=woken.fetcher,
            forwarder=woken.forwarders[at],
            aggregator=woken.aggregators[at] if woken.aggregators else None,
            poll_every=config.check_interval,
        )
        for at, queues in enumerate(together)
    ]
    at_rest = {queues[0]: watcher for queues, watcher in zip(together, watchers, strict=True)}

    def rested(queues: Sequence[str]) -> None:
        for queue in queues:
            if queue in at_rest:
                at_rest[queue].rested()

    woken.fetcher.on_rest = rested
    async with AsyncExitStack() as stack:
        stack.callback(tracking.close)
        for watcher in watchers:
            await stack.enter_async_context(running(watcher, on_broken, log))
        yield watchers

"""Takes tasks out of the queues: as many as there are free slots, never more.

It works by callback. Each of these calls it: a slot became free, a message says that there is
work, the safety timer, an answer that came. It then asks for as many tasks as there are free slots, if
there is reason to believe that there is something to get, and hands what comes to the executor at
once. There is no coroutine in which a cancellation could catch tasks between Redis and the executor.

A *source* is a set of queues that can be asked in one call: all of them, except in a cluster, where it
is those of one slot. A source is *hungry* while it is worth asking: after an answer that was
full, and after a message. An answer with less than was wanted ends that; from then on the server
stands in `waiting` in Redis and a message will come (deliver.lua does both in one step, so no
task can slip between the look and the registration).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from asyncq._broker.basis import Basis
from asyncq._broker.deliver import MAX_TASKS, Deliver, Delivery
from asyncq._engine.queue_order import QueueOrder
from asyncq._logs import SERVER_LOG, Log
from asyncq.errors import AsyncqError, ClosedError

AFTER_FAILURE: Final = 1.0
"""Seconds before asking again after Redis answered something that we do not understand."""


OVERDUE_AFTER: Final = 1.0
"""Seconds after which a call that is not answered no longer keeps slots from other sources.

A node of a cluster that is away must not keep the server from the queues of the others. On a healthy
one an answer takes milliseconds."""

STOP_PATIENCE: Final = 3.0
"""Seconds to wait for an answer that is on its way when fetching stops."""

LANES: Final = 2
"""Calls to one source that may be on their way at the same time.

With one, Redis waits while we run what it gave, and we wait while it gives: a server whose
handlers are short does two thirds of what it could (docs/adr/0006-two-lanes.md)."""

SMALLEST_SHARE: Final = 16
"""Tasks below which a call is not split in two: small calls cost Redis more than overlapping gains."""

LARGEST_SHARE: Final = 200
"""Tasks above which a call grows no more: nearly all is gained by then, and a larger one makes Redis
and us wait for each other (docs/adr/0006-two-lanes.md)."""


class _Source:
    """Queues that are asked together."""

    def __init__(self, queues: Mapping[str, int], *, strict: bool) -> None:
        self.order = QueueOrder(queues, strict=strict)
        self.weight = max(queues.values()) if strict else sum(queues.values())
        self.is_hungry = True
        self.is_rich = False  #: the last answer was full
        self.wakes = 0  #: messages so far
        self.lanes = list(range(LANES))  #: those in which no call is on its way
        self.overdue = 0  #: calls that have not been answered for so long that its node must be away

    @property
    def is_ready(self) -> bool:
        """Whether to ask it now. One call at a time until an answer was full: more would be for nothing."""
        if not self.is_hungry or self.overdue:
            return False
        return bool(self.lanes) if self.is_rich else len(self.lanes) == LANES


class _Asked:
    """A call that is on its way, and the slots that are kept for its answer."""

    __slots__ = ("at", "kept", "source")

    def __init__(self, source: _Source, kept: int, at: float) -> None:
        self.source = source
        self.kept = kept
        self.at = at


class Fetcher:
    """Asks for tasks when it can use them and there may be some."""

    def __init__(  # noqa: PLR0913 - what it may touch, said one by one
        self,
        basis: Basis,
        deliver: Deliver,
        queues: Mapping[str, int],
        *,
        strict: bool,
        interval: float,
        lease: float,
        concurrency: int,
        free: Callable[[], int],
        take: Callable[[list[Delivery]], None],
        give_back: Callable[[list[Delivery]], None],
        log: Log = SERVER_LOG,
    ) -> None:
        self._basis: Final = basis
        self._deliver: Final = deliver
        self._queues: Final = dict(queues)
        self._strict: Final = strict
        self._interval: Final = interval
        self._fresh_for: Final = lease / 2
        self._share: Final = min(MAX_TASKS, LARGEST_SHARE, max(SMALLEST_SHARE, -(-concurrency // LANES)))
        self._enough: Final = min(self._share, concurrency)
        self._free: Final = free
        self._take: Final = take
        self._give_back: Final = give_back
        self._log: Final = log
        self._loop: Final = asyncio.get_running_loop()
        self._sources: list[_Source] = []
        self._by_waiting_key: dict[bytes, _Source] = {}
        self._asked_for = 0  #: slots that are kept for answers
        self._on_their_way: set[_Asked] = set()
        self._overdue_timer: asyncio.TimerHandle | None = None
        self._errands = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False
        self._planned = False
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.last_answer_at = self._loop.time()
        self.taken = 0  #: tasks so far
        self.on_rest: Callable[[Sequence[str]], None] | None = None
        """Called with queues that gave less than was wanted and are not asked again for now."""

    def start(self) -> None:
        """Begin to ask, or go on after a stop.

        The connection must be there: in a cluster it tells which queues go together.
        """
        if self._is_open:
            return
        if not self._sources:
            self._find_sources()
        for source in self._sources:
            source.is_hungry = True
        self._is_open = True
        self.last_answer_at = self._loop.time()  # or, after a stop, since when it is asking again
        self._set_timer()
        # Whoever still waits for the stop need not; who stops us again must, for what is on its way now.
        self._quiet.set()
        if self._on_their_way or self._errands:
            self._quiet.clear()
        self.slot_free()

    def _find_sources(self) -> None:
        for names in self._basis.by_slot(self._queues).values():
            source = _Source({name: self._queues[name] for name in names}, strict=self._strict)
            self._sources.append(source)
            for name in names:
                self._by_waiting_key[self._basis.queue(name).waiting.encode()] = source
        self._sources.sort(key=lambda source: -source.weight)

    async def stop(self) -> None:
        """Ask no more, wait for the answer that is on its way, and send messages elsewhere."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
        try:
            async with asyncio.timeout(STOP_PATIENCE):
                await self._quiet.wait()
                if self._is_open:
                    return  # it was started again meanwhile
                for source in self._sources:
                    self._step_aside(source)
                await self._quiet.wait()
        except TimeoutError:
            # Redis is away. What an answer still brings is given back by the executor, or comes back
            # when its lease is over.
            self._log.warning("Redis is away: leaving without a good-bye", extra={"event": "fetch_abandoned"})

    def _step_aside(self, source: _Source) -> None:
        self._errands += 1
        self._quiet.clear()

        def done() -> None:
            self._errands -= 1
            self._note_quiet()
            # Sent again (the script was new to Redis, or the connection broke) it may have been carried
            # out after a request that was sent later, and have taken away the place of that one.
            source.is_hungry = True
            source.wakes += 1
            self.slot_free()

        self._deliver.step_aside(source.order.names, on_done=done)

    def _note_quiet(self) -> None:
        if not self._on_their_way and not self._errands:
            self._quiet.set()

    def slot_free(self) -> None:
        """A slot became free: ask when there are enough, or else at the end of this turn of the loop."""
        if not self._is_open:
            return
        if self._free() - self._asked_for >= self._enough:
            # Now, so that Redis works on it while the handlers run whose turn it is next.
            self._ask()
        elif not self._planned:
            self._planned = True
            self._loop.call_soon(self._ask)

    def wake(self, waiting_key: bytes | None = None) -> None:
        """There may be work: in the queue whose waiting key this is, or anywhere."""
        source = self._by_waiting_key.get(waiting_key) if waiting_key is not None else None
        for one in [source] if source is not None else self._sources:
            one.is_hungry = True
            one.wakes += 1
        if source is not None and not (self._is_open and self._free() - self._asked_for > 0):
            # The message was for somebody who can act on it.
            self._step_aside(source)
        self._ask()

    def rouse(self, queue: str) -> None:
        """Somebody put work into a queue, or may have, and has told all servers and not only this one."""
        source = self._source_of(queue)
        if source is not None:
            source.is_hungry = True
            source.wakes += 1
            self._ask()

    def is_asking(self, queue: str) -> bool:
        """Whether a call that asks for work of this queue is on its way."""
        source = self._source_of(queue)
        return source is not None and len(source.lanes) < LANES

    def _source_of(self, queue: str) -> _Source | None:
        return self._by_waiting_key.get(self._basis.queue(queue).waiting.encode())

    def _set_timer(self) -> None:
        # With jitter, so that the servers of a fleet that was started together do not ask together.
        delay = self._interval * random.uniform(0.9, 1.1)
        self._timer = self._loop.call_later(delay, self._safety)

    def _safety(self) -> None:
        self._set_timer()
        self.wake()

    def _ask(self) -> None:
        self._planned = False
        if not self._is_open:
            return
        while (want := self._free() - self._asked_for) > 0:
            source = self._choose()
            if source is None:
                return
            self._request(source, min(want, self._share))

    def _choose(self) -> _Source | None:
        """A source that is worth asking: the first in rank, or one drawn by weight."""
        ready = [source for source in self._sources if source.is_ready]
        if not ready:
            return None
        if self._strict:
            # A lower rank may be asked only when all above it are known to be empty, or away.
            there = [source for source in self._sources if not source.overdue]
            first = next(source for source in there if source.is_hungry or len(source.lanes) < LANES)
            return first if first.is_ready else None
        return random.choices(ready, [source.weight for source in ready])[0]

    def _request(self, source: _Source, want: int) -> None:
        lane, wakes = source.lanes.pop(), source.wakes
        asked = _Asked(source, want, self._loop.time())
        self._asked_for += want
        self._on_their_way.add(asked)
        self._quiet.clear()
        if self._overdue_timer is None and len(self._sources) > 1:
            self._overdue_timer = self._loop.call_later(OVERDUE_AFTER, self._look_for_overdue)

        def answered() -> None:
            source.lanes.append(lane)
            self._asked_for -= asked.kept
            if not asked.kept:
                source.overdue -= 1
            self._on_their_way.discard(asked)
            self._note_quiet()

        def on_delivered(deliveries: list[Delivery]) -> None:
            answered()
            self.last_answer_at = self._loop.time()
            source.is_rich = len(deliveries) == want
            if source.is_rich:
                source.is_hungry = True
            elif source.wakes == wakes:
                # A message that came since we asked may be about work that came later, although it
                # overtook this answer: they come on different connections.
                source.is_hungry = False
            self._hand_on(asked, deliveries)
            if self.on_rest is not None and not source.is_hungry:
                self.on_rest(source.order.names)
            self.slot_free()

        def on_failure(error: AsyncqError) -> None:
            answered()
            if not isinstance(error, ClosedError):
                self._log.error("cannot take tasks: %s", error, extra={"event": "fetch_failed"})
                self._loop.call_later(AFTER_FAILURE, self.slot_free)

        self._deliver.request(
            source.order.divide(want), want, lane=lane, on_delivered=on_delivered, on_failure=on_failure
        )

    def _hand_on(self, asked: _Asked, deliveries: list[Delivery]) -> None:
        self.taken += len(deliveries)
        if self._loop.time() - asked.at > self._fresh_for:
            # The answer may have lain here while a handler blocked the loop, and nobody prolongs a lease
            # that he does not know of. They may run elsewhere by now; if not, putting them back says so.
            room = 0
        elif asked.kept:
            room = len(deliveries)
        else:
            # Others may have got the slots meanwhile.
            room = max(0, self._free() - self._asked_for)
        self._take(deliveries[:room])
        if len(deliveries) > room:
            self._give_back(deliveries[room:])

    def _look_for_overdue(self) -> None:
        """Take the slots away from calls that are not answered. What they still bring is not lost by that."""
        self._overdue_timer = None
        before = self._loop.time() - OVERDUE_AFTER
        earliest: float | None = None
        for asked in self._on_their_way:
            if asked.kept and asked.at <= before:
                self._asked_for -= asked.kept
                asked.kept = 0
                asked.source.overdue += 1
            elif asked.kept and (earliest is None or asked.at < earliest):
                earliest = asked.at
        if earliest is not None:
            self._overdue_timer = self._loop.call_at(earliest + OVERDUE_AFTER, self._look_for_overdue)
        self._ask()

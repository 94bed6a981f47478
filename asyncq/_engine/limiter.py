"""Lets tasks of limited handlers run when there is a slot for them, and puts them back when there is none.

A handler with a limit needs a slot of a semaphore. Its delivery asks for one and does not wait: if there
is none the task is put back into `scheduled` and the place in the server is free for another task. This
server remembers it, is told when a slot gets free, and lets as many of its tasks be taken then as there
are slots (docs/adr/0013-limits.md). If this server dies, or has too many to remember them all, their time
in `scheduled` comes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

from asyncq._broker.broker import Broker
from asyncq._broker.delayed import Delayed, PutBack
from asyncq._broker.semaphores import CALLED, Semaphores
from asyncq._broker.together import together
from asyncq._engine.conclusions import Conclusions
from asyncq._engine.held import HeldDeliveries
from asyncq._engine.run import Run
from asyncq._engine.settler import Settler
from asyncq._logs import Log
from asyncq._service import Service
from asyncq._slots import AHEAD, Held, Slots
from asyncq.config import ServerConfig
from asyncq.context import CancelReason, Context
from asyncq.errors import AsyncqError, BrokerError
from asyncq.limit import Limit, Place
from asyncq.task import Task

Call = Callable[[Task, Context], Awaitable[Any]]

LOOK: Final = 1.0
"""Seconds between two looks for slots, while tasks wait here and nobody says that one is free."""

STAND: Final = 5.0
"""Seconds for which this server is told of free slots after a look."""

PUT_BACK: Final = 5.0
"""Seconds after which a task comes back by itself, give or take a quarter. That is for when we die."""

COME_BACK: Final = 100.0
"""Tasks of one limit that may come back by themselves in a second. With more of them it takes longer."""

MOST: Final = 10_000
"""Tasks remembered for one limit. Further ones come back by themselves, one after the other."""

SOON: Final = 0.02
"""Seconds until the outcomes of tasks that were just put back should be written."""

CHUNK: Final = 200
"""Tasks let in by one call when this server leaves."""

FAREWELL: Final = 1.0
"""Seconds for that."""


class NotAdmittedError(AsyncqError):
    """There is no slot; the task was put back already. Never leaves the executor."""


class _Parked(NamedTuple):
    """A task that waits in `scheduled` for a slot."""

    task: PutBack
    due: float  #: when it comes back by itself, by the loop's clock


class Limiter(Service):
    """Admits tasks of limited handlers, and lets those in that were put back.

    Each tick, for each limit with tasks that were put back:

    1. looks for free slots, and asks to be told of the next ones;
    2. lets as many tasks be taken as there are.
    """

    longest_delay = LOOK

    def __init__(
        self,
        slots: Slots,
        semaphores: Semaphores,
        delayed: Delayed,
        conclusions: Conclusions,
    ) -> None:
        super().__init__("limiter")
        self._slots: Final = slots
        self._semaphores: Final = semaphores
        self._delayed: Final = delayed
        self._conclusions: Final = conclusions
        self.stop_work: Callable[[str, CancelReason], object] | None = None  #: stops a delivery
        self._clock: Final = asyncio.get_running_loop().time
        self._parked: dict[Limit, dict[tuple[str, str], _Parked]] = {}
        self._overflow_at = 0.0

    # -- deliveries --------------------------------------------------------------------------------

    def guard(self, run: Run, limit: Limit, call: Call) -> Call:
        """Wrap the calling of a handler, middleware and all, in the taking of a slot."""

        async def limited(task: Task, context: Context) -> Any:
            held = await self._admit(run, limit)
            try:
                return await call(task, context)
            finally:
                self._slots.give_back(held)

        return limited

    async def _admit(self, run: Run, limit: Limit) -> Held:
        token = run.delivery.token
        try:
            # With the delivery's own token: a call that is sent again does not take a second slot.
            held = await self._slots.take(limit, seconds=0.0, token=token, delivery=token)
        except asyncio.CancelledError:
            if run.context.cancel_reason == "timeout":
                # The time was spent on waiting for Redis, and not by the handler.
                self._put_back(run, limit)
                raise NotAdmittedError from None
            raise
        except BrokerError as error:
            self.log.warning(
                "task %s (%s) goes back, since semaphore %r cannot be asked: %s",
                run.delivery.id,
                run.envelope.type,
                limit.scope,
                error,
                extra={"event": "semaphore_unreachable", "scope": limit.scope, "task_id": run.delivery.id},
            )
            self._put_back(run, limit)
            raise NotAdmittedError from error
        if held is None:
            self._put_back(run, limit)
            raise NotAdmittedError
        held.on_lost = partial(self._stop, token)
        return held

    def _stop(self, token: str) -> None:
        if self.stop_work is not None:
            self.stop_work(token, "slot_lost")

    def _put_back(self, run: Run, limit: Limit) -> None:
        delivery, now = run.delivery, self._clock()
        parked = self._parked.setdefault(limit, {})
        where = (delivery.queue, delivery.id)
        if len(parked) >= MOST and where not in parked:
            self._overflow_at = max(self._overflow_at, now + MOST / COME_BACK) + 1 / COME_BACK
            self._conclusions.put_back(run, self._overflow_at - now)
            return
        delay = max(PUT_BACK, len(parked) / COME_BACK) * random.uniform(0.75, 1.25)
        self._conclusions.put_back(run, delay)
        task = PutBack(delivery.queue, delivery.id, delivery.token, delivery.deliveries + 1)
        parked[where] = _Parked(task, now + delay)  # one that came back by itself keeps its place
        if len(parked) == 1:
            self.poke()

    # -- letting in ----------------------------------------------------------------------------------

    def heard(self, message: bytes) -> None:
        """A message came about slots; an empty one says that some may have been missed."""
        if message.startswith(CALLED):
            self._slots.called(message)
        elif not message:
            self._slots.call_all()
            self.poke()
        elif self._parked:
            self.poke()

    async def tick(self) -> float:
        waits = [float("inf")]

        async def look(limit: Limit) -> None:
            waits.append(await self._look(limit))

        await together([look(limit) for limit in list(self._parked)])
        return min(waits)

    async def _look(self, limit: Limit) -> float:
        """Look after one limit. Returns how long to wait before the next look."""
        parked = self._parked[limit]
        now = self._clock()
        for where, one in list(islice(parked.items(), CHUNK)):
            if one.due < now:
                del parked[where]  # its time has come, or it would have been put back again
        if not parked:
            del self._parked[limit]
            await self._semaphores.vacancy(limit.scope, maximum=limit.maximum, stand=0.0)
            return float("inf")
        found = await self._semaphores.vacancy(limit.scope, maximum=limit.maximum, stand=STAND)
        if found.free and await self._let_in(parked, found.free):
            return SOON
        wait = random.uniform(LOOK * 0.8, LOOK)
        return wait if found.wait is None else min(wait, found.wait + AHEAD)

    async def _let_in(self, parked: dict[tuple[str, str], _Parked], count: int) -> int:
        """Let the oldest tasks be taken. Returns how many of them are not written as put back yet."""
        unsettled = 0
        for _ in range(min(count, CHUNK)):
            some = list(islice(parked.values(), unsettled, unsettled + min(count, CHUNK)))
            if count <= 0 or not some:
                break
            for queue in {one.task.queue for one in some}:
                tasks = [one.task for one in some if one.task.queue == queue]
                for task, word in zip(tasks, await self._delayed.promote(tasks), strict=True):
                    if word == "unsettled":
                        unsettled += 1
                    elif (one := parked.get((queue, task.id))) is not None and one.task is task:
                        del parked[queue, task.id]
                    if word != "gone":
                        count -= 1
        return unsettled

    async def leave(self, settled: Callable[[], Awaitable[None]]) -> None:
        """Let everything be taken by other servers, which do not know of it, when it is written."""
        tasks = [one.task for parked in self._parked.values() for one in parked.values()]
        self._parked.clear()
        if not tasks:
            return
        try:
            async with asyncio.timeout(FAREWELL):
                await settled()
                for some in _by_queue(tasks):
                    await self._delayed.promote(some)
        except (TimeoutError, BrokerError) as error:
            self.log.debug("tasks come back by themselves: %s", error, extra={"event": "farewell_failed"})


def slots_for(broker: Broker, config: ServerConfig, held: HeldDeliveries, log: Log) -> Slots:
    """The slots that a server holds: as long as the deliveries that need them."""
    return Slots(
        broker.semaphores,
        owner=broker.owner,
        lease=config.lease,
        place=Place(broker.router.options, broker.wire.keys.prefix),
        is_current=held.__contains__,
        log=log,
    )


@asynccontextmanager
async def limiting(
    slots: Slots, broker: Broker, conclusions: Conclusions, settler: Settler
) -> AsyncGenerator[Limiter]:
    """Admit tasks for the length of a block; at its end whoever waits is left to other servers."""
    limiter = Limiter(slots, broker.semaphores, broker.delayed, conclusions)
    try:
        yield limiter
    finally:
        await limiter.leave(settler.drain)
        await slots.aclose(FAREWELL)


def _by_queue(tasks: Iterable[PutBack]) -> Iterable[list[PutBack]]:
    by_queue: dict[str, list[PutBack]] = {}
    for task in tasks:
        by_queue.setdefault(task.queue, []).append(task)
    for some in by_queue.values():
        for start in range(0, len(some), CHUNK):
            yield some[start : start + CHUNK]

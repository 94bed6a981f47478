"""Writes outcomes, many at a time, and never gives one up.

While a call is on its way, outcomes gather; when it is answered, they leave together. There is no
timer and no batch size to tune: with little to do each outcome goes at once, and the more there is
to do the larger the calls become by themselves.

If Redis is away the outcomes wait here, as data. The router goes on trying (its patience for them
is infinite), the lease keeper goes on extending, and when Redis is back everything is written. What
happens to a lease meanwhile is decided by the token in Redis: if somebody else got the task, our
outcome is refused, and that is logged and counted and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from asyncq._broker.settle import MAX_TASKS, Settle, Settlement
from asyncq._engine.held import HeldDeliveries
from asyncq._engine.measures import Recorder
from asyncq._logs import SERVER_LOG, Log
from asyncq.errors import AsyncqError


class Settler:
    """Gathers outcomes and writes them."""

    def __init__(
        self,
        settle: Settle,
        held: HeldDeliveries,
        measures: Recorder,
        *,
        now: Callable[[], float],
        log: Log = SERVER_LOG,
    ) -> None:
        self._settle: Final = settle
        self._slot: Final = settle.slot
        self._held: Final = held
        self._measures: Final = measures
        self._now: Final = now
        self._log: Final = log
        self._loop = asyncio.get_running_loop()
        self._gathered: dict[int, deque[Settlement]] = {}
        self._under_way: dict[int, list[Settlement]] = {}
        self._planned = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.refused = 0  #: outcomes that came too late
        self.written = 0

    def put(self, settlement: Settlement) -> None:
        """Take an outcome. It leaves at the end of this turn of the loop, or with the next call."""
        slot = self._slot(settlement.queue)
        waiting = self._gathered.get(slot)
        if waiting is None:
            waiting = self._gathered[slot] = deque()
        waiting.append(settlement)
        if not self._planned and slot not in self._under_way:
            self._planned = True
            self._idle.clear()
            self._loop.call_soon(self._send_all)

    @property
    def outstanding(self) -> int:
        """Outcomes that are not written yet."""
        return sum(map(len, self._gathered.values())) + sum(map(len, self._under_way.values()))

    async def drain(self) -> None:
        """Wait until everything is written."""
        await self._idle.wait()

    def _send_all(self) -> None:
        self._planned = False
        for slot, waiting in self._gathered.items():
            if waiting and slot not in self._under_way:
                self._send(slot, waiting)

    def _send(self, slot: int, waiting: deque[Settlement]) -> None:
        batch = [waiting.popleft() for _ in range(min(len(waiting), MAX_TASKS))]
        self._under_way[slot] = batch

        def written(refused: dict[int, str]) -> None:
            self._written(slot, batch, refused)

        def failed(error: AsyncqError) -> None:
            self._failed(slot, batch, error)

        self._settle.write(batch, now=self._now(), on_written=written, on_failure=failed)

    def _written(self, slot: int, batch: list[Settlement], refused: dict[int, str]) -> None:
        del self._under_way[slot]
        self._held.remove(*[settlement.token for settlement in batch])
        self.written += len(batch) - len(refused)
        for index, word in refused.items():
            if word == "unusable":
                self._unusable(batch[index])
            else:
                self._refused(batch[index])
            batch[index].tally = None
        for settlement in batch:
            if settlement.tally is not None:
                settlement.tally.count += 1
        self._next(slot)

    def _next(self, slot: int) -> None:
        waiting = self._gathered[slot]
        if waiting:
            self._send(slot, waiting)
        elif not self._under_way and not self._planned:
            self._idle.set()

    def _refused(self, settlement: Settlement) -> None:
        self.refused += 1
        self._measures.queues[settlement.queue].refused += 1
        self._log.warning(
            "outcome %r of task %s in %s came too late: the lease was lost and the task is somebody else's",
            settlement.outcome,
            settlement.id,
            settlement.queue,
            extra={"event": "not_owner", "queue": settlement.queue, "task_id": settlement.id},
        )

    def _unusable(self, settlement: Settlement) -> None:
        self._measures.queues[settlement.queue].unusable += 1
        self._log.error(
            "outcome %r of task %s cannot be written, it will run again: a key of queue %s holds something"
            " else than it should (asyncq doctor says which)",
            settlement.outcome,
            settlement.id,
            settlement.queue,
            extra={"event": "queue_unusable", "queue": settlement.queue, "task_id": settlement.id},
        )

    def _failed(self, slot: int, batch: list[Settlement], error: AsyncqError) -> None:
        """The call cannot succeed: we are closing, or Redis does not understand it.

        Nothing is lost by that. The leases run out, and the tasks run again.
        """
        del self._under_way[slot]
        self._held.remove(*[settlement.token for settlement in batch])
        self._log.error(
            "%d outcomes could not be written, their tasks will run again: %s",
            len(batch),
            error,
            extra={"event": "settle_failed", "count": len(batch)},
        )
        self._next(slot)

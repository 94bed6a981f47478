"""Proves that every task is in exactly one place, and that all that hangs on tasks agrees.

An audit runs beside servers and clients at work and raises no false alarm: whatever is called
damage was judged by one script, which looked at all places of an id at one moment. Everything
else here only finds the ids that deserve such a look:

1. All keys are walked (SCAN). Of each task hash `examine.lua` tells whether state and sorted sets
   agree; whether a pending task is in the pending list remains to be seen. Locks are judged.
2. The sorted sets are walked (ZSCAN), for ids without a hash.
3. The pending list is read from left to right. Tasks are pushed on the left, and taken and put
   back on the right, so nothing that stays in the list meanwhile is missed.
4. What was pending in 1 and not seen in 3 is asked again; usually it was delivered meanwhile.
5. What is left is judged by `mend.lua`, which searches the list for each of them. Only where that
   would take Redis too long is it believed that what was not seen in 3, and has not changed since 1,
   is not there.
6. The counters are compared with the sizes of all places by one script.

Memory: the ids of pending tasks, about 130 MB for a million. Redis is held up for a few
milliseconds by each call; about 20 s of its time for a million tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from asyncq._broker.basis import Basis
from asyncq._broker.broker import Broker
from asyncq._broker.findings import Finding, Kind, OnProgress, Progress, Report
from asyncq._broker.queue_audit import SCAN_COUNT, QueueAudit
from asyncq.errors import BrokerUnavailableError


def basis_of(broker: Broker | Basis) -> Basis:
    """Whichever the caller has."""
    return broker.basis if isinstance(broker, Broker) else broker


async def audit(
    broker: Broker | Basis, *, queues: Sequence[str] | None = None, on_progress: OnProgress | None = None
) -> Report:
    """Look at every key of the queues and report what is not as it should be. Changes nothing.

    May be called while everything runs. A queue is known by its keys, also when its name is not
    in the set of queues.

    Args:
        broker: The way to Redis.
        queues: Names; `None` for all.
        on_progress: Called often, with how far it is.

    Raises:
        BrokerUnavailableError: Redis was not reached for longer than the patience of the broker.
    """
    return await Audit(basis_of(broker), queues, on_progress or _silent).run()


def _silent(progress: Progress) -> None:
    """Say nothing."""


class Audit:
    """One audit over one or all queues."""

    def __init__(self, basis: Basis, queues: Sequence[str] | None, on_progress: OnProgress) -> None:
        self._basis = basis
        self._wanted = queues
        self._on_progress = on_progress
        self._prefix = basis.wire.keys.prefix.encode() + b"{"
        self.report: Final = Report()
        self._audits: dict[str, QueueAudit] = {}

    async def run(self) -> Report:
        """Do it."""
        listed = await self._listed()
        for name in sorted(listed) if self._wanted is None else self._wanted:
            await self._of(name)
        await self._walk()
        for one in [*self._audits.values()]:
            if not one.is_broken:
                await one.walked()
                await one.finish(self._on_progress)
            elif one.name not in self.report.counts:
                self.report.counts[one.name] = {}
        await self._look_for_unlisted()
        return self.report

    async def _of(self, name: str) -> QueueAudit:
        found = self._audits.get(name)
        if found is None:
            found = self._audits[name] = QueueAudit(self._basis, name, self.report)
            await found.begin()
        return found

    async def _listed(self) -> set[str]:
        router, queues = self._basis.router, self._basis.wire.keys.queues
        names: Any = await router.command(
            "SMEMBERS", queues, slot=router.slot_of(queues), patience=self._basis.patience
        )
        return {name.decode("utf-8", "replace") for name in names}

    async def _walk(self) -> None:
        router, patience = self._basis.router, self._basis.patience
        if self._wanted is not None:
            for name in self._wanted:
                slot = self._basis.slot(name)
                await self._walk_node(
                    _escape(self._basis.queue(name).base), {"slot": slot, "patience": patience}
                )
        elif not router.is_cluster:
            await self._walk_node(_escape(self._prefix.decode()), {"slot": 0, "patience": patience})
        else:
            await self._walk_cluster()

    async def _walk_cluster(self) -> None:
        """Walk each node. When one goes away, begin again: keys may have moved.

        To look twice does no harm.
        """
        router, loop = self._basis.router, asyncio.get_running_loop()
        give_up_at = loop.time() + max(self._basis.patience, 1.0)
        while True:
            try:
                for address in await router.ask_everywhere("DBSIZE"):
                    await self._walk_node(_escape(self._prefix.decode()), {"address": address})
            except BrokerUnavailableError:
                if loop.time() > give_up_at:
                    raise
                router._topology.forget()
                await asyncio.sleep(0.2)
            else:
                return

    async def _walk_node(self, pattern: str, target: dict[str, Any]) -> None:
        router = self._basis.router

        async def ask(*command: Any) -> Any:
            if "address" in target:
                return await router.ask(target["address"], command)
            return await router.command(*command, **target)

        total: Any = await ask("DBSIZE")
        cursor: Any = 0
        walked = 0
        while True:
            cursor, keys = await ask("SCAN", cursor, "MATCH", pattern + "*", "COUNT", SCAN_COUNT)
            for key in keys:
                await self._take(key)
            walked = min(total, walked + SCAN_COUNT)
            self._on_progress(Progress("keys", walked, total))
            if int(cursor) == 0:
                return

    async def _take(self, key: bytes) -> None:
        name, brace, rest = key[len(self._prefix) :].partition(b"}:")
        try:
            queue = name.decode()
        except UnicodeDecodeError:
            return
        if brace and queue and (self._wanted is None or queue in self._wanted) and _is_of_tasks(rest):
            await (await self._of(queue)).take(rest)

    async def _look_for_unlisted(self) -> None:
        """Report queues that are not in the set of queues.

        A client puts the name there beside its first task, in a cluster on another node: wait a little.
        """
        missing = [name for name, one in self._audits.items() if one.has_content]
        for attempt in range(5):
            listed = await self._listed()
            # Asked each time, too: it may have been removed since, and have come back.
            missing = [name for name in missing if name not in listed and await self._audits[name].is_there()]
            if not missing:
                return
            await asyncio.sleep(0.05 * attempt)
        for name in missing:
            text = "is a queue that is not in the set of queues, so tools do not show it"
            self.report.add(Finding(Kind.UNLISTED_QUEUE, name, name, text, "add its name", name.encode()))


_OF_TASKS: Final = (b"t:", b"g:", b"unique:")
_PLACES: Final = frozenset(
    b"pending lease scheduled retry archived completed groups aggregation_sets flow".split()
)


def _is_of_tasks(rest: bytes) -> bool:
    """Receipts and waiting servers do not make a queue."""
    return rest.startswith(_OF_TASKS) or rest in _PLACES


def _escape(pattern: str) -> str:
    for special in "\\*?[]":
        pattern = pattern.replace(special, "\\" + special)
    return pattern

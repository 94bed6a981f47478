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
7. The stored entries of schedulers are compared with their index, and with what queues remember of them.

Memory: the ids of pending tasks, about 130 MB for a million. Redis is held up for a few
milliseconds by each call; about 20 s of its time for a million tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from asyncq._broker.basis import Basis
from asyncq._broker.broker import Broker
from asyncq._broker.directory import escape
from asyncq._broker.entry_audit import EntryAudit
from asyncq._broker.findings import Finding, Kind, OnProgress, Progress, Report
from asyncq._broker.queue_audit import LEFT_BEHIND, SCAN_COUNT, QueueAudit
from asyncq._broker.rounds import Question, Round
from asyncq.connection import Address
from asyncq.errors import BrokerError, BrokerUnavailableError


def basis_of(broker: Broker | Basis) -> Basis:
    """Whichever the caller has."""
    return broker.basis if isinstance(broker, Broker) else broker


async def audit(
    broker: Broker | Basis,
    *,
    queues: Sequence[str] | None = None,
    partial: bool = False,
    on_progress: OnProgress | None = None,
) -> Report:
    """Look at every key of the queues and report what is not as it should be. Changes nothing.

    May be called while everything runs. A queue is known by its keys, also when its name is not
    in the set of queues.

    Args:
        broker: The way to Redis.
        queues: Names; `None` for all.
        partial: Report what can be looked at when a node of a cluster is away. A queue lives on one node,
            so it is looked at wholly or not judged at all.
        on_progress: Called often, with how far it is.

    Raises:
        BrokerUnavailableError: Redis was not reached for longer than the patience of the broker.
        PartlyUnavailableError: So it was with a node of a cluster, and `partial` was not given.
    """
    return await Audit(basis_of(broker), queues, on_progress or _silent, partial=partial).run()


def _silent(progress: Progress) -> None:
    """Say nothing."""


class Audit:
    """One audit over one or all queues."""

    def __init__(
        self, basis: Basis, queues: Sequence[str] | None, on_progress: OnProgress, *, partial: bool = False
    ) -> None:
        self._basis = basis
        self._wanted = queues
        self._on_progress = on_progress
        self._prefix = basis.wire.keys.prefix.encode() + b"{"
        self._round = Round(basis, partial=partial)
        self._partial = partial
        self.report: Final = Report()
        self._audits: dict[str, QueueAudit] = {}
        self._entries = EntryAudit(basis)
        self._lost: set[str] = set()  # queues that are not judged, as not all of them was seen

    async def run(self) -> Report:
        """Do it."""
        listed = await self._listed()
        await self._begin(sorted(listed or ()) if self._wanted is None else self._wanted)
        await self._walk()
        for one in [*self._audits.values()]:
            if one.name not in self._lost and await self._of_queue(one.name, partial(self._finish, one)):
                self.report.take(one.report)
        if listed is not None:
            await self._look_for_unlisted()
        if self._wanted is None:
            await self._look_at_entries()
        self.report.missing += self._round.end()
        return self.report

    async def _look_at_entries(self) -> None:
        entries = self._entries
        index = Question("index", ["entries"], entries.slot, entries.look_at_index)
        # Without them nothing can be said of what queues remember.
        if await self._round.each([index]):
            for queue in entries.queues:
                if queue not in self._lost:
                    await self._of_queue(queue, partial(entries.look_at_queue, queue))
        self.report.take(entries.report)

    async def _finish(self, one: QueueAudit) -> None:
        if one.is_broken:
            one.report.counts.setdefault(one.name, {})
        else:
            await one.walked()
            await one.finish(self._on_progress)

    async def _begin(self, names: Sequence[str]) -> None:
        """Begin with queues, all at the same time: their nodes may be away."""
        fresh = {name: QueueAudit(self._basis, name) for name in names}
        self._audits |= fresh
        begun = await self._round.each(self._question(name, one.begin) for name, one in fresh.items())
        self._lost |= fresh.keys() - {*begun}

    async def _of_queue(self, name: str, step: Callable[[], Awaitable[None]]) -> bool:
        """Make one step with a queue; false when its node is away, and the queue is lost to this audit."""
        answered = bool(await self._round.each([self._question(name, step)]))
        if not answered:
            self._lost.add(name)
        return answered

    def _question(self, name: str, step: Callable[[], Awaitable[None]]) -> Question[str]:
        async def ask() -> str:
            await step()
            return name

        return Question("queue", [name], self._basis.slot(name), ask)

    async def _listed(self) -> set[str] | None:
        """The set of queues; `None` when it cannot be read."""
        router, queues = self._basis.router, self._basis.wire.keys.queues
        slot = router.slot_of(queues)

        async def read() -> list[bytes]:
            return [*await router.command("SMEMBERS", queues, slot=slot, patience=self._basis.patience)]

        names = await self._round.one(Question("index", ["queues"], slot, read))
        return None if names is None else {name.decode("utf-8", "replace") for name in names}

    async def _walk(self) -> None:
        router, patience = self._basis.router, self._basis.patience
        if self._wanted is not None:
            for name in self._wanted:
                target = {"slot": self._basis.slot(name), "patience": patience}
                pattern = escape(self._basis.queue(name).base)
                if name not in self._lost:
                    await self._of_queue(name, partial(self._walk_node, pattern, target))
        elif not router.is_cluster:
            await self._walk_node(escape(self._prefix.decode()), {"slot": 0, "patience": patience})
        else:
            await self._walk_cluster()

    async def _walk_cluster(self) -> None:
        """Walk each node. When one goes away, look who has its keys now, for as long as the patience is."""
        router, loop = self._basis.router, asyncio.get_running_loop()
        give_up_at = loop.time() + max(self._basis.patience, 1.0)
        walked, away = set[Address](), dict[Address, BrokerUnavailableError]()
        while True:
            try:
                away = await self._walk_nodes(walked)
                if all(map(self._round.why_away, away)) or loop.time() > give_up_at:
                    break
                await router.learn_again()
            except BrokerUnavailableError:
                if loop.time() > give_up_at:
                    raise
            await asyncio.sleep(0.2)
        for node, error in away.items():
            self._round.lack("node", [str(node)], node, error)
        if away and not self._partial:
            self._round.end()
        # Of a queue whose node was not walked to the end, part was not seen: an id without a task may
        # only look like one, and the counters prove nothing.
        for name in self._audits.keys() - self._lost if away else ():
            owner = router.owner(self._basis.slot(name))
            if owner not in walked:
                reason = next(iter(away.values()))
                self._round.lack("queue", [name], owner, away.get(owner, reason) if owner else reason)
                self._lost.add(name)

    async def _walk_nodes(self, walked: set[Address]) -> dict[Address, BrokerUnavailableError]:
        """Walk the nodes that were not walked yet; return those that do not answer."""
        router, away = self._basis.router, dict[Address, BrokerUnavailableError]()
        for node in await router.holders():
            if node in walked:
                continue
            try:
                error = self._round.why_away(node) or await router.ask_in_vain(node, "PING")
                if isinstance(error, BrokerError):
                    raise error
                await self._walk_node(escape(self._prefix.decode()), {"address": node})
            except BrokerUnavailableError as error:
                away[node] = error
            else:
                walked.add(node)
        return away

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
        if brace and self._wanted is None and self._entries.take(queue, rest):
            return
        if brace and queue and (self._wanted is None or queue in self._wanted) and self._is_of_tasks(rest):
            if queue not in self._audits:
                await self._begin([queue])
            if queue not in self._lost:
                await self._audits[queue].take(rest)

    def _is_of_tasks(self, rest: bytes) -> bool:
        """Receipts and waiting servers do not make a queue."""
        places = _SHARED_PLACES if self._basis.wire.is_shared else _PLACES
        return rest.startswith(_OF_TASKS) or rest in places

    async def _look_for_unlisted(self) -> None:
        """Report queues that are not in the set of queues.

        A client puts the name there beside its first task, in a cluster on another node: wait a little.
        """
        seen = {name: one for name, one in self._audits.items() if one.has_content}
        unlisted = sorted(seen.keys() - self._lost)
        for attempt in range(5):
            listed = await self._listed()
            if listed is None:
                return
            # Asked each time, too: it may have been removed since, and have come back.
            asked = [name for name in unlisted if name not in listed]
            answers = await self._round.each(
                Question("queue", [name], self._basis.slot(name), partial(_is_there, seen[name]))
                for name in asked
            )
            unlisted = [name for name, is_there in answers if is_there]
            if not unlisted:
                return
            await asyncio.sleep(0.05 * attempt)
        for name in unlisted:
            text = "is a queue that is not in the set of queues, so tools do not show it"
            self.report.add(Finding(Kind.UNLISTED_QUEUE, name, name, text, "add its name", name.encode()))


async def _is_there(one: QueueAudit) -> tuple[str, bool]:
    return one.name, await one.is_there()


_OF_TASKS: Final = (b"t:", b"g:", b"unique:")
_PLACES: Final = frozenset(
    b"pending lease scheduled retry archived completed groups aggregation_sets flow".split()
)
_SHARED_PLACES: Final = _PLACES - {b"flow"} | LEFT_BEHIND | {b"active"}

"""Keeping claims on running tasks, and taking back those of servers that went away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from asyncq._broker.basis import Basis, script
from asyncq._broker.together import together
from asyncq.errors import BrokerError, BrokerUnavailableError

EXTEND: Final = script("extend")
RECOVER: Final = script("recover")

CHUNK: Final = 1000
"""Leases extended by one call, and tasks taken back by one call."""


class Held(NamedTuple):
    """A delivery that this server holds."""

    queue: str
    id: str
    token: str


@dataclass(slots=True)
class Extended:
    """What an extension found."""

    lost: list[Held]
    cancelled: list[Held]
    failure: BrokerError | None = None
    """Why some could not be extended, such as a node of a cluster that is down."""


class Recovered(NamedTuple):
    """A task that was taken back."""

    queue: str
    id: str
    word: str  #: pending, archived or vanished
    lost: int  #: how many leases of it have run out by now


class RecoveryTerms(NamedTuple):
    """What becomes of tasks that are taken back."""

    max_lost: int  #: one that lost so many leases is archived
    unlock_archived: bool = False  #: then it gives up its lock, if it is unique
    keep_attempts: int = 0  #: of how many deliveries that did not succeed a task keeps a record


@dataclass(slots=True)
class Recovery:
    """What a look for lost leases found."""

    tasks: list[Recovered]
    wait: float | None  #: seconds until the next lease runs out; `None` when there is none
    is_late: bool  #: Redis did not run the call in time, and took nothing back
    unusable: list[str] = field(default_factory=list[str])
    """Queues of which a key holds something else than it should."""


class Leases:
    """The leases area."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        # Redis' clock less the loop's, at the last answer.
        self._clock_offsets: dict[int, float] = {}
        # Where the last call failed: nobody can have extended anything there in that time either.
        self._cut_off: set[int] = set()

    async def extend(self, held: Sequence[Held], *, lease: float) -> Extended:
        """Prolong leases: one call for each queue, or more for very many."""
        by_queue: dict[str, list[Held]] = {}
        for one in held:
            by_queue.setdefault(one.queue, []).append(one)
        found = Extended([], [])
        try:
            await together(
                [
                    self._extend(queue, mine[start : start + CHUNK], lease, found)
                    for queue, mine in by_queue.items()
                    for start in range(0, len(mine), CHUNK)
                ]
            )
        except BrokerError as error:
            found.failure = error
        return found

    async def _extend(self, queue: str, held: list[Held], lease: float, found: Extended) -> None:
        keys = self._basis.queue(queue)
        args: list[Any] = [lease]
        for one in held:
            args += (one.id, one.token)
        reply: Any = await self._basis.run(
            EXTEND,
            [keys.lease, *(keys.task_prefix + one.id for one in held)],
            args,
            slot=self._basis.slot(queue),
        )
        for at in range(0, len(reply), 2):
            index: int = reply[at]
            word: bytes = reply[at + 1]
            (found.lost if word == b"lost" else found.cancelled).append(held[index - 1])

    async def recover(self, queues: Sequence[str], terms: RecoveryTerms) -> Recovery:
        """Take back what nobody claims any more.

        The first call for a queue only looks: it learns the time by which later calls are judged
        to be on time or late. So does the first one after a call that failed, and says that it is
        late: whoever else holds leases there was cut off, too.
        """
        found = Recovery([], None, is_late=False)
        slots = self._basis.by_slot(queues).items()
        await together([self._recover(slot, names, terms, found) for slot, names in slots])
        return found

    async def _recover(
        self,
        slot: int,
        names: Sequence[str],
        terms: RecoveryTerms,
        found: Recovery,
    ) -> None:
        basis, loop = self._basis, asyncio.get_running_loop()
        offset = self._clock_offsets.get(slot)
        is_cut_off = slot in self._cut_off
        expected = 0.0 if offset is None or is_cut_off else loop.time() + offset
        keys: list[str] = []
        for name in names:
            queue = basis.queue(name)
            keys += (queue.lease, queue.pending, queue.archived, queue.waiting, queue.flow)
        args: list[Any] = [CHUNK, terms.max_lost, basis.channel_prefix, basis.in_cluster, expected]
        args += ("1" if terms.unlock_archived else "", terms.keep_attempts)
        for name in names:
            queue = basis.queue(name)
            args += (queue.task_prefix, queue.unique_prefix)
        try:
            reply: Any = await basis.run(RECOVER, keys, args, slot=slot)
        except BrokerUnavailableError:
            self._cut_off.add(slot)
            raise
        self._cut_off.discard(slot)
        self._clock_offsets[slot] = float(reply[0]) - loop.time()
        found.is_late |= is_cut_off or reply[1] == b"late"
        wait = float(reply[2]) if reply[2] else None
        if offset is None:
            wait = 0.0
        if wait is not None:
            found.wait = wait if found.wait is None else min(found.wait, wait)
        for at in range(3, len(reply), 4):
            number: int = reply[at]
            task_id, word, lost = reply[at + 1 : at + 4]
            if word == b"unusable":
                found.unusable.append(names[number - 1])
                continue
            shown = task_id.decode("utf-8", "backslashreplace")
            found.tasks.append(Recovered(names[number - 1], shown, word.decode(), lost))

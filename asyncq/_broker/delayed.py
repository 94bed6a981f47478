"""Moving tasks whose time has come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from asyncq._broker.basis import Basis, script
from asyncq._broker.together import together

FORWARD: Final = script("forward")
PROMOTE: Final = script("promote")

CHUNK: Final = 200
"""Tasks moved by one call. Smaller than elsewhere: while it runs, nothing is delivered."""


class Forwarded(NamedTuple):
    """What one look at all queues came to."""

    moved: int
    wait: float  #: seconds until the next is due; 0 when there is more to move at once
    due: float  #: when that is, in Unix seconds; infinite, as the wait, when nothing is scheduled
    now: float = 0.0  #: when the last look began, Unix seconds by Redis' clock


class PutBack(NamedTuple):
    """A delivery that was put back, and is to be taken before its time."""

    queue: str
    id: str
    token: str
    deliveries: int  #: of the task, this one included


class Delayed:
    """The area of scheduled and retry tasks."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    async def forward(self, queues: Sequence[str]) -> Forwarded:
        """Move due tasks, one call for each slot."""
        basis = self._basis
        moved = 0
        waits: list[float] = []
        dues: list[float] = []
        now = 0.0

        async def forward(slot: int, names: Sequence[str]) -> None:
            nonlocal moved, now
            keys: list[str] = []
            args: list[Any] = [CHUNK, basis.channel_prefix, basis.in_cluster, basis.wire.keys.news]
            for name in names:
                queue = basis.queue(name)
                keys += (queue.scheduled, queue.retry, queue.pending, queue.waiting, queue.groups, queue.flow)
                args += (queue.task_prefix, queue.group_prefix)
            reply: Any = await basis.run(FORWARD, keys, args, slot=slot)
            moved += int(reply[0])
            now = max(now, float(reply[3]))
            if reply[1]:
                waits.append(float(reply[1]))
                dues.append(float(reply[2]))

        await together([forward(slot, names) for slot, names in basis.by_slot(queues).items()])
        return Forwarded(moved, min(waits, default=math.inf), min(dues, default=math.inf), now)

    async def promote(self, tasks: Sequence[PutBack]) -> list[str]:
        """Let scheduled tasks of one queue be taken now, if they are still what was put back.

        Returns:
            A word for each: `moved`; `unsettled` while the outcome is not written that puts it back;
            `gone` when it has been delivered since, or is not there.
        """
        basis = self._basis
        queue = basis.queue(tasks[0].queue)
        keys = [queue.scheduled, queue.pending, queue.waiting]
        args: list[Any] = [basis.channel_prefix, basis.in_cluster]
        for one in tasks:
            keys.append(queue.task(one.id))
            args += (one.id, one.token, one.deliveries)
        reply: Any = await basis.run(PROMOTE, keys, args, slot=basis.slot(queue.name))
        return [word.decode() for word in reply]

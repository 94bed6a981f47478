"""Removing what has been kept for long enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from asyncq._broker.basis import Basis, script

SWEEP: Final = script("sweep")


class Swept(NamedTuple):
    """What one sweep removed."""

    reaped: int  #: completed tasks whose retention was over
    dropped: dict[str, list[str]]  #: by queue, ids of archived tasks, too old or too many
    more: bool  #: whether there may be more to remove at once


class Upkeep:
    """The upkeep area."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    async def sweep(self, queues: Sequence[str], *, max_age: float, max_count: int, batch: int) -> Swept:
        """Remove at most `batch` completed and as many archived tasks, in one call for each slot."""
        basis = self._basis
        all_reaped, all_dropped, more = 0, dict[str, list[str]](), False
        for slot, names in basis.by_slot(queues).items():
            keys: list[str] = []
            args: list[Any] = [batch, max_age, max_count]
            for name in names:
                queue = basis.queue(name)
                keys += (queue.completed, queue.archived, queue.flow)
                args += (queue.task_prefix, queue.unique_prefix)
            reply: Any = await basis.run(SWEEP, keys, args, slot=slot)
            reaped = sum(int(one[0]) for one in reply)
            dropped = {
                name: [task_id.decode("utf-8", "backslashreplace") for task_id in one[1:]]
                for name, one in zip(names, reply, strict=True)
                if len(one) > 1
            }
            more |= reaped >= batch or sum(map(len, dropped.values())) >= batch
            all_reaped += reaped
            all_dropped |= dropped
        return Swept(all_reaped, all_dropped, more)

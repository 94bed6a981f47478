"""Removing what has been kept for long enough."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from asyncq._broker.basis import Basis, script

SWEEP: Final = script("sweep")

CHUNK: Final = 200


class Swept(NamedTuple):
    """What one sweep removed."""

    reaped: int  #: completed tasks whose retention was over
    dropped: list[str]  #: ids of archived tasks, too old or too many

    @property
    def more(self) -> bool:
        """Whether there may be more to remove at once."""
        return self.reaped >= CHUNK or len(self.dropped) >= CHUNK


class Upkeep:
    """The upkeep area."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    async def sweep(self, queue: str, *, max_age: float, max_count: int) -> Swept:
        """Remove a bounded number of completed and archived tasks of one queue."""
        keys = self._basis.queue(queue)
        reply: Any = await self._basis.run(
            SWEEP,
            [keys.completed, keys.archived, keys.flow],
            [CHUNK, max_age, max_count, keys.task_prefix, keys.unique_prefix],
            slot=self._basis.slot(queue),
        )
        return Swept(int(reply[0]), [task_id.decode() for task_id in reply[1:]])

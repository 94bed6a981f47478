"""What a running task says about itself, and what others want of it."""

from __future__ import annotations

from typing import Any, Final, Literal

from asyncq._broker.basis import Basis, script
from asyncq.errors import TaskNotActiveError

ANNOTATE: Final = script("annotate")
CANCEL: Final = script("cancel")


class Notes:
    """The area of results, progress and cancellation of running tasks."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    async def write(
        self, queue: str, task_id: str, token: str, *, field: Literal["result", "progress"], value: bytes
    ) -> None:
        """Write a field of a task that this server still holds.

        Raises:
            TaskNotActiveError: The lease was lost; nothing was written.
        """
        word: Any = await self._basis.run(
            ANNOTATE,
            [self._basis.queue(queue).task(task_id)],
            [token, field, value],
            slot=self._basis.slot(queue),
        )
        if word != b"ok":
            raise TaskNotActiveError(queue, task_id)

    async def cancel(self, queue: str, task_id: str) -> str:
        """Archive a task that waits, or ask for a running one to be stopped.

        Returns:
            `requested`, `cancelled`, `missing`, or the state of a task that was left alone.
        """
        keys = self._basis.queue(queue)
        word: Any = await self._basis.run(
            CANCEL,
            [keys.task(task_id), keys.pending, keys.scheduled, keys.retry, keys.archived, keys.groups],
            [self._basis.channel_prefix, task_id, keys.group_prefix, keys.unique_prefix],
            slot=self._basis.slot(queue),
        )
        return str(word.decode())

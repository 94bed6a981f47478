"""Enqueues the task of one time of an entry, if no other scheduler has done so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from asyncq._broker.enqueue import Placed
from asyncq._enqueue_middleware import EnqueueMiddleware, wrapped
from asyncq._wire.messages import Claim, NewTask
from asyncq.errors import EnqueueRefusedError, TaskIdConflictError
from asyncq.options import TaskOptions
from asyncq.task import Task
from asyncq.task_info import TaskInfo


class _TakenError(TaskIdConflictError):
    """Another scheduler has enqueued it. Middleware is told what it would be told by a client."""


class Claimant:
    """Claims a time and enqueues its task, both in one step.

    Args:
        compose: Makes what is to be written.
        submit: Sends it.
        inform: What a client would be told, and the errors it would get.
        middleware: What to wrap around it.
    """

    def __init__(
        self,
        compose: Callable[[Task, TaskOptions], NewTask],
        submit: Callable[[NewTask], Awaitable[Placed]],
        inform: Callable[[NewTask, Placed], TaskInfo],
        middleware: Sequence[EnqueueMiddleware] = (),
    ) -> None:
        self._compose: Final = compose
        self._submit: Final = submit
        self._inform: Final = inform
        self._middleware: Final = list(middleware)

    async def __call__(self, task: Task, options: TaskOptions, claim: Claim) -> TaskInfo | None:
        """Return the task; `None` if another scheduler has enqueued it.

        Raises:
            EnqueueRefusedError: It is refused, as a client's would be, or our clock is wrong.
            BrokerError: As for a client.
            Exception: What middleware raised.
        """

        async def enqueue(task: Task, options: TaskOptions) -> TaskInfo:
            return await self._claim(task, options, claim)

        try:
            return await wrapped(self._middleware, enqueue)(task, options)
        except _TakenError:
            return None

    async def _claim(self, task: Task, options: TaskOptions, claim: Claim) -> TaskInfo:
        new = self._compose(task, options)
        new.claim = claim
        placed = await self._submit(new)
        if placed.word == "early":
            ahead = claim.nominal - placed.now
            raise EnqueueRefusedError(f"the clock of this machine is {ahead:.0f} s ahead of that of Redis")
        # The id is that of the time, so a task that has it is the one that was to be enqueued.
        if placed.word == "taken" or (placed.word == "conflict" and new.id == claim.task_id):
            raise _TakenError(new.queue, new.id)
        return self._inform(new, placed)

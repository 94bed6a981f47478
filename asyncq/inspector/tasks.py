"""The inspector's room for tasks."""

from __future__ import annotations

from typing import Final, Literal, cast

from asyncq._wire.states import State
from asyncq.inspector.reach import Reach
from asyncq.task_info import TaskHistory, TaskInfo

CancelAnswer = Literal["requested", "pending", "scheduled", "retry", "archived", "completed", "aggregating"]


class Tasks:
    """Single tasks."""

    def __init__(self, reach: Reach) -> None:
        self._reach: Final = reach

    async def get(self, queue: str, task_id: str) -> TaskInfo:
        """Everything about one task at this moment.

        Raises:
            QueueNotFoundError: No task was ever put into such a queue.
            TaskNotFoundError: There is no such task, or no longer: tasks without retention are
                forgotten when they succeed.
            WireError: Its message cannot be read.
        """
        broker = self._reach.broker()
        seen = await broker.browse.look(queue, task_id)
        if seen is None:
            await self._reach.refuse_missing(queue, task_id)
        history = TaskHistory(
            retried=int(seen.number("retried")),
            last_error=seen.text("error"),
            last_failed_at=seen.number("failed_at"),
            completed_at=seen.number("completed_at"),
            result=seen.fields.get("result"),
            progress=seen.fields.get("progress"),
            deliveries=int(seen.number("deliveries")),
            lost=int(seen.number("lost")),
            is_orphaned=seen.state is State.ACTIVE and seen.lease_ends <= seen.now,
        )
        next_at = seen.now if seen.state is State.PENDING else seen.due
        return TaskInfo(
            queue,
            task_id,
            seen.envelope,
            seen.state,
            next_at=next_at,
            history=history,
            codecs=self._reach.codecs,
        )

    async def cancel(self, queue: str, task_id: str) -> CancelAnswer:
        """Ask the server that runs a task to stop it. It is archived then, with the reason `cancelled`.

        The wish is bound to this one delivery. It is sent as a message, and found by the server at the
        next extension of the lease when the message was missed.

        Returns:
            `requested`, or the state of a task that does not run and was left alone.

        Raises:
            QueueNotFoundError: No task was ever put into such a queue.
            TaskNotFoundError: There is no such task.
        """
        word = await self._reach.broker().notes.cancel(queue, task_id)
        if word == "missing":
            await self._reach.refuse_missing(queue, task_id)
        return cast("CancelAnswer", word)

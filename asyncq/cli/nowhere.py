"""What is said of a task that was looked for in all queues."""

from __future__ import annotations

from asyncq.errors import NotFoundError


class NowhereError(NotFoundError):
    """No queue has such a task."""

    _text = "no queue has a task {task_id!r}"

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

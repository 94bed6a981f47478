"""From beanstalkd into a task queue: retries, inspection and the archive for delayed messages.

    consumer = Consumer(conf, bridge.enqueue(client, "order:close", queue="low"))

Each message becomes a task, under an id that all its copies and attempts share. A message that comes again,
after a crash of its consumer or with another copy, is the same task again, and refused; that is fine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final, Unpack

from asyncq.client import Client
from asyncq.dq.message import Message
from asyncq.errors import ConfigError, DuplicateTaskError, TaskIdConflictError
from asyncq.options import TaskOptions, check_options
from asyncq.task import Task

__all__ = ["enqueue"]

REMEMBERED: Final = timedelta(hours=1)


def enqueue(
    client: Client,
    task: str | Callable[[Message], Task | None],
    /,
    **options: Unpack[TaskOptions],
) -> Callable[[Message], Awaitable[None]]:
    """Make a handler that turns messages into tasks.

    It fails while Redis is away, and then the message comes again after the consumer's `backoff`. So give the
    consumer `max_attempts=0` where messages shall wait for Redis however long it takes.

    Args:
        client: Where tasks go.
        task: The type of the tasks, whose payload is the body of the message as bytes; or a function that
            makes the task of a message, or returns None for a message that needs none.
        options: Options of the tasks, such as `queue`. `retention` is an hour if not given: for so long a
            message that comes again is recognised after its task is done. A `task_id` is not among them.

    Raises:
        ConfigError: An option is wrong.
    """
    if "task_id" in options:
        raise ConfigError("task_id", options["task_id"], "none: it is made of the message")
    check_options(options)
    if not isinstance(task, str) and not callable(task):
        raise ConfigError("task", task, "a type, or a function of the message")
    settings: TaskOptions = {"retention": REMEMBERED, **options}

    async def handle(message: Message) -> None:
        made = Task(task, message.body) if isinstance(task, str) else task(message)
        if made is None:
            return
        sent: TaskOptions = {**settings, "task_id": message.key}
        with suppress(TaskIdConflictError, DuplicateTaskError):  # it is there already
            await client.enqueue(made, **sent)

    return handle

"""From a topic into a task queue: retries, inspection and the archive for messages of Kafka.

    queue = Queue(conf, bridge.enqueue(client, "payment:notify", queue="low"))

Each message becomes a task, under an id that is made of its place in Kafka. A message that comes again, after
a crash or a rebalance, is the same task again, which is refused, and that is fine: it is there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, Unpack

from asyncq.client import Client
from asyncq.errors import BrokerError, ConfigError, DuplicateTaskError, RetryIn, TaskIdConflictError
from asyncq.kq.message import Message
from asyncq.options import TaskOptions, check_options
from asyncq.task import Task

__all__ = ["enqueue"]

AGAIN: Final = 1.0
REMEMBERED: Final = timedelta(hours=1)


def enqueue(
    client: Client,
    task: str | Callable[[Message], Task | None],
    /,
    **options: Unpack[TaskOptions],
) -> Callable[[Message], Awaitable[None]]:
    """Make a handler that turns messages into tasks.

    Redis being away is no failure of the message: it is tried again until Redis has the task, whatever
    `KqConf.force_commit` says.

    Args:
        client: Where tasks go.
        task: The type of the tasks, whose payload is the value of the message as bytes; or a function that
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
        made = Task(task, message.value) if isinstance(task, str) else task(message)
        if made is None:
            return
        sent: TaskOptions = {**settings, "task_id": message.id}
        try:
            await client.enqueue(made, **sent)
        except (TaskIdConflictError, DuplicateTaskError):
            pass  # it is there already
        except BrokerError as error:
            raise RetryIn(AGAIN) from error

    return handle

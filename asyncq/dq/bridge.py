"""From beanstalkd into a task queue: retries, inspection and the archive for delayed messages.

    consumer = Consumer(conf, bridge.enqueue(client, "order:close", queue="low"))

Each message becomes a task, under an id that all its copies and attempts share. A message that comes again,
after a crash of its consumer or with another copy, is the same task again, and refused; that is fine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Unpack

from asyncq._bridge import bridge
from asyncq.client import Client
from asyncq.dq.message import Message
from asyncq.options import TaskOptions
from asyncq.task import Task

__all__ = ["enqueue"]


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
    return bridge(client, task, options, body=attrgetter("body"), task_id=attrgetter("key"))

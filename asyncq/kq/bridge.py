"""From a topic into a task queue: retries, inspection and the archive for messages of Kafka.

    queue = Queue(conf, bridge.enqueue(client, "payment:notify", queue="low"))

Each message becomes a task, under an id that is made of its place in Kafka. A message that comes again, after
a crash or a rebalance, is the same task again, which is refused, and that is fine: it is there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Final, Unpack

from asyncq._bridge import bridge
from asyncq.client import Client
from asyncq.errors import BrokerError, RetryIn
from asyncq.kq.message import Message
from asyncq.options import TaskOptions
from asyncq.task import Task

__all__ = ["enqueue"]

AGAIN: Final = 1.0


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
    carry = bridge(client, task, options, body=attrgetter("value"), task_id=attrgetter("id"))

    async def handle(message: Message) -> None:
        try:
            await carry(message)
        except BrokerError as error:
            raise RetryIn(AGAIN) from error

    return handle

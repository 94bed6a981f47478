"""What bridges have in common: each message becomes a task, once, however often the message comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final, TypeVar

from asyncq.client import Client
from asyncq.errors import ConfigError, DuplicateTaskError, TaskIdConflictError
from asyncq.options import TaskOptions, check_options
from asyncq.task import Task

M = TypeVar("M")

REMEMBERED: Final = timedelta(hours=1)
"""For so long a message that comes again is recognised after its task is done, if nobody says otherwise."""


def bridge(
    client: Client,
    task: str | Callable[[M], Task | None],
    options: TaskOptions,
    *,
    body: Callable[[M], bytes],
    task_id: Callable[[M], str],
) -> Callable[[M], Awaitable[None]]:
    """Make a handler that turns messages into tasks.

    Args:
        client: Where tasks go.
        task: Their type, or what makes the task of a message.
        options: Of the tasks.
        body: What the payload is, where `task` is a type.
        task_id: The id that all copies and attempts of a message share.

    Raises:
        ConfigError: An option is wrong.
    """
    if "task_id" in options:
        raise ConfigError("task_id", options["task_id"], "none: it is made of the message")
    check_options(options)
    if not isinstance(task, str) and not callable(task):
        raise ConfigError("task", task, "a type, or a function of the message")
    settings: TaskOptions = {"retention": REMEMBERED, **options}

    async def handle(message: M) -> None:
        made = Task(task, body(message)) if isinstance(task, str) else task(message)
        if made is None:
            return
        sent: TaskOptions = {**settings, "task_id": task_id(message)}
        with suppress(TaskIdConflictError, DuplicateTaskError):  # it is there already
            await client.enqueue(made, **sent)

    return handle

"""What a handler needs to run outside a server: in a test, in a shell, in another handler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asyncq._compose import compose
from asyncq._handlers import Arguments, Call
from asyncq.codecs import Codecs
from asyncq.context import Context, Host
from asyncq.task import Task
from asyncq.task_info import Progress

__all__ = ["in_thread", "rehearsal"]


class _Unheard:
    """Takes reports that nobody reads."""

    def progress(self, context: Context, value: Progress) -> None:
        """Forget it."""

    async def result(self, context: Context, value: bytes) -> None:
        """Forget it, after it could be encoded."""


@dataclass(slots=True)
class _Handed:
    queue: str
    id: str
    token: str
    retried: int
    deliveries: int
    lost: int


def rehearsal(task: Task, *, retried: int, state: object, codecs: Codecs) -> tuple[Task, Context]:
    """The task and the context as a server would hand them over.

    The payload goes through the codec and back, so that a handler gets what it will get: a list
    where a tuple was, or an error now and not in production.

    Raises:
        ConfigError: It is no task, or the payload cannot be encoded.
    """
    new = compose(task, codecs=codecs)
    handed = _Handed(new.queue, new.id, "rehearsal", retried, retried, 0)
    host = Host("rehearsal", _Unheard(), codecs, state)
    received = Task.received(new.queue, new.id, new.envelope, codecs)
    return received, Context(host, new.envelope, handed, new.envelope.deadline)


def in_thread(function: Callable[..., Any], arguments: Arguments) -> Call:
    """How to run a handler that must not block the loop."""

    async def call(task: Task, ctx: Context) -> Any:
        args, kwargs = arguments(task, ctx)
        return await asyncio.to_thread(function, *args, **kwargs)

    return call

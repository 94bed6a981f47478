"""Middleware around enqueueing: what a client does with every task before it is sent, and after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from asyncq._handlers import is_async
from asyncq.errors import ConfigError
from asyncq.options import TaskOptions
from asyncq.task import Task
from asyncq.task_info import TaskInfo

__all__ = ["EnqueueCall", "EnqueueMiddleware", "checked", "wrapped"]

EnqueueCall = Callable[[Task, TaskOptions], Awaitable[TaskInfo]]
"""Enqueueing, or what is left of it further in: `await call_next(task, options)`."""

EnqueueMiddleware = Callable[[Task, TaskOptions, EnqueueCall], Awaitable[TaskInfo]]
"""Wraps enqueueing: `async def middleware(task, options, call_next)`."""


def checked(middleware: Iterable[EnqueueMiddleware]) -> list[EnqueueMiddleware]:
    """Refuse what cannot be awaited.

    Raises:
        ConfigError: One of them is not an `async def`.
    """
    several: object = middleware
    if isinstance(several, str) or not isinstance(several, Iterable):
        raise ConfigError("middleware", several, "several `async def`, in a list")
    given = list(middleware)
    for one in given:
        if not is_async(one):
            raise ConfigError("middleware", one, "an `async def` of task, options and call_next")
    return given


def wrapped(middleware: Sequence[EnqueueMiddleware], call: EnqueueCall) -> EnqueueCall:
    """Put middleware around `call`, the first of them outermost."""
    for one in reversed(middleware):
        call = _around(one, call)
    outermost = call

    async def enqueue(task: Task, options: TaskOptions) -> TaskInfo:
        info: object = await outermost(task, options)
        if not isinstance(info, TaskInfo):
            # Forgotten easily, and found late: whoever enqueued would get None for where the task is.
            raise ConfigError("middleware", info, "what call_next returned, to be returned")
        return info

    return enqueue


def _around(middleware: EnqueueMiddleware, call_next: EnqueueCall) -> EnqueueCall:
    def call(task: Task, options: TaskOptions) -> Awaitable[TaskInfo]:
        return middleware(task, options, call_next)

    return call

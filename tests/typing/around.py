"""What type checkers know about lifespans, middleware, loggers and health checks. Checked, never run."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, assert_type

from asyncq import AsyncqError, Client, Context, Mux, Server, Task, TaskInfo, sync
from asyncq.client import EnqueueCall
from asyncq.config import LoggerLike
from asyncq.mux import Call
from asyncq.options import TaskOptions


@asynccontextmanager
async def pool() -> AsyncGenerator[list[int]]:
    """Be a lifespan."""
    yield [1]


@asynccontextmanager
async def session(task: Task, ctx: Context) -> AsyncGenerator[str]:
    """Be a lifespan of a task."""
    yield task.type + ctx.id


@contextmanager
def plain(task: Task, ctx: Context) -> Generator[None]:
    """Be one that is not asynchronous."""
    del task, ctx
    yield


def well(error: AsyncqError | None) -> None:
    """Be a health check."""
    del error


async def well_later(error: Exception | None) -> None:
    """Be one that takes more than it is given, and is asynchronous."""
    del error


class Own:
    """A logger of a user needs no base class."""

    def debug(self, text: str) -> None:
        """Take a line."""

    def info(self, text: str) -> None:
        """Take a line."""

    def warning(self, text: str) -> None:
        """Take a line."""

    def error(self, text: str) -> None:
        """Take a line."""


loggers: list[LoggerLike] = [
    logging.getLogger("mine"),
    logging.LoggerAdapter(logging.getLogger("mine"), {}),
    Own(),
]
Server("redis://h", lifespan=pool, task_lifespan=session, health_check=well, logger=loggers[0])
Server("redis://h", task_lifespan=plain, health_check=well_later, log_level="info")


async def around_handler(task: Task, ctx: Context, call_next: Call) -> object:
    """Wrap a handler."""
    result: object = await call_next(task, ctx)
    return result


async def around_enqueue(task: Task, options: TaskOptions, call_next: EnqueueCall) -> TaskInfo:
    """Wrap enqueueing."""
    info = await call_next(task, {**options, "queue": "q"})
    assert_type(info, TaskInfo)
    return info


async def use() -> None:
    """Put them where they belong."""
    mux = Mux()
    mux.use(around_handler)
    mux.use(around_enqueue)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert_type(await mux.process(Task("t"), state=[1]), Any)
    client = Client("redis://h", middleware=[around_enqueue])
    client.use(around_enqueue)
    client.use(around_handler)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    sync.Client("redis://h", middleware=[around_enqueue]).use(around_enqueue)
    async for outcome in client.enqueue_many([Task("t")]):
        assert_type(outcome.error, Exception | None)

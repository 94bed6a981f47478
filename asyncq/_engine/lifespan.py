"""Set-up and teardown of the user's: around a server, and around each task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from asyncq._handlers import Call
from asyncq._logs import Log
from asyncq._service import end_within
from asyncq.config import Lifespan, TaskLifespan
from asyncq.context import Context
from asyncq.mux import Middleware
from asyncq.task import Task

HURRIED: Final = 5.0
"""Seconds that a teardown still gets when the server is told not to wait."""


class Surroundings:
    """Enters the lifespan of a server before it takes tasks, and leaves it behind the last outcome."""

    def __init__(self, lifespan: Lifespan | None, log: Log) -> None:
        self._lifespan: Final = lifespan
        self._log: Final = log
        self._teardown: asyncio.Timeout | None = None
        self._is_hurried = False
        self.state: Any = None  #: what the lifespan gave

    def hurry(self) -> None:
        """Do not wait long for a teardown, whether it has begun or not."""
        self._is_hurried = True
        end_within(self._teardown, HURRIED)

    @asynccontextmanager
    async def entered(self) -> AsyncGenerator[None]:
        """Be inside the lifespan for the length of a block."""
        if self._lifespan is None:
            yield
            return
        life = self._lifespan()
        self.state = await life.__aenter__()
        try:
            yield
        finally:
            # Without the error that ends the server, if one does: the code behind a plain `yield` would
            # be left out, and a pool not be closed.
            await self._leave(life)

    async def _leave(self, life: AbstractAsyncContextManager[Any]) -> None:
        try:
            async with asyncio.timeout(HURRIED if self._is_hurried else None) as self._teardown:
                await life.__aexit__(None, None, None)
        except TimeoutError:
            if self._teardown is None or not self._teardown.expired():
                raise  # its own
            self._log.error(
                "the lifespan was not torn down within %g s; leaving without",
                HURRIED,
                extra={"event": "lifespan_abandoned"},
            )


def around(lifespan: TaskLifespan) -> Middleware:
    """A middleware that sets up before each task and tears down after it, however it ended.

    It is the outermost one: what fails in it is a failure of the task, and the task's time is its time.
    """

    async def surround(task: Task, ctx: Context, call_next: Call) -> Any:
        life = lifespan(task, ctx)
        if isinstance(life, AbstractAsyncContextManager):
            async with life as ctx.local:
                return await call_next(task, ctx)
        with life as ctx.local:
            return await call_next(task, ctx)

    return surround

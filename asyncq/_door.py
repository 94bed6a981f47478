"""What the doors that run have in common: to own a process, and to live inside somebody else's loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self

from asyncq.errors import AlreadyRunningError


def run_alone(work: Callable[[], Coroutine[Any, Any, None]], *, instead: str) -> None:
    """Run in an event loop that is made for it, and block until it has ended.

    Args:
        work: What to run.
        instead: What to call inside an event loop, for the error text.

    Raises:
        AlreadyRunningError: It is called inside an event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise AlreadyRunningError(f"an event loop (use `{instead}` inside it)")
    asyncio.run(work())


class Runs:
    """What starts, and runs until it is shut down."""

    async def start(self) -> None:
        """Begin, and return when it runs."""
        raise NotImplementedError

    async def wait(self) -> None:
        """Wait until it has left."""
        raise NotImplementedError

    async def shutdown(self) -> None:
        """Leave."""
        raise NotImplementedError

    async def serve(self) -> None:
        """Run until `shutdown` is called. Cancelling it leaves in order, too, and then goes on."""
        await self.start()
        try:
            await self.wait()
        finally:
            await self.shutdown()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Run for the length of a block."""
        await self.start()
        try:
            yield self
        finally:
            await self.shutdown()

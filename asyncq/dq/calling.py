"""Calls what users gave: the handler, and what is told of failures and discards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import anyio
import anyio.to_thread

from asyncq._handlers import is_async
from asyncq._logs import Log


class Caller:
    """Calls functions of users: an `async def` on the event loop, a plain one in a thread."""

    def __init__(self, log: Log, *, threads: int) -> None:
        self._log: Final = log
        self._threads: Final = threads
        self._limiter: anyio.CapacityLimiter | None = None

    async def call(self, function: Callable[..., Any], *args: object) -> None:
        """Call it, and let what it raises through.

        A thread cannot be stopped: when this is cancelled it goes on by itself.
        """
        if is_async(function):
            await function(*args)
            return
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._threads)
        await anyio.to_thread.run_sync(
            partial(function, *args), abandon_on_cancel=True, limiter=self._limiter
        )

    async def attempt(self, function: Callable[..., Any], *args: object) -> Exception | None:
        """Call it. Returns what it raised."""
        try:
            await self.call(function, *args)
        except Exception as error:  # noqa: BLE001 - a user's function: becomes an outcome
            return error
        return None

    async def tell(self, function: Callable[..., Any] | None, *args: object) -> None:
        """Call what need not succeed, if it is there: a failure is logged."""
        if function is None:
            return
        error = await self.attempt(function, *args)
        if error is not None:
            self._log.error(
                "a callback of the consumer failed: %s",
                error,
                exc_info=error,
                extra={"event": "callback_failed"},
            )

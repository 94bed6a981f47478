"""How a handler is called: an `async def` on the event loop, a plain function in a thread."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast

from asyncq._handlers import is_async
from asyncq.errors import ConfigError
from asyncq.kq.carriers import in_trace
from asyncq.kq.message import Message

__all__ = ["ErrorHandler", "Handler"]

Handler = Callable[[Message], Awaitable[Any] | Any]
"""Handles a message. It has succeeded when it returns; what it returns does not matter."""

ErrorHandler = Callable[[Message, BaseException], Awaitable[None] | None]
"""Is told of each attempt that failed, and of its error."""


class Calls:
    """Calls handlers.

    Args:
        handler: The handler.
        threads: How many threads there may be, for a plain function.

    Raises:
        ConfigError: It cannot be called with a message.
    """

    def __init__(self, handler: Handler, threads: int) -> None:
        expected = "a function of the message"
        if not callable(cast("object", handler)) or inspect.isclass(handler):
            raise ConfigError("handler", handler, expected)
        if any(kind(handler) for kind in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)):
            raise ConfigError("handler", handler, f"{expected} that returns; this one yields")
        try:
            inspect.signature(handler).bind(None)
        except TypeError:
            raise ConfigError("handler", handler, expected) from None
        except ValueError:
            pass  # written in C without a signature
        self._handler: Final = handler
        self._is_async: Final = is_async(handler)
        self._threads: Final = threads
        self._pool: ThreadPoolExecutor | None = None

    async def __call__(self, message: Message) -> None:
        """Handle a message, in the trace that it carries."""
        with in_trace(message.headers):
            if self._is_async:
                await self._handler(message)
            else:
                await self._in_thread(message)

    async def _in_thread(self, message: Message) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="asyncq-kq")
        context = contextvars.copy_context()
        result: object = await asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: context.run(self._handler, message)
        )
        if inspect.isawaitable(result):  # of an `async def` behind a plain decorator
            await result

    def close(self) -> None:
        """Let go of the threads. Those that still run end by themselves."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None

"""A provider of periodic tasks, asked with a deadline and once at a time."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future
from itertools import islice
from typing import Any, Final, cast

from asyncq._service import Errands
from asyncq.entries import PeriodicTask
from asyncq.errors import ProviderError

Answer = Iterable[PeriodicTask] | AsyncIterable[PeriodicTask]
Provider = Callable[[], Answer | Awaitable[Answer]]

MOST: Final = 100_000
"""Entries that one provider may give: an iterator without an end must not fill the memory."""

LAST_WORDS: Final = 1.0


class Source:
    """Asks the provider. Whatever it does, the answer is a list or a `ProviderError`, and in time.

    An `async` provider runs on the event loop. Any other one runs in a thread, since it will wait
    for a database or a file; the thread is a daemon, so that one that hangs does not keep the
    program from ending.
    """

    def __init__(self, provider: Provider, *, timeout: float) -> None:
        self._provider: Final = provider
        self._timeout: Final = timeout
        self._errands: Final = Errands()
        self._asked: asyncio.Task[list[object]] | None = None
        self._thread: threading.Thread | None = None

    async def ask(self) -> list[object]:
        """Return what the provider gives.

        Raises:
            ProviderError: It raised, gave no entries, or did not answer in time.
        """
        if self._is_busy():
            raise ProviderError("it has not ended since it was asked before")
        asked = self._asked = self._errands.start(self._ask(), name="provider")
        try:
            await asyncio.wait([asked], timeout=self._timeout)
        finally:
            # A provider that does not obey goes on; it is not asked again before it has ended.
            if not asked.done():
                asked.cancel()
        if not asked.done():
            raise ProviderError(f"no answer within {self._timeout:g} s")
        if asked.cancelled():
            raise ProviderError("it was cancelled")
        error = asked.exception()
        if error is not None:
            raise ProviderError(f"{type(error).__name__}: {error}") from error
        return asked.result()

    def _is_busy(self) -> bool:
        is_asked = self._asked is not None and not self._asked.done()
        return is_asked or (self._thread is not None and self._thread.is_alive())

    async def _ask(self) -> list[object]:
        answer = self._provider() if _is_async(self._provider) else await self._in_thread()
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, AsyncIterable):
            found: list[object] = []
            async for item in cast("AsyncIterable[object]", answer):
                found.append(item)
                if len(found) > MOST:
                    break
            return _bounded(found)
        return _bounded(_listed(answer))

    async def _in_thread(self) -> object:
        future: Future[object] = Future()
        context = contextvars.copy_context()

        def work() -> None:
            try:
                answer = context.run(self._provider)
                # What is lazy does its work when it is walked through: here, and not on the event loop.
                is_later = inspect.isawaitable(answer) or isinstance(answer, AsyncIterable)
                result = answer if is_later else _listed(answer)
            except BaseException as error:  # noqa: BLE001 - handed to whoever asked
                future.set_exception(_fit_for_a_future(error))
            else:
                future.set_result(result)

        future.set_running_or_notify_cancel()
        self._thread = threading.Thread(target=work, name="asyncq-provider", daemon=True)
        self._thread.start()
        return await asyncio.wrap_future(future)

    async def aclose(self) -> None:
        """Let go of a provider that is still asked."""
        await self._errands.cancel(LAST_WORDS)


def _is_async(function: Callable[..., Any]) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 - an object with `async def __call__`
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _fit_for_a_future(error: BaseException) -> BaseException:
    """Return the error, wrapped where a future cannot hold it or it would end the event loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"the provider raised {type(error).__name__}")
    wrapped.__cause__ = error
    return wrapped


def _listed(answer: object) -> list[object]:
    kind = type(answer).__name__
    if isinstance(answer, str | bytes | Mapping) or not isinstance(answer, Iterable):
        raise TypeError(f"a provider gives an iterable of PeriodicTask, not {kind}")
    return list(islice(cast("Iterable[object]", answer), MOST + 1))


def _bounded(items: list[object]) -> list[object]:
    if len(items) > MOST:
        raise ValueError(f"more than {MOST:,} entries")
    return items

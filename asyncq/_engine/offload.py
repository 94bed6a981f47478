"""Handlers that must not run on the event loop: in threads, and in processes that can be killed."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import anyio
import anyio.to_process

from asyncq._service import Errands
from asyncq.context import Context
from asyncq.errors import WorkerProcessDiedError
from asyncq.mux import Route
from asyncq.task import Task

log = logging.getLogger("asyncq.server")

Call = Callable[[Task, Context], Awaitable[Any]]

MOST_THREADS: Final = 32


class Offload:
    """Threads and processes of one server, made when they are first needed."""

    def __init__(self, *, threads: int, processes: int) -> None:
        self._threads = threads
        self._processes = processes
        self._pool: ThreadPoolExecutor | None = None
        self._limiter: anyio.CapacityLimiter | None = None
        self._calls: dict[Route, Call] = {}
        self._errands: Final = Errands()

    def call_for(self, route: Route) -> Call:
        """How to run the handler of a route elsewhere, middleware and all."""
        call = self._calls.get(route)
        if call is None:
            inner = self._in_process if route.executor == "process" else self._in_thread
            call = self._calls[route] = route.bind(partial(inner, route))
        return call

    async def _in_thread(self, route: Route, task: Task, context: Context) -> Any:
        """Run in a thread, and do not believe that it has ended before it has.

        A thread cannot be interrupted. When we are cancelled it is told (`ctx.is_cancelled`), and
        the cancellation goes on once it has returned; the executor decides how long to wait.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="asyncq-handler")
        args, kwargs = route.arguments(task, context)
        copied = contextvars.copy_context()
        future = asyncio.get_running_loop().run_in_executor(
            self._pool, partial(copied.run, partial(route.function, *args, **kwargs))
        )
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None and not (future.exception() is None and context.is_cancelled):
            raise cancelled
        return future.result()

    async def _in_process(self, route: Route, task: Task, context: Context) -> Any:
        """Run in a worker process, which is killed when this is cancelled."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._processes)
        args, kwargs = route.arguments(task, context)
        try:
            return await anyio.to_process.run_sync(
                partial(route.function, *args, **kwargs), cancellable=True, limiter=self._limiter
            )
        except anyio.BrokenWorkerProcess as error:
            raise WorkerProcessDiedError(0) from error

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine of the executor's own beside the handlers."""
        self._errands.start(work, name="conclusion")

    async def aclose(self) -> None:
        """Wait for what was spawned, and let the threads go; those that still run are left behind."""
        await self._errands.finish()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

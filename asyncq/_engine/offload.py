"""Handlers that must not run on the event loop: in threads, and in processes that can be killed."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import anyio
import anyio.to_process

from asyncq._service import Errands
from asyncq.context import Context
from asyncq.errors import WorkerProcessDiedError
from asyncq.logs import CARRIED, TaskFields, task_fields
from asyncq.mux import Route
from asyncq.task import Task

Call = Callable[[Task, Context], Awaitable[Any]]

MOST_THREADS: Final = 32


class Offload:
    """Threads and processes of one server, made when they are first needed."""

    def __init__(self, *, threads: int, processes: int) -> None:
        self._threads = threads
        self._processes = processes
        self._pool: ThreadPoolExecutor | None = None
        self._limiter: anyio.CapacityLimiter | None = None
        self._errands: Final = Errands()

    def call_for(self, route: Route) -> Call:
        """How to run the handler of a route elsewhere, middleware and all."""
        # Made for each task: it costs a hundredth of the way to a thread, and kept ones would add up, as
        # under a prefix there may be any number of types.
        return route.bind(
            partial(self._in_process if route.executor == "process" else self._in_thread, route)
        )

    async def _in_thread(self, route: Route, task: Task, context: Context) -> Any:
        """Run in a thread, and do not believe that it has ended before it has.

        A thread cannot be interrupted. When we are cancelled it is told (`ctx.is_cancelled`), and
        the cancellation goes on once it has returned; the executor decides how long to wait.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="asyncq-handler")
        args, kwargs = route.arguments(task, context)
        copied = contextvars.copy_context()
        begun = self._pool.submit(copied.run, _call, route.function, args, kwargs)
        future = asyncio.wrap_future(begun)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                if begun.cancel():
                    raise  # it was still waiting for a thread, and will not get one
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
            answer = await anyio.to_process.run_sync(
                partial(_call_elsewhere, task_fields(), route.function, args, kwargs),
                cancellable=True,
                limiter=self._limiter,
            )
        except anyio.BrokenWorkerProcess as error:
            raise WorkerProcessDiedError(0) from error
        if isinstance(answer, _Exit):
            raise answer.error
        return answer

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine of the executor's own beside the handlers."""
        self._errands.start(work, name="conclusion")

    async def aclose(self, grace: float) -> None:
        """Wait for what was spawned, but not for ever; let the threads go, and leave those that still run."""
        await self._errands.finish(grace)
        await self._errands.cancel(grace)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        # No future can hold one, and nobody would ever hear of the end. Coroutines do the same.
        raise RuntimeError("handler raised StopIteration") from error


@dataclass(frozen=True, slots=True)
class _Exit:
    """What a handler raised in a process that wants its process to end."""

    error: SystemExit


def _call_elsewhere(
    fields: TaskFields | None, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """In a process there is no context; what log records say of the task is sent along."""
    token = CARRIED.set(fields)
    try:
        return function(*args, **kwargs)
    except SystemExit as error:
        # Raised on, the process would send it and then end. Until its end is noticed it counts as one that
        # is free, and whichever task comes next would be given to it and lost.
        return _Exit(error)
    finally:
        CARRIED.reset(token)

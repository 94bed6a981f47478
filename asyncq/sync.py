"""The client for blocking code: Django views, scripts, threads.

The same client underneath, in an event loop of its own in a thread of its own. Any number of
threads may use one client at the same time, and then share round trips as coroutines do.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

from asyncq._compose import DEFAULT_MAX_PAYLOAD
from asyncq.client import DEFAULT_CHUNK, DEFAULT_PATIENCE, EnqueueMiddleware, Outcome
from asyncq.client import Client as AsyncClient
from asyncq.codecs import Codecs
from asyncq.connection import ConnectionOptions, Pong
from asyncq.errors import ClosedError, LifecycleError
from asyncq.options import TaskOptions
from asyncq.task import Task
from asyncq.task_info import TaskInfo

__all__ = ["Client"]

T = TypeVar("T")

LAST_TURNS: Final = 1.0
"""Seconds at most for what is still under way when the connection is closed to say so."""


class Client:
    """Enqueues tasks, from code that blocks.

        with Client("redis://localhost:6379/0") as client:
            client.enqueue(Task("email:welcome", {"user_id": 42}), process_in=60)

    The thread is started at the first use. After a fork the child has no such thread: make a
    client in each process, as with any connection.

    Args:
        url: Where Redis is: a URL or `ConnectionOptions`.
        codecs: How payloads are encoded: msgpack when not given.
        defaults: Options for every task that does not say otherwise.
        max_payload: Bytes a payload may have.
        patience: Seconds for which a call is sent again while Redis cannot be reached.
        prefix: What every key begins with; `asyncq:` when not given.
        middleware: What to wrap around enqueueing; runs in the event loop of the client. See `use`.
    """

    def __init__(  # noqa: PLR0913 - its options, one by one
        self,
        url: str | ConnectionOptions,
        *,
        codecs: Codecs | None = None,
        defaults: TaskOptions | None = None,
        max_payload: int = DEFAULT_MAX_PAYLOAD,
        patience: float = DEFAULT_PATIENCE,
        prefix: str | None = None,
        middleware: Iterable[EnqueueMiddleware] = (),
    ) -> None:
        self._client: Final = AsyncClient(
            url,
            codecs=codecs,
            defaults=defaults,
            max_payload=max_payload,
            patience=patience,
            prefix=prefix,
            middleware=middleware,
        )
        self._pid: Final = os.getpid()
        self._lock: Final = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def use(self, *middleware: EnqueueMiddleware) -> None:
        """Wrap middleware around enqueueing: `async def`, as `asyncq.Client.use`."""
        self._client.use(*middleware)

    def enqueue(self, task: Task, **options: Unpack[TaskOptions]) -> TaskInfo:
        """Put a task into its queue, and return when it is there. As `asyncq.Client.enqueue`."""
        return self._call(self._client.enqueue(task, **options))

    def enqueue_many(
        self, tasks: Iterable[Task], *, chunk: int = DEFAULT_CHUNK, **options: Unpack[TaskOptions]
    ) -> Iterator[Outcome]:
        """Enqueue any number of tasks; yields an outcome for each, in order.

        The iterable is read in the calling thread, a chunk at a time. As `asyncq.Client.enqueue_many`.
        """
        waiting = iter(tasks)
        while some := list(islice(waiting, chunk)):
            yield from self._call(self._enqueue_all(some, chunk, options))

    async def _enqueue_all(self, tasks: list[Task], chunk: int, options: TaskOptions) -> list[Outcome]:
        return [outcome async for outcome in self._client.enqueue_many(tasks, chunk=chunk, **options)]

    def result(
        self, task: TaskInfo | str, timeout: float | timedelta | None = None, *, queue: str | None = None
    ) -> Any:
        """Block until a task has succeeded, and return its result. As `asyncq.Client.result`."""
        return self._call(self._client.result(task, timeout, queue=queue))

    def ping(self) -> Pong:
        """Look whether Redis is there and fit for tasks. As `asyncq.Client.ping`."""
        return self._call(self._client.ping())

    def close(self) -> None:
        """Let what is on its way arrive, then close. May be called twice."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            self._is_closed = True
        if loop is None or thread is None:
            return
        if os.getpid() == self._pid:
            asyncio.run_coroutine_threadsafe(self._end(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _end(self) -> None:
        try:
            await self._client.aclose()
        finally:
            # Calls under way fail by that, but in a later turn of a loop that is about to stop.
            calls = asyncio.all_tasks() - {asyncio.current_task()}
            if calls:
                await asyncio.wait(calls, timeout=LAST_TURNS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            # Under the lock, since a loop that was stopped meanwhile would keep the work and never do it.
            with self._lock:
                future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._running_loop())
        except BaseException:
            work.close()
            raise
        try:
            return future.result()
        except BaseException:
            # A Ctrl-C while we wait: the call itself may have arrived, but nobody waits for it.
            future.cancel()
            raise

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop, started when it is needed. Whoever asks holds the lock."""
        if self._is_closed:
            raise ClosedError("the client")
        if os.getpid() != self._pid:
            raise LifecycleError("this client was made before a fork; make one in each process")
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="asyncq-client", daemon=True)
            self._thread.start()
        return self._loop

"""The client: puts tasks into queues."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final, Self, Unpack

from asyncq._broker.broker import Broker
from asyncq._broker.checkup import check
from asyncq._broker.enqueue import Placed
from asyncq._broker.results import OnProgress, Seen
from asyncq._checks import near_misses, require_whole
from asyncq._clock import seconds
from asyncq._compose import DEFAULT_MAX_PAYLOAD, compose, info_of, new_id, require_task
from asyncq._enqueue_middleware import EnqueueCall, EnqueueMiddleware, checked, wrapped
from asyncq._service import Errands
from asyncq._wire.messages import NewTask
from asyncq._wire.native import decode_result
from asyncq.codecs import Codecs
from asyncq.connection import ConnectionOptions, Pong
from asyncq.errors import (
    AsyncqError,
    ClosedError,
    ConfigError,
    QueueNotFoundError,
    ResultNotKeptError,
    ResultTimeoutError,
    TaskArchivedError,
    TaskNotFoundError,
)
from asyncq.options import DEFAULT_QUEUE, CheckedOptions, TaskOptions, check_options, is_queue_name, is_text
from asyncq.schedules import Schedules
from asyncq.shared import Connection, read_connection
from asyncq.task import Task
from asyncq.task_info import Progress, TaskInfo

__all__ = ["Client", "EnqueueCall", "EnqueueMiddleware", "Outcome"]

DEFAULT_PATIENCE: Final = 10.0
DEFAULT_CHUNK: Final = 1000
_CLIENT_ID_LENGTH: Final = 12

_Begun = tuple[Task, NewTask | None, asyncio.Future[Any] | AsyncqError]
"""An item of `enqueue_many` on its way: with what is written, or nothing when middleware is around it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item of `enqueue_many`."""

    task: Task
    info: TaskInfo | None  #: where it is, if it was enqueued
    error: Exception | None  #: why it was not, if it was not: an `AsyncqError`, or what middleware raised

    @property
    def is_enqueued(self) -> bool:
        """Whether it is in Redis."""
        return self.info is not None


class Client:
    """Enqueues tasks.

        async with Client("redis://localhost:6379/0") as client:
            await client.enqueue(Task("email:welcome", {"user_id": 42}), process_in=60)

    Nothing is connected before the first use. Calls that are made at the same time share round
    trips; an `await client.enqueue(...)` returns when the task is in Redis.

    Args:
        url: Where Redis is: a URL, `ConnectionOptions`, or a `Connection` that is shared.
        codecs: How payloads are encoded: msgpack when not given.
        defaults: Options for every task that does not say otherwise.
        max_payload: Bytes a payload may have.
        patience: Seconds for which a call is sent again while Redis cannot be reached. Sending
            again never makes a second task of one.
        prefix: What every key begins with; `asyncq:` when not given.
        wire: How tasks look in Redis: `native` when not given, or `asynq` to share them with Go.
        middleware: What to wrap around enqueueing; see `use`.

    Attributes:
        schedules: The entries of schedulers, to add, change, pause, run and look at.
    """

    def __init__(  # noqa: PLR0913 - its options, one by one
        self,
        url: str | ConnectionOptions | Connection,
        *,
        codecs: Codecs | None = None,
        defaults: TaskOptions | None = None,
        max_payload: int = DEFAULT_MAX_PAYLOAD,
        patience: float = DEFAULT_PATIENCE,
        prefix: str | None = None,
        wire: str | None = None,
        middleware: Iterable[EnqueueMiddleware] = (),
    ) -> None:
        self._connection, self._owns_connection = read_connection(url, prefix, wire)
        self._codecs = (codecs or Codecs()).on(self._connection.wire.codec)
        self._defaults: CheckedOptions = check_options(dict(defaults)) if defaults else {}
        require_whole("max_payload", max_payload, least=1)
        self._compose = partial(
            compose, codecs=self._codecs, defaults=self._defaults, max_payload=max_payload
        )
        self._middleware: list[EnqueueMiddleware] = []
        self._around: EnqueueCall | None = None  # without middleware nothing is in between
        self._errands = Errands()
        self.use(*checked(middleware))
        self._patience = seconds(patience, name="patience")
        self._broker: Broker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self.schedules: Final = Schedules(self._connected, self._codecs, self._enqueue_wrapped)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _connected(self) -> Broker:
        broker = self._broker
        if broker is not None and self._loop is asyncio.get_running_loop():
            return broker
        if self._is_closed:
            raise ClosedError("the client")
        if broker is not None:
            raise ConfigError(
                "client", self, "one event loop; make a client for each, or use asyncq.sync.Client"
            )
        self._loop = asyncio.get_running_loop()
        broker = self._broker = Broker(
            self._connection.router(),
            self._connection.wire,
            owner=new_id()[:_CLIENT_ID_LENGTH],
            patience=self._patience,
        )
        return broker

    def use(self, *middleware: EnqueueMiddleware) -> None:
        """Wrap middleware around enqueueing, one task at a time, also those of `enqueue_many`.

        What is added first is outermost. It may change the task and the options, look at what came of
        it, refuse by raising, or enqueue again.

            async def traced(task: Task, options: TaskOptions, call_next: EnqueueCall) -> TaskInfo:
                headers = {"trace": current_trace(), **options.get("headers", {})}
                return await call_next(task, {**options, "headers": headers})

        Raises:
            ConfigError: It is not an `async def`.
        """
        self._middleware += checked(middleware)
        if self._middleware:
            self._around = wrapped(self._middleware, self._enqueue)

    async def enqueue(self, task: Task, **options: Unpack[TaskOptions]) -> TaskInfo:
        """Put a task into its queue, and return when it is there.

        Args:
            task: What is to be done.
            options: Win over those of the task.

        Raises:
            ConfigError: An option or the payload is wrong; nothing was sent.
            DuplicateTaskError: It is unique, and another one holds the lock.
            TaskIdConflictError: There is a task with this id.
            BrokerUnavailableError: Redis was not reached in time. Whether the task is there is not
                known; with a `task_id` of your own you can enqueue it again and find out.
        """
        if self._around is not None:
            require_task(task)
            return await self._around(task, options)
        new = self._compose(task, options)
        return self._info(new, await self._connected().enqueue.submit(new))

    async def _enqueue_wrapped(self, task: Task, options: TaskOptions) -> TaskInfo:
        return await (self._around or self._enqueue)(task, options)

    async def _enqueue(self, task: Task, options: TaskOptions) -> TaskInfo:
        """What is inside the middleware."""
        new = self._compose(task, options)
        return self._info(new, await self._connected().enqueue.submit(new))

    def _info(self, new: NewTask, placed: Placed) -> TaskInfo:
        return info_of(new, placed.word, placed.now, self._codecs)

    async def enqueue_many(
        self,
        tasks: Iterable[Task] | AsyncIterable[Task],
        *,
        chunk: int = DEFAULT_CHUNK,
        **options: Unpack[TaskOptions],
    ) -> AsyncIterator[Outcome]:
        """Enqueue any number of tasks; yields an outcome for each, in order.

            async for outcome in client.enqueue_many(tasks):
                if outcome.error: ...

        The tasks are read as they are needed, so they may be a generator of millions. Each task is
        all there or not at all; the many together are not: when the program stops half-way, what
        was sent is there.

        Args:
            tasks: Any iterable, also an asynchronous one.
            chunk: How many are on their way at the same time.
            options: For all of them; win over their own.
        """
        require_whole("chunk", chunk, least=1)
        pending: list[_Begun] = []
        async for task in _each(tasks):
            pending.append(self._begin(task, options))
            if len(pending) >= 2 * chunk:
                # The first half is awaited while the second is already on its way.
                for outcome in await self._finish(pending[:chunk]):
                    yield outcome
                del pending[:chunk]
        for outcome in await self._finish(pending):
            yield outcome

    def _begin(self, task: Task, options: TaskOptions) -> _Begun:
        try:
            if self._around is not None:
                require_task(task)
                self._connected()
                return task, None, self._errands.start(self._through(task, options), name="enqueue")
            new = self._compose(task, options)
        except ConfigError as error:
            return task, None, error
        return task, new, self._connected().enqueue.submit(new)

    async def _through(self, task: Task, options: TaskOptions) -> Outcome:
        """Enqueue one of many through the middleware, of which each gets options of its own to change."""
        around = self._around or self._enqueue
        try:
            return Outcome(task, await around(task, {**options}), None)
        except Exception as error:  # noqa: BLE001 - of a user's middleware, or ours: it is the outcome of its item
            return Outcome(task, None, error)

    async def _finish(self, begun: list[_Begun]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for task, new, answer in begun:
            if isinstance(answer, AsyncqError):
                outcomes.append(Outcome(task, None, answer))
                continue
            if new is None:
                outcomes.append(await answer)
                continue
            try:
                outcomes.append(Outcome(task, self._info(new, await answer), None))
            except AsyncqError as error:
                outcomes.append(Outcome(task, None, error))
        return outcomes

    async def result(
        self,
        task: TaskInfo | str,
        timeout: float | timedelta | None = None,
        *,
        queue: str | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Any:
        """Wait until a task has succeeded, and return its result.

            info = await client.enqueue(Task("report", 42), retention=600)
            report = await client.result(info, timeout=30)

        Who settles the task says so at once, and a look every two seconds stands behind that. Waiting
        does not hold the task up, and giving up does not stop it. Results are kept for the `retention`
        of the task and not at all without; so wait for tasks that have one.

        Args:
            task: What `enqueue` returned, or the id of a task.
            timeout: Seconds to wait; 0 only looks; `None` waits for as long as it takes.
            queue: The queue of a task that is named by its id, "default" if not given.
            on_progress: Called with what `ctx.progress` reports, as soon as it is seen; the latest of each
                moment. What it raises ends the wait.

        Returns:
            What the handler returned, or wrote with `ctx.write_result` if it returned nothing; `None` if
            it did neither.

        Raises:
            TaskArchivedError: It failed for good, or was cancelled.
            ResultNotKeptError: It ended while we waited, or was deleted, and nothing of it was kept.
            TaskNotFoundError: There is no such task, or no longer.
            QueueNotFoundError: No task was ever put into such a queue.
            ResultTimeoutError: It was not over in time; also a `TimeoutError`.
            WireError: The result cannot be decoded.
            BrokerError: Redis could not be asked for as long as the patience lasts.
        """
        where, task_id = _named(task, queue)
        limit = math.inf if timeout is None else seconds(timeout, name="timeout")
        seen = await self._wait(where, task_id, limit, on_progress)
        if seen is None or not seen.is_over:
            raise ResultTimeoutError(where, task_id, limit)
        if seen.state == "missing":
            raise await self._why_missing(where, task_id, seen, is_known=isinstance(task, TaskInfo))
        return self._result_of(where, task_id, seen)

    async def _wait(
        self, queue: str, task_id: str, limit: float, on_progress: Callable[[Progress], None] | None
    ) -> Seen | None:
        results = self._connected().results
        if not limit:
            return await results.look(queue, task_id)
        show = None if on_progress is None else _showing(on_progress)
        scope = asyncio.timeout(None if limit == math.inf else limit)
        try:
            async with scope:
                return await results.wait(queue, task_id, show)
        except TimeoutError:
            if scope.expired():
                return None
            raise  # it is of `on_progress`

    async def _why_missing(self, queue: str, task_id: str, seen: Seen, *, is_known: bool) -> AsyncqError:
        if seen.was_there or seen.how or is_known:
            return ResultNotKeptError(queue, task_id, seen.how)
        browse = self._connected().browse
        if not await browse.has_tasks(queue) and queue not in (known := await browse.queues()):
            return QueueNotFoundError(queue, near_misses(queue, known))
        return TaskNotFoundError(queue, task_id, await browse.elsewhere(queue, task_id))

    def _result_of(self, queue: str, task_id: str, seen: Seen) -> Any:
        if seen.state == "archived":
            raise TaskArchivedError(queue, task_id, seen.reason, seen.error)
        if seen.result is None:
            return None
        codec, raw = decode_result(seen.result)
        return self._codecs.decode(codec, raw, where=f"the result of task {task_id!r}")

    async def ping(self) -> Pong:
        """Look whether Redis is there and fit for tasks.

        Raises:
            BrokerError: It is not; the text says what is wrong and what to try.
        """
        return await check(self._connected().router, patience=0.0)

    async def aclose(self) -> None:
        """Let what is on its way arrive, then close. May be called twice."""
        broker: Broker | None = None
        try:
            await self._errands.finish()  # with middleware, what was begun is not yet composed
            self._is_closed = True
            broker, self._broker = self._broker, None
            if broker is not None:
                await broker.enqueue.drain()
        finally:
            # Also when whoever closes it has no time to wait for a Redis that is away.
            self._is_closed = True
            try:
                if broker is not None:
                    await broker.results.aclose()
            finally:
                if self._owns_connection:
                    await self._connection.aclose()


async def _each(tasks: Iterable[Task] | AsyncIterable[Task]) -> AsyncIterator[Any]:
    if isinstance(tasks, AsyncIterable):
        async for task in tasks:
            yield task
    else:
        for task in tasks:
            yield task


def _showing(on_progress: Callable[[Progress], None]) -> OnProgress:
    return lambda raw: on_progress(Progress.decode(raw))


def _named(task: object, queue: object) -> tuple[str, str]:
    """The queue and the id that somebody means."""
    if isinstance(task, TaskInfo):
        if queue not in (None, task.queue):
            raise ConfigError("queue", queue, f"nothing beside a task that says its queue, {task.queue!r}")
        return task.queue, task.id
    name = DEFAULT_QUEUE if queue is None else queue
    if not is_queue_name(name):
        raise ConfigError("queue", queue, "a name that is not blank and has no braces")
    if not is_text(task):
        raise ConfigError("task", task, "what `enqueue` returned, or the id of a task")
    return str(name), str(task)

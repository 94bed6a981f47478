"""The client: puts tasks into queues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, Final, Self, Unpack

from asyncq._broker.broker import Broker
from asyncq._broker.checkup import check
from asyncq._broker.enqueue import Placed
from asyncq._checks import require_whole
from asyncq._clock import seconds
from asyncq._compose import DEFAULT_MAX_PAYLOAD, compose, info_for, new_id
from asyncq._wire.messages import NewTask
from asyncq.codecs import Codecs
from asyncq.connection import ConnectionOptions, Pong
from asyncq.errors import (
    AsyncqError,
    BrokerReplyError,
    ClosedError,
    ConfigError,
    DuplicateTaskError,
    TaskIdConflictError,
)
from asyncq.options import CheckedOptions, TaskOptions, check_options
from asyncq.shared import Connection, read_connection
from asyncq.task import Task
from asyncq.task_info import TaskInfo

__all__ = ["Client", "Outcome"]

DEFAULT_PATIENCE: Final = 10.0
DEFAULT_CHUNK: Final = 1000
_CLIENT_ID_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item of `enqueue_many`."""

    task: Task
    info: TaskInfo | None  #: where it is, if it was enqueued
    error: AsyncqError | None  #: why it was not, if it was not

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
    """

    def __init__(
        self,
        url: str | ConnectionOptions | Connection,
        *,
        codecs: Codecs | None = None,
        defaults: TaskOptions | None = None,
        max_payload: int = DEFAULT_MAX_PAYLOAD,
        patience: float = DEFAULT_PATIENCE,
        prefix: str | None = None,
    ) -> None:
        self._connection, self._owns_connection = read_connection(url, prefix)
        self._codecs = codecs or Codecs()
        self._defaults: CheckedOptions = check_options(dict(defaults)) if defaults else {}
        require_whole("max_payload", max_payload, least=1)
        self._max_payload = max_payload
        self._patience = seconds(patience, name="patience")
        self._broker: Broker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

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
        new = compose(
            task, options, codecs=self._codecs, defaults=self._defaults, max_payload=self._max_payload
        )
        placed = await self._connected().enqueue.submit(new)
        return self._info(new, placed)

    def _info(self, new: NewTask, placed: Placed) -> TaskInfo:
        word = placed.word
        if word == "pending":
            return info_for(new, "pending", placed.now, self._codecs)
        if word == "scheduled":
            return info_for(new, "scheduled", new.at or placed.now + new.delay, self._codecs)
        if word == "aggregating":
            return info_for(new, "aggregating", 0.0, self._codecs)
        if word == "already":
            is_delayed = new.at > placed.now or new.delay
            return info_for(new, "scheduled" if is_delayed else "pending", new.at or placed.now, self._codecs)
        if word == "duplicate":
            raise DuplicateTaskError(new.queue, new.envelope.type)
        if word == "conflict":
            raise TaskIdConflictError(new.queue, new.id)
        raise BrokerReplyError("enqueue", word)

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
        pending: list[tuple[Task, NewTask | None, asyncio.Future[Placed] | AsyncqError]] = []
        async for task in _each(tasks):
            pending.append(self._begin(task, options))
            if len(pending) >= 2 * chunk:
                # The first half is awaited while the second is already on its way.
                for outcome in await self._finish(pending[:chunk]):
                    yield outcome
                del pending[:chunk]
        for outcome in await self._finish(pending):
            yield outcome

    def _begin(
        self, task: Task, options: TaskOptions
    ) -> tuple[Task, NewTask | None, asyncio.Future[Placed] | AsyncqError]:
        try:
            new = compose(
                task, options, codecs=self._codecs, defaults=self._defaults, max_payload=self._max_payload
            )
        except ConfigError as error:
            return task, None, error
        return task, new, self._connected().enqueue.submit(new)

    async def _finish(
        self, begun: list[tuple[Task, NewTask | None, asyncio.Future[Placed] | AsyncqError]]
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for task, new, answer in begun:
            if new is None or isinstance(answer, AsyncqError):
                outcomes.append(Outcome(task, None, answer if isinstance(answer, AsyncqError) else None))
                continue
            try:
                outcomes.append(Outcome(task, self._info(new, await answer), None))
            except AsyncqError as error:
                outcomes.append(Outcome(task, None, error))
        return outcomes

    async def ping(self) -> Pong:
        """Look whether Redis is there and fit for tasks.

        Raises:
            BrokerError: It is not; the text says what is wrong and what to try.
        """
        return await check(self._connected().router, patience=0.0)

    async def aclose(self) -> None:
        """Let what is on its way arrive, then close. May be called twice."""
        self._is_closed = True
        if self._broker is not None:
            broker, self._broker = self._broker, None
            await broker.enqueue.drain()
        if self._owns_connection:
            await self._connection.aclose()


async def _each(tasks: Iterable[Task] | AsyncIterable[Task]) -> AsyncIterator[Any]:
    if isinstance(tasks, AsyncIterable):
        async for task in tasks:
            yield task
    else:
        for task in tasks:
            yield task

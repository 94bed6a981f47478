"""Client and semaphore for blocking code: Django views, scripts, threads.

The same ones underneath, in an event loop of its own in a thread of its own. Any number of
threads may use one of them at the same time, and then share round trips as coroutines do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self, Unpack, cast

from asyncq._blocking_schedules import Schedules
from asyncq._compose import DEFAULT_MAX_PAYLOAD
from asyncq._loop_thread import Handover, HostLoop, Loop, LoopThread, refuse_to_block_a_loop, result_of
from asyncq.client import DEFAULT_CHUNK, DEFAULT_PATIENCE, EnqueueMiddleware, Outcome
from asyncq.client import Client as AsyncClient
from asyncq.codecs import Codecs
from asyncq.connection import ConnectionOptions, Pong
from asyncq.context import Context, find_context
from asyncq.errors import ClosedError, NoSlotError, SlotLostError
from asyncq.options import TaskOptions
from asyncq.semaphore import DEFAULT_LEASE, Occupied, slots_at
from asyncq.semaphore import Semaphore as AsyncSemaphore
from asyncq.semaphore import Slot as AsyncSlot
from asyncq.task import Task
from asyncq.task_info import TaskInfo

__all__ = ["Client", "Schedules", "Semaphore", "Slot"]


class Client:
    """Enqueues tasks, from code that blocks.

        with Client("redis://localhost:6379/0") as client:
            client.enqueue(Task("email:welcome", {"user_id": 42}), process_in=60)

    The thread is started at the first use. After a fork the child has no such thread: what was used
    before cannot be used there, as with any connection.

    Args:
        url: Where Redis is: a URL or `ConnectionOptions`.
        codecs: How payloads are encoded: msgpack when not given.
        defaults: Options for every task that does not say otherwise.
        max_payload: Bytes a payload may have.
        patience: Seconds for which a call is sent again while Redis cannot be reached.
        prefix: What every key begins with; `asyncq:` when not given.
        wire: How tasks look in Redis: `native` when not given, or `asynq` to share them with Go.
        middleware: What to wrap around enqueueing; runs in the event loop of the client. See `use`.

    Attributes:
        schedules: The entries of schedulers, to add, change, pause, run and look at.
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
        wire: str | None = None,
        middleware: Iterable[EnqueueMiddleware] = (),
    ) -> None:
        self._client: Final = AsyncClient(
            url,
            codecs=codecs,
            defaults=defaults,
            max_payload=max_payload,
            patience=patience,
            prefix=prefix,
            wire=wire,
            middleware=middleware,
        )
        self._thread: Final = LoopThread("client")
        self.schedules: Final = Schedules(self._client.schedules, self._thread)

    def use(self, *middleware: EnqueueMiddleware) -> None:
        """Wrap middleware around enqueueing: `async def`, as `asyncq.Client.use`."""
        self._client.use(*middleware)

    def enqueue(self, task: Task, **options: Unpack[TaskOptions]) -> TaskInfo:
        """Put a task into its queue, and return when it is there. As `asyncq.Client.enqueue`."""
        return self._thread.call(self._client.enqueue(task, **options))

    def enqueue_many(
        self, tasks: Iterable[Task], *, chunk: int = DEFAULT_CHUNK, **options: Unpack[TaskOptions]
    ) -> Iterator[Outcome]:
        """Enqueue any number of tasks; yields an outcome for each, in order.

        The iterable is read in the calling thread, a chunk at a time. As `asyncq.Client.enqueue_many`.
        """
        waiting = iter(tasks)
        while some := list(islice(waiting, chunk)):
            yield from self._thread.call(self._enqueue_all(some, chunk, options))

    async def _enqueue_all(self, tasks: list[Task], chunk: int, options: TaskOptions) -> list[Outcome]:
        return [outcome async for outcome in self._client.enqueue_many(tasks, chunk=chunk, **options)]

    def result(
        self, task: TaskInfo | str, timeout: float | timedelta | None = None, *, queue: str | None = None
    ) -> Any:
        """Block until a task has succeeded, and return its result. As `asyncq.Client.result`."""
        return self._thread.call(self._client.result(task, timeout, queue=queue))

    def ping(self) -> Pong:
        """Look whether Redis is there and fit for tasks. As `asyncq.Client.ping`."""
        return self._thread.call(self._client.ping())

    def close(self) -> None:
        """Let what is on its way arrive, then close. May be called twice."""
        self._thread.close(self._client.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Slot:
    """A slot that is held by blocking code, until it is released or lost. Made by `Semaphore`.

    As a context manager it is released at the end of the block. A thread cannot be interrupted, so a
    block whose slot is lost goes on; a long one may look at `is_lost`.
    """

    def __init__(self, slot: AsyncSlot, loop: Loop) -> None:
        self._slot: Final = slot
        self._loop: Final = loop

    @property
    def scope(self) -> str:
        """The name of the semaphore."""
        return self._slot.scope

    @property
    def token(self) -> str:
        """By which it is known in Redis."""
        return self._slot.token

    @property
    def is_lost(self) -> bool:
        """Whether somebody else may hold it: Redis was away, or we were frozen, for longer than a lease."""
        return self._slot.is_lost

    def release(self) -> None:
        """Give it back, and return when it is free. May be called twice.

        If Redis cannot be reached it stays taken until its lease is over; the log says so.
        """
        # Where the loop has ended, everything was given back.
        with suppress(ClosedError):
            result_of(self._loop.start(self._slot.release()), self._loop)

    def __enter__(self) -> Self:
        if self.is_lost:
            raise SlotLostError(self.scope)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return repr(self._slot)


class Semaphore:
    """At most `maximum` holders at the same time, over all processes that name the same scope.

        bank = Semaphore("redis://localhost:6379/0", "bank", 5)

        with bank:
            transfer()

    `asyncq.Semaphore` for blocking code: any number of threads may use one, and those of the two kinds
    share their slots. In a `def` handler whose server has the same Redis and prefix, a slot belongs to
    the delivery and dies with its lease.

    Nothing is started before the first use; `close` gives back what is held and ends it. After a fork
    the child cannot use what was used before.

    Args:
        url: Where Redis is: a URL or `ConnectionOptions`.
        scope: The name of what is limited. Not blank, no braces.
        maximum: How many may hold a slot. Processes that say different numbers each go by their own.
        lease: Seconds after which the slots of a process that vanished are free; in a handler it is
            the lease of the server. At least 1.
        patience: Seconds for which a call is sent again while Redis cannot be reached.
        prefix: What every key begins with; `asyncq:` when not given.
        wire: How tasks look in Redis: `native` when not given, or `asynq` to share them with Go.
    """

    def __init__(  # noqa: PLR0913 - its options, one by one
        self,
        url: str | ConnectionOptions,
        scope: str,
        maximum: int,
        *,
        lease: float | timedelta = DEFAULT_LEASE,
        patience: float | timedelta = DEFAULT_PATIENCE,
        prefix: str | None = None,
        wire: str | None = None,
    ) -> None:
        self._semaphore: Final = AsyncSemaphore(
            url, scope, maximum, lease=lease, patience=patience, prefix=prefix, wire=wire
        )
        self._thread: Final = LoopThread("semaphore")
        self._entered: Final = _Entered()

    @property
    def scope(self) -> str:
        """The name of what is limited."""
        return self._semaphore.scope

    @property
    def maximum(self) -> int:
        """How many may hold a slot."""
        return self._semaphore.maximum

    def acquire(self, timeout: float | timedelta | None = None) -> Slot:
        """Take a slot, blocking while there is none.

            with bank.acquire(timeout=5):
                ...

        Args:
            timeout: How long to wait; for ever when not given.

        Raises:
            NoSlotError: None became free in that time, or before the attempt of the handler that waits
                was to stop. Nothing is held.
            BrokerUnavailableError: Redis was not reached.
            ClosedError: The semaphore was closed.
            LifecycleError: An event loop runs in this thread, and would be blocked.
        """
        return cast("Slot", self._take(partial(self._semaphore.acquire, timeout)))

    def try_acquire(self) -> Slot | None:
        """Take a slot if one is free, and nobody waits for it. `None` if not.

        Raises:
            BrokerUnavailableError: Redis was not reached.
            ClosedError: The semaphore was closed.
            LifecycleError: An event loop runs in this thread, and would be blocked.
        """
        return self._take(self._semaphore.try_acquire)

    @contextmanager
    def slot(self, timeout: float | timedelta | None = None) -> Generator[Slot]:
        """Hold a slot for the length of a block. As `acquire`."""
        with self.acquire(timeout) as slot:
            yield slot

    def held(self) -> Occupied:
        """Say who holds slots now, and how many wait."""
        return self._thread.call(self._semaphore.held())

    def close(self) -> None:
        """Give back what is held, and close. May be called twice. Slots of handlers stay with them."""
        self._thread.close(self._semaphore.aclose)

    def __enter__(self) -> Slot:
        slot = self.acquire()
        self._entered.slots.append(slot)
        return slot

    def __exit__(self, *_: object) -> None:
        self._entered.slots.pop().release()

    def _take(self, take: Callable[[], Awaitable[AsyncSlot | None]]) -> Slot | None:
        refuse_to_block_a_loop("asyncq.Semaphore")
        loop, handover = self._loop(), Handover[AsyncSlot]()
        future = loop.start(handover.take(take, AsyncSlot.release))
        try:
            result_of(future, loop, look=partial(self._look, find_context(), time.monotonic()))
        except BaseException:
            # Also a Ctrl-C: nobody waits for the slot any more, and nobody would give it back.
            future.cancel()
            slot = handover.give_up()
            if slot is not None:
                Slot(slot, loop).release()
            raise
        return None if handover.item is None else Slot(handover.item, loop)

    def _look(self, context: Context | None, since: float) -> None:
        """End a wait that has become pointless."""
        if context is not None and context.is_cancelled:
            raise NoSlotError(self.scope, time.monotonic() - since)

    def _loop(self) -> Loop:
        """Where slots are taken: in the server that runs the handler we are in, or by ourselves."""
        if self._thread.is_closed:
            raise ClosedError("the semaphore")
        slots = slots_at(find_context(), self._semaphore.limit)
        return self._thread if slots is None else HostLoop("server", slots.loop)

    def __repr__(self) -> str:
        return repr(self._semaphore)


class _Entered(threading.local):
    """The slots of the `with` blocks that a thread is in, the innermost last."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []

"""For code that blocks: an event loop in a thread of its own, and waiting for what goes on there."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, Final, Generic, Protocol, TypeVar

from asyncq.errors import ClosedError, LifecycleError

T = TypeVar("T")

LOOK_EVERY: Final = 0.25
"""Seconds after which a thread that waits looks whether it should wait at all."""

LAST_TURNS: Final = 1.0
"""Seconds at most for what is still under way when the connection is closed to say so."""


class Loop(Protocol):
    """An event loop in another thread."""

    @property
    def owner(self) -> str: ...

    @property
    def is_closed(self) -> bool: ...

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]: ...


class LoopThread:
    """Runs coroutines for any number of threads, until it is closed. Started at the first use."""

    def __init__(self, owner: str) -> None:
        self.owner: Final = owner  #: what errors and the thread are named after: "client"
        self._pid = 0  # of the process that has the thread
        self._lock: Final = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it in the loop, and block until it has ended."""
        future = self.start(work)
        try:
            return future.result()
        except BaseException:
            # A Ctrl-C while we wait: the call itself may have arrived, but nobody waits for it.
            future.cancel()
            raise

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run it in the loop.

        Raises:
            ClosedError: The owner was closed.
            LifecycleError: The loop was started before a fork, in the other process.
        """
        try:
            # Under the lock, since a loop that was stopped meanwhile would keep the work and never do it.
            with self._lock:
                return asyncio.run_coroutine_threadsafe(work, self._running_loop())
        except BaseException:
            work.close()
            raise

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Run `last`, if anything was ever run, and let what is under way end. May be called twice."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            self._is_closed = True
        if loop is None or thread is None:
            return
        if os.getpid() == self._pid:
            asyncio.run_coroutine_threadsafe(_end(last), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop, started when it is needed. Whoever asks holds the lock."""
        if self._is_closed:
            raise ClosedError(f"the {self.owner}")
        if self._loop is not None and os.getpid() != self._pid:
            raise LifecycleError(f"this {self.owner} was used before a fork; make one in each process")
        if self._loop is None:
            self._pid = os.getpid()
            self._loop = asyncio.new_event_loop()
            name = f"asyncq-{self.owner}"
            self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
            self._thread.start()
        return self._loop


class HostLoop:
    """An event loop that is somebody else's, and may end at any time."""

    def __init__(self, owner: str, loop: asyncio.AbstractEventLoop) -> None:
        self.owner: Final = owner
        self._loop: Final = loop

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self._loop.is_closed()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run it in the loop.

        Raises:
            ClosedError: The loop has ended.
        """
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise ClosedError(f"the {self.owner}") from None


class Handover(Generic[T]):
    """Something on its way to a thread that may give up waiting for it at the same moment."""

    def __init__(self) -> None:
        self.item: T | None = None
        self._is_given_up = False
        self._lock = threading.Lock()

    async def take(
        self, take: Callable[[], Awaitable[T | None]], give_back: Callable[[T], Awaitable[None]]
    ) -> None:
        """Take it and hand it over, or give it back if nobody waits for it any more."""
        item = await take()
        with self._lock:
            if not self._is_given_up:
                self.item = item
                return
        if item is not None:
            await give_back(item)

    def give_up(self) -> T | None:
        """Wait no longer. Returns the thing if it was there already."""
        with self._lock:
            self._is_given_up = True
            return self.item


def result_of(future: Future[T], loop: Loop, *, look: Callable[[], object] = object) -> T:
    """Block until it has ended, and return what came of it.

    Args:
        future: What goes on.
        loop: Where it goes on.
        look: Called every now and then; may end the wait by raising.

    Raises:
        ClosedError: It never will: its event loop has ended.
    """
    while not wait([future], LOOK_EVERY).done:
        if loop.is_closed:
            raise ClosedError(f"the {loop.owner}")
        look()
    if future.cancelled():
        raise ClosedError(f"the {loop.owner}")
    return future.result()


def refuse_to_block_a_loop(instead: str) -> None:
    """Refuse to wait in a thread that runs an event loop: who is waited for may need that loop.

    Raises:
        LifecycleError: One runs here.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise LifecycleError(f"this would block the event loop that runs here; use {instead}")


async def _end(last: Callable[[], Awaitable[None]]) -> None:
    try:
        await last()
    finally:
        # Calls under way fail by that, but in a later turn of a loop that is about to stop.
        calls = asyncio.all_tasks() - {asyncio.current_task()}
        if calls:
            await asyncio.wait(calls, timeout=LAST_TURNS)

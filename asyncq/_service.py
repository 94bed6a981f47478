"""Loops that do a little, wait, and do it again, for as long as the server lives.

A service is a `tick`. Everything that loops have in common is here and tested once: starting and
stopping in any order, waiting until poked, and what to do when a tick fails.

- Redis is away: log once, try again with growing delays, log once more when it is back and say
  how long it was away. That can go on for ever.
- Anything else is a bug. Log it with its traceback and go on; the third in a row ends the service
  and, through `on_broken`, the server. A loop that fails for ever in silence helps nobody.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

from asyncq._logs import SERVER_LOG, Log
from asyncq.errors import AlreadyRunningError, BrokerError

BUGS_IN_A_ROW: Final = 3
FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0

T = TypeVar("T")

OnBroken = Callable[[BaseException], None]


def end_within(limit: asyncio.Timeout | None, seconds: float) -> None:
    """Give a block that has a limit so many seconds from now, unless it has fewer or is over."""
    if limit is None:
        return
    at, end = asyncio.get_running_loop().time() + seconds, limit.when()
    if end is not None and end <= at:
        return  # perhaps it is being ended at this moment, which asyncio allows to be said once
    with suppress(RuntimeError):  # it is over
        limit.reschedule(at)


class Service:
    """Base of every actor that has a loop. Subclasses write `tick`."""

    longest_delay = LONGEST_DELAY
    """Seconds between two attempts to reach a Redis that has been away for a while."""

    log: Log = SERVER_LOG
    """Where it logs. Whoever starts it (`running`) says so when it is not the standard logger."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._poked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._down_since: float | None = None

    async def tick(self) -> float:
        """Do what is to be done, and return the seconds after which to do it again.

        `math.inf` waits until `poke`. A tick may be cancelled at any await when the service stops.
        """
        raise NotImplementedError

    def poke(self) -> None:
        """Tick again as soon as the present tick, if any, is over."""
        self._poked.set()

    @property
    def is_running(self) -> bool:
        """Whether the loop lives."""
        return self._task is not None and not self._task.done()

    def start(self, on_broken: OnBroken) -> None:
        """Start the loop.

        Raises:
            AlreadyRunningError: It is running.
        """
        if self.is_running:
            raise AlreadyRunningError(self.name)
        self._task = asyncio.get_running_loop().create_task(self._loop(), name=f"asyncq {self.name}")
        self._task.add_done_callback(lambda task: _report(task, on_broken))

    async def stop(self) -> None:
        """Stop the loop and wait until it has ended. Does nothing when it does not run."""
        task = self._task
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if self._task is task:
            self._task = None

    async def _loop(self) -> None:
        bugs = 0
        delay = FIRST_DELAY
        while True:
            self._poked.clear()
            try:
                wait = await self.tick()
            except BrokerError as error:
                self._redis_is_away(error)
                wait = random.uniform(delay / 2, delay)
                delay = min(delay * 2, self.longest_delay)
            except Exception as error:  # a tick: a bug of ours, see above
                bugs += 1
                self.log.exception("%s failed", self.name, extra={"event": "tick_failed", "actor": self.name})
                if bugs >= BUGS_IN_A_ROW:
                    raise
                wait = LONGEST_DELAY
                del error
            else:
                bugs = 0
                delay = FIRST_DELAY
                self._redis_is_back()
            await self._wait(wait)

    async def _wait(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(None if seconds == float("inf") else seconds):
                await self._poked.wait()
        except TimeoutError:
            pass

    def _redis_is_away(self, error: BrokerError) -> None:
        if self._down_since is None:
            self._down_since = asyncio.get_running_loop().time()
            self.log.error(
                "%s cannot reach Redis: %s",
                self.name,
                error,
                extra={"event": "redis_away", "actor": self.name},
            )

    def _redis_is_back(self) -> None:
        if self._down_since is not None:
            seconds = asyncio.get_running_loop().time() - self._down_since
            self._down_since = None
            self.log.warning(
                "%s reaches Redis again after %.1f s",
                self.name,
                seconds,
                extra={"event": "redis_back", "actor": self.name, "seconds": seconds},
            )


def _report(task: asyncio.Task[None], on_broken: OnBroken) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        on_broken(error)


class Errands:
    """Pieces of work that an owner starts and does not wait for at once, but does not forget either."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run a coroutine beside its owner."""
        task = asyncio.get_running_loop().create_task(work, name=f"asyncq {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def __contains__(self, task: object) -> bool:
        return task in self._tasks

    @property
    def are_under_way(self) -> bool:
        """Whether any is not over."""
        return any(not task.done() for task in self._tasks)

    async def finish(self, timeout: float | None = None) -> None:
        """Wait until all are over, or for so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._tasks:
                    await asyncio.wait(set(self._tasks))

    async def cancel(self, timeout: float | None = None) -> None:
        """End all of them, and wait until they have ended, or for so many seconds."""
        for task in self._tasks:
            task.cancel()
        await self.finish(timeout)


@asynccontextmanager
async def running(service: Service, on_broken: OnBroken, log: Log | None = None) -> AsyncGenerator[Service]:
    """Run a service for the length of a block. Nesting blocks is how the order of stopping is written."""
    if log is not None:
        service.log = log
    service.start(on_broken)
    try:
        yield service
    finally:
        await service.stop()

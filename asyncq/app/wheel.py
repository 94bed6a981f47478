"""A timing wheel: very many timers in memory, for next to nothing each."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Hashable
from datetime import timedelta
from typing import Any, Final, Generic, Self, TypeVar, cast

from asyncq._checks import whole_problem
from asyncq._clock import duration_of
from asyncq._service import Errands, Service, running
from asyncq.app.slots import Slots
from asyncq.errors import AlreadyRunningError, ClosedError, ConfigError, Problem

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

LOG: Final = logging.getLogger("asyncq.app")

DRAINED_AT_ONCE: Final = 8
"""Timers that `drain` hands over at the same time."""

Execute = Callable[[K, V], Awaitable[object] | object]


class TimingWheel(Generic[K, V]):
    """Calls a function with keys and values when their time has come.

        async def expire(key: str, value: Session) -> None: ...

        async with TimingWheel(1.0, 300, expire) as wheel:
            wheel.set_timer("session-7", session, 60)
            wheel.move_timer("session-7", 90)

    Timers live in memory and end with the process: what has to happen is a task, not a timer. It is for
    very many of them, such as one for each thing in a cache: to set, move or remove one costs the same
    however many there are.

    Time goes in steps of `interval`. A delay is cut to whole steps, and the first step may begin at any
    moment, so a timer is early by less than two steps, and not late unless the event loop is. When the loop
    was held up, the steps that were missed are made up for at once.

    It runs from `async with`, or as a service of a `ServiceGroup`. Timers that were set before begin then.

    Args:
        interval: Seconds of a step, or a `timedelta`.
        slots: How many slots the wheel has, 1 or more. As many as steps in a usual delay; more only cost
            memory, fewer time.
        execute: Called with key and value. It may be async. A plain function runs on the event loop and must
            not block. What it raises is logged, and the others go on.

    Raises:
        ConfigError: `interval` is not positive, `slots` is not, or `execute` cannot be called.
    """

    name = "timing wheel"

    def __init__(self, interval: float | timedelta, slots: int, execute: Execute[K, V]) -> None:
        problems: list[Problem] = []
        step = duration_of(interval)
        if not step or step == float("inf"):
            problems.append(Problem("interval", interval, "more than 0 seconds, or a timedelta"))
        if (problem := whole_problem("slots", slots, least=1)) is not None:
            problems.append(problem)
        if not callable(cast("object", execute)):
            problems.append(Problem("execute", execute, "a function of a key and a value"))
        if problems:
            raise ConfigError.of(problems)
        self._interval: Final = step or 0.0
        self._slots: Final[Slots[K, V]] = Slots(slots)
        self._execute: Final = execute
        self._errands: Final = Errands()
        self._hand: Final = _Hand(self._interval, self._tick)
        self._ended: Final = asyncio.Event()
        self._is_closed = False
        self._broken: BaseException | None = None

    def __len__(self) -> int:
        """How many timers are set."""
        return len(self._slots)

    def __contains__(self, key: object) -> bool:
        return key in self._slots

    def set_timer(self, key: K, value: V, delay: float | timedelta) -> None:
        """Set a timer. One of this key gets the new value, and is moved.

        Args:
            key: What it is called; not `None`.
            value: What to call the function with.
            delay: Seconds, or a `timedelta`; less than a step is a step.

        Raises:
            ConfigError: The delay is not more than 0, or the key is `None`.
            ClosedError: The wheel was stopped.
        """
        self._slots.put(self._checked(key, delay), value, max(1, self._steps(delay)))

    def move_timer(self, key: K, delay: float | timedelta) -> None:
        """Make a timer due from now on after another delay. Does nothing when there is none of this key.

        Args:
            key: Which one.
            delay: As for `set_timer`; but less than a step is at once.

        Raises:
            ConfigError: As for `set_timer`.
            ClosedError: The wheel was stopped.
        """
        if self._checked(key, delay) not in self._slots:
            return
        steps = self._steps(delay)
        if steps:
            self._slots.move(key, steps)
        else:
            self._begin([(key, value) for value in self._slots.pop(key)])

    def remove_timer(self, key: K) -> None:
        """Remove a timer. Does nothing when there is none of this key.

        Raises:
            ConfigError: The key is `None`.
            ClosedError: The wheel was stopped.
        """
        self._slots.pop(self._checked(key, self._interval))

    async def drain(self, function: Execute[K, V]) -> None:
        """Take out all timers, and call a function with each, eight at a time, the first to be due first.

        Raises:
            ClosedError: The wheel was stopped.
        """
        self._checked("", self._interval)
        left = self._slots.clear()
        left.reverse()

        async def work() -> None:
            while left:
                await self._call(function, *left.pop())

        workers = [self._errands.start(work(), name="drain") for _ in range(min(DRAINED_AT_ONCE, len(left)))]
        if workers:
            await asyncio.wait(workers)

    async def start(self) -> None:
        """Turn until it is stopped.

        Raises:
            AlreadyRunningError: It turns already.
        """
        if self._is_closed:
            return
        if self._hand.is_running:
            raise AlreadyRunningError("the wheel")
        async with running(self._hand, self._break):
            await self._ended.wait()
        if self._broken is not None:
            raise self._broken

    async def stop(self) -> None:
        """Stop, and wait for calls that have begun. Timers that are not due never are.

        May be called twice.
        """
        self._is_closed = True
        self._ended.set()
        await self._hand.stop()
        self._slots.clear()
        if asyncio.current_task() not in self._errands:
            await self._errands.finish()

    async def __aenter__(self) -> Self:
        if self._is_closed:
            raise ClosedError("the wheel")
        self._hand.start(self._break)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _checked(self, key: Any, delay: object) -> K:
        if self._is_closed:
            raise ClosedError("the wheel")
        problems: list[Problem] = []
        if key is None:
            problems.append(Problem("key", key, "anything but None"))
        known = duration_of(delay)
        if not known or known == float("inf"):
            problems.append(Problem("delay", delay, "more than 0 seconds, or a timedelta"))
        if problems:
            raise ConfigError.of(problems)
        return cast("K", key)

    def _steps(self, delay: float | timedelta) -> int:
        # A delay of exactly some steps must not lose one to rounding: 0.3 // 0.1 is 2.
        return int((duration_of(delay) or 0.0) / self._interval + 1e-9)

    def _tick(self) -> None:
        due = self._slots.tick()
        if due:
            self._begin(due)

    def _begin(self, due: list[tuple[K, V]]) -> None:
        self._errands.start(self._call_all(due), name="timers")

    async def _call_all(self, due: list[tuple[K, V]]) -> None:
        """The timers of one tick, one after the other. The next tick does not wait for them."""
        for key, value in due:
            await self._call(self._execute, key, value)

    async def _call(self, function: Execute[K, V], key: K, value: V) -> None:
        try:
            made = function(key, value)
            if inspect.isawaitable(made):
                await made
        except Exception:  # a user's function: logged, the other timers go on
            LOG.exception("a timer failed: %r", key, extra={"event": "timer_failed"})

    def _break(self, error: BaseException) -> None:
        self._broken = error
        self._ended.set()


class _Hand(Service):
    """Goes on by one slot with each step of time."""

    def __init__(self, interval: float, tick: Callable[[], None]) -> None:
        super().__init__("timing wheel")
        self._interval: Final = interval
        self._tick: Final = tick
        self._began: float | None = None
        self._made = 0

    async def tick(self) -> float:
        """Go on as far as time did, and wait for the next step."""
        now = self._now()
        if self._began is None:
            self._began = now
        while self._began + (self._made + 1) * self._interval <= now:
            self._made += 1
            self._tick()
        return max(0.0, self._began + (self._made + 1) * self._interval - self._now())

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

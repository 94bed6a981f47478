"""Of several forwarders mostly one does the work, and when it is gone another does, hardly later."""

from __future__ import annotations

import asyncio
import itertools
import math
import selectors
from collections.abc import Sequence
from typing import Any, cast

from asyncq._broker.delayed import Forwarded
from asyncq._engine.forwarder import FIRST_STAGGER, LONGEST_STAGGER, Forwarder
from asyncq._service import running

ROUND_TRIP = 0.0002


class _Shared:
    """Due times that several forwarders look at, and who moved what how late."""

    def __init__(self, *due_in: float, way_back: Sequence[float] = (0.0,)) -> None:
        self._way_back = itertools.cycle(way_back)
        self._loop = asyncio.get_running_loop()
        self.due = sorted(self._loop.time() + one for one in due_in)
        self.asked: dict[str, int] = {}
        self.moved: dict[str, int] = {}
        self.latest = 0.0

    def by(self, name: str) -> Any:
        """The area as one server sees it."""
        view = cast("Any", _View())
        view.shared, view.name = self, name
        return view

    async def forward(self, name: str) -> Forwarded:
        await asyncio.sleep(ROUND_TRIP)
        now = self._loop.time()
        over = [one for one in self.due if one <= now]
        self.due = self.due[len(over) :]
        self.asked[name] = self.asked.get(name, 0) + 1
        self.moved[name] = self.moved.get(name, 0) + len(over)
        self.latest = max([self.latest, *(now - one for one in over)])
        due = self.due[0] if self.due else math.inf
        await asyncio.sleep(next(self._way_back))
        return Forwarded(len(over), due - now, due)


class _View:
    shared: _Shared
    name: str

    async def forward(self, queues: object) -> Forwarded:
        del queues
        return await self.shared.forward(self.name)


def _broken(error: BaseException) -> None:
    raise error


class _Jumping(selectors.SelectSelector):
    """Waits for nothing: the time that the loop wants to wait is over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class _JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, so that a busy machine changes nothing."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def test_whoever_comes_too_late_asks_less_often() -> None:
    """Each of a fleet knows when something is due; at hundreds a second all would ask hundreds of times."""

    async def a_second_of_three() -> _Shared:
        due = [0.005 * number for number in range(200)]
        shared = _Shared(*due)
        a, b, c = (Forwarder(shared.by(name), ["q"], longest_sleep=15.0) for name in "abc")
        async with running(a, _broken), running(b, _broken), running(c, _broken):
            await asyncio.sleep(1.1)
        assert not shared.due
        assert sum(shared.moved.values()) == len(due)
        return shared

    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        shared = runner.run(a_second_of_three())
    *others, first = sorted(shared.asked.values())
    assert sum(others) < first, shared.asked


def test_one_that_went_second_goes_first_when_it_has_to() -> None:
    """No message says that the other is gone. Tasks are late by milliseconds, and soon not at all."""

    async def one_among_others() -> None:
        loop = asyncio.get_running_loop()
        shared = _Shared(0.01)
        forwarder = Forwarder(shared.by("a"), ["q"], longest_sleep=15.0)
        assert (slept := await forwarder.tick()) < 0.01
        for times in range(6):
            await asyncio.sleep(0.012)
            shared.due = [loop.time() + 0.01]  # somebody else was quicker
            slept = await forwarder.tick()
            assert (slept > 0.01) == (times > 0)  # once is an accident
        assert slept <= 0.01 + LONGEST_STAGGER
        for _ in range(5):
            await asyncio.sleep(0.012)
            shared.due.append(loop.time() + 0.01)
            slept = await forwarder.tick()
        assert shared.moved == {"a": 5}
        assert slept < 0.01

    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        runner.run(one_among_others())


def test_one_that_is_alone_never_lets_anybody_go_first() -> None:
    """It gets up a little early and asks until the time has come, and answers are not equally quick."""

    async def a_second_of_one() -> float:
        due = [0.005 * number for number in range(200)]
        shared = _Shared(*due, way_back=(0.0, 0.0004, 0.0001))
        forwarder = Forwarder(shared.by("a"), ["q"], longest_sleep=15.0)
        async with running(forwarder, _broken):
            await asyncio.sleep(1.1)
        assert shared.moved == {"a": len(due)}
        return shared.latest

    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        assert runner.run(a_second_of_one()) < FIRST_STAGGER / 2


async def test_one_that_comes_for_nothing_new_is_not_late() -> None:
    """It looks now and then, and when it is told to, before anything is due."""
    shared = _Shared(0.5)
    forwarder = Forwarder(shared.by("a"), ["q"], longest_sleep=15.0)
    for _ in range(5):
        assert await forwarder.tick() < 0.5


def test_only_what_is_due_sooner_than_all_it_knows_wakes_it() -> None:
    """Others may schedule much for later, and each of it is told."""

    async def sooner_and_later() -> None:
        loop = asyncio.get_running_loop()
        shared = _Shared(1.0)
        forwarder = Forwarder(shared.by("a"), ["q"], longest_sleep=15.0)
        async with running(forwarder, _broken):
            await asyncio.sleep(0.1)
            asked = shared.asked["a"]
            forwarder.expect(shared.due[0])
            forwarder.expect(shared.due[0] + 1.0)
            await asyncio.sleep(0.1)
            assert shared.asked["a"] == asked
            shared.due.insert(0, loop.time() + 0.1)
            forwarder.expect(shared.due[0])
            await asyncio.sleep(0.15)
            assert shared.moved["a"] == 1
            assert shared.latest < 0.01

    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        runner.run(sooner_and_later())


def test_what_a_look_may_not_have_seen_is_looked_for_again() -> None:
    """Its answer does not know of what was scheduled behind it, and is not here yet."""

    async def behind_a_look() -> None:
        shared = _Shared(way_back=[0.05])
        forwarder = Forwarder(shared.by("a"), ["q"], longest_sleep=15.0)
        async with running(forwarder, _broken):
            await asyncio.sleep(0.01)
            shared.due.append(asyncio.get_running_loop().time() + 0.2)
            forwarder.expect(shared.due[0])
            await asyncio.sleep(0.3)
            assert shared.moved["a"] == 1

    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        runner.run(behind_a_look())

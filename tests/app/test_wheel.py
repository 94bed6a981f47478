"""The timing wheel: against a model that is too simple to be wrong, and against the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asyncq.app import ServiceGroup, TimingWheel
from asyncq.app.slots import Slots
from asyncq.errors import AlreadyRunningError, ClosedError, ConfigError
from tests.support.jumping import run_jumping
from tests.support.waiting import wait_until

KEYS = st.integers(0, 6)
STEPS = st.integers(1, 23)


class AgainstTheModel(RuleBasedStateMachine):
    """Slots do what a dictionary of due ticks does, whatever is done in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: Slots[int, str] = Slots(5)
        self.model: dict[int, tuple[int, str]] = {}
        self.now = 0

    @rule(key=KEYS, value=st.text(max_size=2), steps=STEPS)
    def put(self, key: int, value: str, steps: int) -> None:
        """Set a timer."""
        self.slots.put(key, value, steps)
        self.model[key] = self.now + steps, value

    @rule(key=KEYS, steps=STEPS)
    def move(self, key: int, steps: int) -> None:
        """Move one."""
        if key in self.model:
            self.slots.move(key, steps)
            self.model[key] = self.now + steps, self.model[key][1]

    @rule(key=KEYS)
    def pop(self, key: int) -> None:
        """Take one out."""
        known = self.model.pop(key, None)
        assert self.slots.pop(key) == ([] if known is None else [known[1]])

    @rule()
    def tick(self) -> None:
        """Go on."""
        self.now += 1
        due = {key: value for key, (at, value) in self.model.items() if at == self.now}
        assert dict(self.slots.tick()) == due
        for key in due:
            del self.model[key]

    @rule()
    def clear(self) -> None:
        """Take all out."""
        found = self.slots.clear()
        assert dict(found) == {key: value for key, (_, value) in self.model.items()}
        assert [self.model[key][0] for key, _ in found] == sorted(at for at, _ in self.model.values())
        self.model.clear()

    @invariant()
    def nothing_else_is_kept(self) -> None:
        """Not even for a moment."""
        assert len(self.slots) == len(self.model)
        assert all(key in self.slots for key in self.model)
        assert sum(map(len, self.slots._slots)) == len(self.model)  # noqa: SLF001 - what memory it takes


TestAgainstTheModel = AgainstTheModel.TestCase
TestAgainstTheModel.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


Fired = list[tuple[float, Any, Any]]


def noting(interval: float | timedelta, slots: int) -> tuple[TimingWheel[Any, Any], Fired]:
    """A wheel, and when it called with what."""
    fired: Fired = []

    async def execute(key: Any, value: Any) -> None:
        fired.append((round(asyncio.get_running_loop().time(), 6), key, value))

    return TimingWheel(interval, slots, execute), fired


def in_time(story: Callable[[], Awaitable[None]]) -> None:
    """Run it where time jumps."""

    async def whole() -> None:
        await story()

    run_jumping(whole())


def test_timers_fire_at_the_step_of_their_delay() -> None:
    """Also those that are further away than the wheel is round."""

    async def story() -> None:
        wheel, fired = noting(0.1, 4)
        async with wheel:
            for steps in (1, 2, 4, 5, 9, 40):
                wheel.set_timer(steps, "v", steps * 0.1)
            wheel.set_timer("short", "v", 0.001)
            await asyncio.sleep(4.05)
            assert not len(wheel)
        assert fired == [
            (0.1, 1, "v"),
            (0.1, "short", "v"),
            (0.2, 2, "v"),
            (0.4, 4, "v"),
            (0.5, 5, "v"),
            (0.9, 9, "v"),
            (4.0, 40, "v"),
        ]

    in_time(story)


@given(
    st.lists(st.tuples(KEYS, st.floats(0.01, 3.0), st.floats(0.0, 0.5)), max_size=20),
    st.integers(1, 7),
)
@settings(max_examples=40, deadline=None)
def test_no_timer_is_late_and_none_is_too_early(timers: list[tuple[int, float, float]], slots: int) -> None:
    """Within two steps, whenever they are set."""

    async def story() -> None:
        wheel, fired = noting(0.1, slots)
        set_at: dict[int, tuple[float, float]] = {}
        early: list[tuple[float, float]] = []
        async with wheel:
            loop = asyncio.get_running_loop()
            for key, delay, pause in timers:
                fired.clear()
                wheel.set_timer(key, None, delay)
                set_at[key] = loop.time(), delay
                await asyncio.sleep(pause)
                early += [(at, sum(set_at.pop(one))) for at, one, _ in fired]
            fired.clear()
            await asyncio.sleep(4)
            early += [(at, sum(set_at.pop(one))) for at, one, _ in fired]
        assert set_at == {}
        # A delay below a step is a step, which may be later than it by that.
        assert all(-0.2 < at - due <= 0.1 for at, due in early)

    in_time(story)


def test_setting_again_moves_and_changes() -> None:
    """One timer for each key."""

    async def story() -> None:
        wheel, fired = noting(1, 3)
        async with wheel:
            wheel.set_timer("a", 1, 2)
            wheel.set_timer("a", 2, timedelta(seconds=5))
            assert ("a" in wheel, len(wheel)) == (True, 1)
            await asyncio.sleep(10.5)
        assert fired == [(5.0, "a", 2)]

    in_time(story)


def test_moving() -> None:
    """Counted from now, to and fro; below a step it is at once, and only once; an unknown key is nothing."""

    async def story() -> None:
        wheel, fired = noting(1, 3)
        async with wheel:
            wheel.set_timer("late", 1, 2)
            wheel.move_timer("late", 9)
            wheel.set_timer("soon", 1, 30)
            wheel.move_timer("soon", 1.5)
            wheel.set_timer("now", 1, 3)
            wheel.move_timer("now", 0.5)
            wheel.move_timer("nobody", 1)
            await asyncio.sleep(20.5)
        assert fired == [(0.0, "now", 1), (1.0, "soon", 1), (9.0, "late", 1)]

    in_time(story)


def test_removing() -> None:
    """What was removed is not called for, and may be set again."""

    async def story() -> None:
        wheel, fired = noting(1, 3)
        async with wheel:
            wheel.set_timer("a", 1, 2)
            wheel.remove_timer("a")
            wheel.remove_timer("a")
            wheel.set_timer("a", 2, 3)
            await asyncio.sleep(9.5)
        assert fired == [(3.0, "a", 2)]

    in_time(story)


def test_draining() -> None:
    """Everything that is left, by its time, eight at once, and nothing fires afterwards."""

    async def story() -> None:
        wheel, fired = noting(1, 3)
        inside: list[int] = []
        most = [0]
        order: list[int] = []

        async def take(key: int, value: str) -> None:
            assert value == "v"
            order.append(key)
            inside.append(key)
            most[0] = max(most[0], len(inside))
            await asyncio.sleep(0.1)
            inside.remove(key)
            if key == 5:
                raise ValueError(key)

        async with wheel:
            for key in reversed(range(20)):
                wheel.set_timer(key, "v", key + 1)
            await wheel.drain(take)
            await wheel.drain(take)
            await asyncio.sleep(30)
        assert (order, most, fired) == (list(range(20)), [8], [])

    in_time(story)


def test_the_wheel_makes_up_for_a_loop_that_was_held_up(caplog: pytest.LogCaptureFixture) -> None:
    """And a call that is slow or fails holds up no tick, only those of its own step."""

    async def story() -> None:
        fired: Fired = []

        async def execute(key: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            fired.append((round(asyncio.get_running_loop().time(), 6), key, seconds))
            if key == "bad":
                raise ValueError(key)

        async with TimingWheel(1.0, 4, execute) as wheel:
            wheel.set_timer("slow", 2.5, 1)
            wheel.set_timer("behind it", 0, 1)
            wheel.set_timer("bad", 0, 2)
            wheel.set_timer("next", 0, 2)
            await asyncio.sleep(5)
        assert fired == [(2.0, "bad", 0), (2.0, "next", 0), (3.5, "slow", 2.5), (3.5, "behind it", 0)]

    in_time(story)
    failed = [record for record in caplog.records if getattr(record, "event", "") == "timer_failed"]
    assert len(failed) == 1


def test_plain_functions_and_timers_from_inside() -> None:
    """A plain function is called on the loop, and may set the next timer."""

    async def story() -> None:
        said: list[float] = []

        def again(key: str, left: int) -> None:
            said.append(asyncio.get_running_loop().time())
            if left:
                wheel.set_timer(key, left - 1, 2)

        wheel: TimingWheel[str, int] = TimingWheel(1, 4, again)
        wheel.set_timer("a", 2, 2)  # before it turns: counted from then
        async with wheel:
            await asyncio.sleep(7)
        assert said == [2.0, 4.0, 6.0]

    in_time(story)


def test_stopping() -> None:
    """What has begun ends, what is not due never is; and it may be done twice."""

    async def story() -> None:
        said: list[str] = []

        async def slow(key: str, _: None) -> None:
            await asyncio.sleep(0.5)
            said.append(key)

        wheel = TimingWheel(1.0, 4, slow)
        serving = asyncio.ensure_future(wheel.start())
        await asyncio.sleep(0)
        with pytest.raises(AlreadyRunningError):
            await wheel.start()
        wheel.set_timer("begun", None, 1)
        wheel.set_timer("not due", None, 2)
        await asyncio.sleep(1.1)
        await asyncio.gather(wheel.stop(), wheel.stop())
        await wheel.stop()
        await serving
        assert (said, len(wheel)) == (["begun"], 0)
        for call in (
            lambda: wheel.set_timer("a", None, 1),
            lambda: wheel.move_timer("a", 1),
            lambda: wheel.remove_timer("a"),
        ):
            with pytest.raises(ClosedError):
                call()
        with pytest.raises(ClosedError):
            await wheel.drain(slow)
        with pytest.raises(ClosedError):
            async with wheel:
                pass
        await wheel.start()  # a service that was stopped before ends at once

    in_time(story)


def test_a_timer_may_stop_its_wheel() -> None:
    """It does not wait for itself."""

    async def story() -> None:
        async def leave(_: str, __: None) -> None:
            await wheel.stop()

        wheel = TimingWheel(1.0, 4, leave)
        wheel.set_timer("a", None, 1)
        await wheel.start()

    in_time(story)


@pytest.mark.parametrize(
    ("interval", "slots", "execute", "expected"),
    [
        (0, 1, print, "interval=0"),
        (-1, 1, print, "interval=-1"),
        ("1s", 1, print, "interval='1s'"),
        (1, 0, print, "slots=0"),
        (1, 1.5, print, "slots=1.5"),
        (1, 1, None, "execute=None"),
        (0, 0, None, "3 values are wrong"),
    ],
)
def test_wheels_that_cannot_turn(interval: Any, slots: Any, execute: Any, expected: str) -> None:
    """All of it is said at once."""
    with pytest.raises(ConfigError, match=expected):
        TimingWheel(interval, slots, execute)


@pytest.mark.parametrize("delay", [0, -1, float("inf"), float("nan"), "1s"])
def test_delays_that_cannot_be(delay: Any) -> None:
    """And a key that is none."""
    wheel, _ = noting(1, 3)
    wheel.set_timer("a", 1, 1)
    with pytest.raises(ConfigError, match="delay="):
        wheel.set_timer("a", 1, delay)
    with pytest.raises(ConfigError, match="delay="):
        wheel.move_timer("a", delay)
    with pytest.raises(ConfigError, match="key=None"):
        wheel.set_timer(None, 1, 1)
    with pytest.raises(ConfigError, match="key=None"):
        wheel.remove_timer(None)


async def test_in_real_time_and_in_a_group() -> None:
    """It is a service like any other."""
    fired: Fired = []
    wheel: TimingWheel[str, int] = TimingWheel(
        timedelta(milliseconds=5), 10, lambda key, value: fired.append((0.0, key, value))
    )
    wheel.set_timer("a", 1, 0.02)
    async with ServiceGroup().add(wheel):
        await wait_until(lambda: fired, "the timer to fire")
    assert fired == [(0.0, "a", 1)]

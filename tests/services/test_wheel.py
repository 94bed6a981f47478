"""The timing wheel: Go's, and ours that fires alike."""

from __future__ import annotations

import time

import pytest

from tests.support.driving import CallError, Driven
from tests.support.services.parts import SIDES, Parts, Side

pytestmark = pytest.mark.parametrize("side", SIDES)

TICK_MS = 50
LONG_MS = 600_000


def fired(program: Driven, how: str = "fired") -> list[tuple[str, str]]:
    """Return keys and values as they fired."""
    return [(event["key"], event["value"]) for event in program.seen(how)]


async def test_a_timer_fires_when_its_time_has_come(parts: Parts, side: Side) -> None:
    """To the tick; in the order of their times, over more than one round of the wheel."""
    program = await parts(side, "wheel", interval_ms=TICK_MS, slots=4)
    began = time.time_ns()
    for key, ms in (("none", 1), ("short", 400), ("long", 1400)):
        await program("set", key=key, value=key.upper(), ms=ms)
    event = await program.event("fired", key="long")
    assert fired(program) == [("none", "NONE"), ("short", "SHORT"), ("long", "LONG")]
    # At most one tick before its time: the tick under way counts as a whole one.
    assert event["unix_ns"] - began >= (1400 - TICK_MS - 5) * 1_000_000


async def test_setting_again_changes_value_and_time(parts: Parts, side: Side) -> None:
    """There is one timer for a key."""
    program = await parts(side, "wheel", interval_ms=TICK_MS, slots=4)
    await program("set", key="k", value="old", ms=LONG_MS)
    await program("set", key="k", value="new", ms=100)
    await program("set", key="later", value="x", ms=500)
    await program.event("fired", key="later")
    assert fired(program) == [("k", "new"), ("later", "x")]


async def test_moving_a_timer(parts: Parts, side: Side) -> None:
    """Less than a tick fires at once; a key that nobody set is nothing to move."""
    program = await parts(side, "wheel", interval_ms=60_000, slots=4)
    await program("set", key="k", value="v", ms=LONG_MS)
    await program("move", key="nobody", ms=1)
    await program("move", key="k", ms=1)
    await program.event("fired", key="k")
    assert fired(program) == [("k", "v")]


async def test_a_removed_timer_does_not_fire(parts: Parts, side: Side) -> None:
    """Removing what is not there is no error."""
    program = await parts(side, "wheel", interval_ms=TICK_MS, slots=4)
    await program("set", key="gone", value="x", ms=150)
    await program("remove", key="gone")
    await program("remove", key="nobody")
    await program("set", key="later", value="x", ms=300)
    await program.event("fired", key="later")
    assert fired(program) == [("later", "x")]


async def test_draining_runs_all_that_is_left(parts: Parts, side: Side) -> None:
    """Now, and not when it is due."""
    program = await parts(side, "wheel", interval_ms=TICK_MS, slots=4)
    for key in "abc":
        await program("set", key=key, value=key.upper(), ms=LONG_MS)
    await program("drain")
    await program.until(lambda: len(program.seen("drained")) >= 3, "all to be drained")
    assert sorted(fired(program, "drained")) == [("a", "A"), ("b", "B"), ("c", "C")]
    assert not fired(program)


async def test_a_stopped_wheel_refuses(parts: Parts, side: Side) -> None:
    """And so does any wheel a delay that is none."""
    program = await parts(side, "wheel", interval_ms=TICK_MS, slots=4)
    with pytest.raises(CallError):
        await program("set", key="k", value="v", ms=0)
    await program("stop")
    for verb, arguments in (
        ("set", {"key": "k", "value": "v", "ms": 100}),
        ("move", {"key": "k", "ms": 100}),
        ("remove", {"key": "k"}),
        ("drain", {}),
    ):
        with pytest.raises(CallError, match=r"(?i)closed|stopped"):
            await program(verb, **arguments)


async def test_a_wheel_wants_an_interval_and_slots(parts: Parts, side: Side) -> None:
    """Both more than nothing."""
    assert await parts.refusal(side, "wheel", interval_ms=0, slots=4)
    assert await parts.refusal(side, "wheel", interval_ms=50, slots=0)

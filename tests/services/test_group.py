"""A group of services: Go's, and ours with the same promises."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.support.driving import Driven
from tests.support.services.parts import SIDES, Parts, Side

pytestmark = pytest.mark.parametrize("side", SIDES)


def told(program: Driven, *events: str) -> list[tuple[str, str]]:
    """Return what the services told, in its order."""
    return [(event["event"], event["name"]) for event in program.events if event["event"] in events]


def all_told(program: Driven, event: str, count: int) -> Callable[[], bool]:
    """Return a condition: so many services have told this."""
    return lambda: len(program.seen(event)) >= count


async def test_start_lasts_until_every_service_has_returned(parts: Parts, side: Side) -> None:
    """One that returns at once ends nothing; stopping goes from the last to the first."""
    services = [{"name": name, "linger_ms": 50} for name in "ac"]
    services.insert(1, {"name": "b", "returns": True})
    program = await parts(side, "group", services=services)
    await program.event("returned", name="b")
    await program.until(all_told(program, "start", 3), "all to start")
    assert not program.seen("ended")
    await program("stop")
    assert await program.wait() == 0
    stops = [name for event, name in told(program, "stop") if event == "stop"]
    assert [name for name in stops if name != "b"] == ["c", "a"]
    if side == "go":
        assert stops == ["c", "b", "a"]
        assert told(program, "stop", "stopped") == [
            (event, name) for name in "cba" for event in ("stop", "stopped")
        ]
    assert len(program.seen("ended")) == 1


async def test_services_that_all_return_end_the_group(parts: Parts, side: Side) -> None:
    """Nobody has to stop it."""
    program = await parts(
        side, "group", services=[{"name": "a", "returns": True}, {"name": "b", "returns": True}]
    )
    assert await program.wait() == 0
    assert {name for _, name in told(program, "returned")} == {"a", "b"}


async def test_sigterm_stops_a_group_once(parts: Parts, side: Side) -> None:
    """In order, and the process ends as if it had ended by itself."""
    program = await parts(side, "group", services=[{"name": "a"}, {"name": "b"}])
    await program.until(all_told(program, "start", 2), "all to start")
    program.send_signal(signal.SIGTERM)
    assert await program.wait() == 0
    assert told(program, "stop") == [("stop", "b"), ("stop", "a")]


async def test_who_does_not_stop_in_time_is_ended_by_force(parts: Parts, side: Side) -> None:
    """A process manager would do so soon, and not say why."""
    services = [{"name": "a"}, {"name": "b", "linger_ms": 60_000}]
    program = await parts(side, "group", services=services, force_quit_ms=1500)
    await program.until(all_told(program, "start", 2), "all to start")
    program.send_signal(signal.SIGTERM)
    await program.event("stop", name="b")
    code = await program.wait()
    assert not program.seen("stopped", name="b")
    assert side == "python" or code == -signal.SIGTERM

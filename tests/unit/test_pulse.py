"""The health of a scheduler, on a clock that goes as fast as one likes, and jumps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from asyncq._scheduling.pulse import Pulse, SchedulerHealth
from asyncq._timetable import Tick, Timetable
from asyncq.codecs import Codecs
from asyncq.entries import PeriodicTask, define
from asyncq.task import Task

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Clocked:
    """A pulse with a timetable of one entry, due every minute."""

    def __init__(self) -> None:
        self.now = NOON
        self.table = Timetable()
        self.table.add(define(PeriodicTask("* * * * *", Task("x"), id="x"), codecs=Codecs()), NOON)
        self.pulse = Pulse(self.table, clock=lambda: self.now, limit=60.0)

    def advance(self, seconds: float) -> SchedulerHealth:
        """Let time pass."""
        self.now += seconds * SECOND
        return self.pulse.health()

    def take(self) -> list[Tick]:
        """Begin with what is due."""
        ticks = self.table.take_due(self.now)
        for tick in ticks:
            self.pulse.begun(tick)
        return ticks


def test_a_scheduler_that_enqueues_is_well() -> None:
    """Also right when something comes, and when nothing does for a year."""
    clocked = Clocked()
    assert clocked.pulse.health() == SchedulerHealth("ok", None, None)
    clocked.advance(60)
    clocked.take()
    assert clocked.advance(0.5) == SchedulerHealth("ok", None, NOON + MINUTE)
    clocked.pulse.settled()
    assert clocked.advance(1) == SchedulerHealth("ok", NOON + 60.5 * SECOND, None)


def test_what_is_asked_for_and_not_answered_stalls_it() -> None:
    """However often it is tried with later times."""
    clocked = Clocked()
    for _ in range(3):
        clocked.advance(60)
        clocked.take()
    health = clocked.advance(1)
    assert (health.state, health.overdue_since) == ("stalled", NOON + MINUTE)
    clocked.pulse.settled()
    assert clocked.pulse.health().state == "ok"


def test_what_nobody_begins_with_stalls_it() -> None:
    """A loop that hangs begins with nothing."""
    clocked = Clocked()
    assert clocked.advance(119).state == "ok"
    assert clocked.advance(2).state == "stalled"
    assert clocked.pulse.health(is_stopped=True) == SchedulerHealth("stopped", None, None)


def test_a_clock_that_is_put_forward_stalls_it_until_something_is_enqueued() -> None:
    """Which is a moment later."""
    clocked = Clocked()
    assert clocked.advance(3600).state == "stalled"
    (tick,) = clocked.take()
    assert tick.nominal == NOON + 60 * MINUTE
    assert clocked.pulse.health().state == "ok"
    clocked.pulse.settled()
    assert clocked.pulse.health().overdue_since is None


def test_a_clock_that_is_put_back_is_not_late() -> None:
    """What was due an hour ahead has not come."""
    clocked = Clocked()
    clocked.advance(60)
    clocked.take()
    assert clocked.advance(-3600) == SchedulerHealth("ok", None, None)
    clocked.pulse.settled()
    assert clocked.advance(3540).state == "ok"
    assert clocked.take() == []

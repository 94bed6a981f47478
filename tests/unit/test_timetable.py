"""The timetable, on a clock that goes as fast as one likes."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq._cron import parse
from asyncq._timetable import Timetable
from asyncq.codecs import Codecs
from asyncq.entries import Entry, PeriodicTask, Rules, define
from asyncq.errors import EntryNotFoundError
from asyncq.task import Task

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def entry(spec: str, entry_id: str, payload: object = None) -> Entry:
    """Return an entry of this id."""
    return define(PeriodicTask(spec, Task("x", payload), id=entry_id), codecs=Codecs())


def timetable(*entries: Entry) -> Timetable:
    """Return a timetable that begins at noon."""
    made = Timetable()
    for one in entries:
        made.add(one, NOON)
    return made


def walk(table: Timetable, until: datetime) -> list[str]:
    """Let time pass, from one time that is due to the next."""
    now, seen = NOON, []
    while (wait := table.wait(now)) < math.inf and now + timedelta(seconds=wait) <= until:
        now += timedelta(seconds=wait)
        seen += [f"{tick.nominal:%H:%M:%S} {tick.entry.id}" for tick in table.take_due(now)]
    return seen


def test_each_entry_comes_at_its_times() -> None:
    """A quarter of an hour in no time."""
    table = timetable(entry("*/5 * * * *", "cron"), entry("@every 7m", "interval"))
    assert walk(table, NOON + 15 * MINUTE) == [
        "12:05:00 cron",
        "12:07:00 interval",
        "12:10:00 cron",
        "12:14:00 interval",
        "12:15:00 cron",
    ]


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(0, 70), st.data())
def test_what_is_upcoming_is_what_comes_first(minutes: list[int], most: int, data: st.DataObject) -> None:
    """Found in the heap, with what lies there out of date and what was removed."""
    table = timetable(*(entry(f"@every {1 + gap}m", f"e{number}") for number, gap in enumerate(minutes)))
    for number in data.draw(st.sets(st.integers(0, 59))):
        if number < len(minutes):
            table.remove(f"e{number}")
    table.take_due(NOON + data.draw(st.integers(0, 50)) * MINUTE)
    expected = [one.next_at for one in table.in_order()][:most]
    assert [one.next_at for one in table.upcoming(most)] == expected


def test_an_empty_timetable_waits_for_ever() -> None:
    """Until somebody pokes the loop."""
    assert Timetable().wait(NOON) == math.inf
    assert Timetable().take_due(NOON) == []


def test_nothing_is_due_before_its_time() -> None:
    """Timers may fire early by a little; then the loop waits again."""
    table = timetable(entry("@every 10s", "x"))
    assert table.take_due(NOON + timedelta(seconds=9.999)) == []
    assert table.wait(NOON + timedelta(seconds=9.999)) == pytest.approx(0.001)


def test_being_late_once_does_not_make_an_interval_late_for_ever() -> None:
    """It is counted from when the last run was due."""
    table = timetable(entry("@every 10s", "x"))
    (tick,) = table.take_due(NOON + timedelta(seconds=10.7))
    assert (tick.nominal, tick.next_at) == (NOON + 10 * SECOND, NOON + 20 * SECOND)


@pytest.mark.parametrize("spec", ["@every 1m", "* * * * *"])
def test_of_what_was_missed_only_the_last_counts(spec: str) -> None:
    """A machine that slept for an hour does not run everything sixty times."""
    table = timetable(entry(spec, "x"))
    now = NOON + HOUR + 30 * SECOND
    (tick,) = table.take_due(now)
    assert (tick.nominal, tick.next_at) == (NOON + HOUR, NOON + HOUR + MINUTE)
    assert table.take_due(now) == []


def test_a_machine_that_slept_for_years_is_not_counted_minute_by_minute() -> None:
    """It would take minutes to count them."""
    table = timetable(entry("* * * * *", "x"))
    now = NOON + timedelta(days=3650)
    (tick,) = table.take_due(now)
    assert (tick.nominal, tick.next_at) == (now, now + MINUTE)


def test_a_clock_that_is_set_back_does_not_run_an_entry_twice() -> None:
    """The time that was had is over, whatever clocks say."""
    table = timetable(entry("0 * * * *", "x"))
    assert len(table.take_due(NOON + HOUR)) == 1
    assert table.take_due(NOON + 30 * MINUTE) == []
    (tick,) = table.take_due(NOON + 2 * HOUR)
    assert tick.nominal == NOON + 2 * HOUR


def test_beginning_anew_makes_up_for_nothing() -> None:
    """What was due between registering and starting is not run in a burst."""
    table = timetable(entry("* * * * *", "x"))
    table.begin(NOON + HOUR)
    assert table.take_due(NOON + HOUR) == []


def test_an_interval_stays_in_its_row_when_a_scheduler_goes_on() -> None:
    """Other schedulers are in that row, and its own claims would come too soon after theirs."""
    table = timetable(entry("@every 10m", "x"), entry("0 * * * *", "y"))
    for minutes, expected in ((3, 10), (10, 20), (45, 50), (31, 40)):
        table.go_on(NOON + minutes * MINUTE)
        assert (table.get("x").next_at, table.get("y").next_at) == (NOON + expected * MINUTE, NOON + HOUR)
    (tick, *_) = table.take_due(NOON + 40 * MINUTE)
    assert tick.nominal == NOON + 40 * MINUTE


def test_the_end_of_the_calendar_is_the_end_of_an_entry() -> None:
    """And of no other."""
    table = timetable(entry("@every 1s", "x"), entry("@every 2s", "y"))
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert len(table.take_due(end)) == 2
    assert table.wait(end) == math.inf
    assert [one.next_at for one in table.in_order()] == [None, None]


def test_entries_are_shown_by_their_next_time() -> None:
    """What comes next is what people look for."""
    table = timetable(entry("@yearly", "late"), entry("@every 5s", "soon"), entry("@hourly", "then"))
    assert [one.id for one in table.in_order()] == ["soon", "then", "late"]


def test_an_entry_that_is_not_there_is_named_with_what_was_meant() -> None:
    """Ids are typed by people."""
    table = timetable(entry("@yearly", "report:sales"))
    with pytest.raises(EntryNotFoundError, match="did you mean 'report:sales'"):
        table.remove("report:sale")
    assert "report:sales" in table


@pytest.mark.parametrize(
    ("zone", "start", "nominals"),
    [
        # Clocks go forward at 2:00 and back at 3:00.
        ("Europe/Berlin", datetime(2026, 3, 29, 0, tzinfo=UTC), ["01:00", "02:00", "03:00"]),
        ("Europe/Berlin", datetime(2026, 10, 25, 0, tzinfo=UTC), ["01:00", "02:00", "03:00"]),
    ],
)
def test_an_hourly_entry_comes_every_hour_when_clocks_change(
    zone: str, start: datetime, nominals: list[str]
) -> None:
    """In elapsed time: neither a gap nor a repetition."""
    schedule = parse("0 * * * *", zone)
    at, seen = start, []
    for _ in nominals:
        following = schedule.following(at, at)
        assert following is not None
        seen.append(f"{following:%H:%M}")
        at = following
    assert seen == nominals


def test_an_entry_that_is_due_otherwise_begins_anew() -> None:
    """Its old times are nobody's."""
    table = timetable(entry("@every 1h", "x"))
    table.add(entry("@every 2h", "x"), NOON + 30 * MINUTE)
    assert walk(table, NOON + 3 * HOUR) == ["14:30:00 x"]


def test_a_time_that_is_due_is_not_lost_when_its_entry_is_changed() -> None:
    """A provider that gives another payload just then."""
    table = timetable(entry("@hourly", "x"))
    table.add(entry("@hourly", "x", "other payload"), NOON + HOUR + SECOND)
    (tick,) = table.take_due(NOON + HOUR + SECOND)
    assert (tick.nominal, tick.entry.task.payload) == (NOON + HOUR, "other payload")


def test_what_is_gone_comes_up_no_more() -> None:
    """Whatever is left of it in the heap."""
    table = timetable(entry("@every 10s", "x"), entry("@every 20s", "y"))
    table.remove("x")
    assert table.wait(NOON) == 20
    table.add(entry("@every 5s", "x"), NOON)
    table.remove("y")
    assert walk(table, NOON + 20 * SECOND) == ["12:00:05 x", "12:00:10 x", "12:00:15 x", "12:00:20 x"]


def test_a_heap_is_no_larger_than_its_entries_demand() -> None:
    """An entry that is moved a thousand times leaves no thousand items."""
    table = timetable(entry("@every 1h", "x"))
    for second in range(1000):
        table.align("x", (NOON + second * SECOND).timestamp(), NOON + second * SECOND)
    assert len(table._heap) < 100  # noqa: SLF001 - what it costs is not seen from outside
    assert table.wait(NOON + 999 * SECOND) == 3600


def test_not_more_are_taken_than_asked_for_and_the_longest_due_come_first() -> None:
    """A hundred thousand that are due at once must not hold up the event loop."""
    table = timetable(*(entry("@every 1m", f"late {n}") for n in range(3)), entry("@every 30s", "first"))
    now = NOON + MINUTE
    assert [tick.entry.id for tick in table.take_due(now, 2)] == ["first", "late 0"]
    assert table.wait(now) == 0
    assert [tick.entry.id for tick in table.take_due(now, 9)] == ["late 1", "late 2"]
    assert table.wait(now) == 30


def test_a_tick_costs_no_look_at_those_that_are_not_due() -> None:
    """A hundred thousand entries wait, and one is due."""
    schedule = parse("0 0 1 1 *")
    table = timetable(entry("@every 1s", "x"))
    calls = 0

    class Counted:
        spec, zone, gap = schedule.spec, schedule.zone, 0.0

        def next(self, after: datetime) -> datetime | None:
            nonlocal calls
            calls += 1
            return schedule.next(after)

    counted: Any = Counted()
    for n in range(1000):
        table.add(replace(entry("@yearly", f"{n}"), schedule=counted), NOON)
    assert calls == 1  # found once for all
    assert len(walk(table, NOON + 100 * SECOND)) == 100
    assert calls == 1


def test_jitter_spreads_times_and_is_the_same_everywhere() -> None:
    """So that each scheduler comes to the same, and not all entries to the same second."""
    entries = [replace(entry("@every 1m", f"{n}"), rules=Rules(jitter=30.0)) for n in range(50)]
    one, other = timetable(*entries), timetable(*(replace(entry) for entry in entries))
    assert one.take_due(NOON + 59 * SECOND) == []
    delays: dict[str, float] = {}
    for table in (one, other):
        now, seen = NOON, dict[str, float]()
        while len(seen) < 50:
            now += timedelta(seconds=table.wait(now) + 1e-6)
            for tick in table.take_due(now):
                assert tick.nominal == NOON + MINUTE
                assert (now - tick.nominal).total_seconds() == pytest.approx(tick.delay, abs=1e-3)
                seen[tick.entry.id] = tick.delay
        assert seen == (delays or seen)
        delays = seen
    assert 0 <= min(delays.values()) < 5
    assert 25 < max(delays.values()) < 30
    assert len(set(delays.values())) == 50


def test_jitter_ends_where_the_next_time_begins() -> None:
    """Times of an entry never overtake each other."""
    table = timetable(replace(entry("* * * * *", "x"), rules=Rules(jitter=3600.0)))
    assert walk(table, NOON + HOUR) == [f"12:{minute:02}:00 x" for minute in range(1, 60)]


def test_ten_years_of_a_daily_entry_pass_in_no_time() -> None:
    """Once on each day, whatever clocks do, and at 2:30 on all days but those that have none."""
    table = timetable(entry("TZ=Europe/Paris 30 2 * * *", "nightly"))
    paris, now, seen = ZoneInfo("Europe/Paris"), NOON, list[datetime]()
    while (now := now + timedelta(seconds=table.wait(now))) < NOON + timedelta(days=3652):
        seen += [tick.nominal.astimezone(paris) for tick in table.take_due(now)]
    assert [at.date() for at in seen] == [(NOON + timedelta(days=day)).date() for day in range(1, 3653)]
    odd = [f"{at:%m-%d %H:%M}" for at in seen if f"{at:%H:%M}" != "02:30"]
    assert len(odd) == 10
    assert all(day.startswith("03-") and day.endswith("03:00") for day in odd)


def test_a_single_instant_comes_once_and_then_never() -> None:
    """What is left of it is its history."""
    table = timetable(entry("@at 2026-03-01T13:00:00+00:00", "party"), entry("@hourly", "clock"))
    assert walk(table, NOON + 2 * HOUR) == ["13:00:00 party", "13:00:00 clock", "14:00:00 clock"]
    assert table.get("party").next_at is None
    table.begin(NOON + 2 * HOUR)
    assert table.get("party").next_at is None


@pytest.mark.parametrize("spec", ["* * * * *", "TZ=Europe/Paris 30 2 * * *", "@every 7s"])
def test_what_was_missed_for_years_is_found_one_at_a_time(spec: str) -> None:
    """Who makes up for it takes as many as there is room for."""
    schedule = parse(spec)
    times = schedule.between(NOON, NOON + timedelta(days=3652))
    first = [next(times) for _ in range(3)]
    assert first == sorted(first)
    assert first[0] == schedule.next(NOON)
    assert schedule.latest(first[0], NOON + timedelta(days=3652)) > NOON + timedelta(days=3650)


def test_an_interval_keeps_its_row_wherever_one_begins() -> None:
    """What is too old to be made up for does not move what comes after."""
    schedule = parse("@every 7m")
    late = NOON + HOUR + 30 * SECOND
    times = [*schedule.between(late, late + 20 * MINUTE, row=NOON)]
    assert times == [NOON + 63 * MINUTE, NOON + 70 * MINUTE, NOON + 77 * MINUTE]
    assert [*schedule.between(NOON, NOON + 15 * MINUTE)] == [NOON + 7 * MINUTE, NOON + 14 * MINUTE]
    assert schedule.previous(NOON) == NOON - 7 * MINUTE

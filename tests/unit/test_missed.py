"""What becomes of times that were missed: years of them, while nobody waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncq._missed import Missed, measure, missed, span
from asyncq.codecs import Codecs
from asyncq.entries import Entry, PeriodicTask, define
from asyncq.task import Task

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def entry(spec: str, **rules: Any) -> Entry:
    """Return an entry."""
    return define(PeriodicTask(spec, Task("x"), id="x", **rules), codecs=Codecs())


@pytest.mark.parametrize("spec", ["0 * * * *", "@every 1h"])
@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, Missed(NOON + 5 * HOUR, "missed")),
        ({"catch_up": "latest"}, Missed(first=NOON + 5 * HOUR)),
        ({"catch_up": "latest", "max_age": HOUR}, Missed(first=NOON + 5 * HOUR)),
        ({"catch_up": "latest", "max_age": 60}, Missed(NOON + 5 * HOUR, "too_old")),
        ({"catch_up": "all"}, Missed(first=NOON + HOUR, is_strict=True)),
        (
            {"catch_up": "all", "max_age": 3 * HOUR},
            Missed(NOON + 2 * HOUR, "too_old", NOON + 3 * HOUR, is_strict=True),
        ),
        ({"catch_up": "all", "max_age": 60}, Missed(NOON + 5 * HOUR, "too_old", None, is_strict=True)),
    ],
)
def test_each_rule_after_five_hours(spec: str, rules: dict[str, Any], expected: Missed) -> None:
    """It is half past five."""
    assert missed(entry(spec, **rules), NOON, NOON + 5 * HOUR + 30 * MINUTE) == expected


@pytest.mark.parametrize("rules", [{}, {"catch_up": "latest"}, {"catch_up": "all"}])
def test_nothing_was_missed_before_its_time(rules: dict[str, Any]) -> None:
    """Nor when nothing is known of the entry: there is no beginning to count from."""
    made = entry("@hourly", **rules)
    assert missed(made, NOON, NOON + 59 * MINUTE).is_nothing
    assert missed(made, None, NOON + DAY).is_nothing
    assert missed(made, NOON + DAY, NOON).is_nothing  # a clock that was set back


def test_what_is_late_by_a_little_was_not_missed() -> None:
    """A deploy of half a minute loses no run of the day."""
    assert missed(entry("@hourly"), NOON, NOON + HOUR + MINUTE) == Missed(first=NOON + HOUR)
    assert missed(entry("@hourly"), NOON, NOON + HOUR + 61 * timedelta(seconds=1)).first is None


@pytest.mark.parametrize("last", [NOON - 5 * HOUR, None])
def test_what_came_before_an_entry_was_made_or_resumed_is_not_missed(last: datetime | None) -> None:
    """Whatever its rule is."""
    made = replace(entry("0 * * * *", catch_up="all"), since=NOON + 90 * MINUTE)
    assert missed(made, last, NOON + 3 * HOUR) == Missed(first=NOON + 2 * HOUR, is_strict=True)


def test_one_time_is_made_up_for_when_what_was_known_is_lost() -> None:
    """Or a queue whose memory is gone would be given a year of hours."""
    made = replace(entry("0 * * * *", catch_up="all"), since=NOON)
    assert missed(made, None, NOON + 29 * DAY).first == NOON + HOUR
    assert missed(made, None, NOON + 31 * DAY) == Missed(first=NOON + 31 * DAY)
    assert missed(made, NOON, NOON + 31 * DAY).first == NOON + HOUR


@pytest.mark.parametrize("spec", ["0 12 1 1 *", "@every 10000h", datetime(2027, 1, 1, 12, tzinfo=UTC)])
def test_the_first_time_of_an_entry_that_waited_for_long_is_missed_too(spec: Any) -> None:
    """Redis knows of none before, and needs not: it would know of this one."""
    since = datetime(2026, 1, 1, 12, tzinfo=UTC)
    first = since + 10000 * HOUR if "every" in str(spec) else datetime(2027, 1, 1, 12, tzinfo=UTC)
    for catch_up in ("latest", "all"):
        made = replace(entry(spec, catch_up=catch_up), since=since)
        assert missed(made, None, first - MINUTE).is_nothing
        assert missed(made, None, first + HOUR).first == first
    skipping = replace(entry(spec), since=since)
    assert missed(skipping, None, first + HOUR) == Missed(first, "missed")
    assert measure(skipping, None, first) == (first, first, 1)


def test_the_only_time_of_an_entry_is_not_made_up_for_when_it_may_have_been_had() -> None:
    """What Redis knew of it is forgotten after thirty days, and the entry is still declared."""
    made = replace(entry(NOON + HOUR, catch_up="all"), since=NOON)
    assert missed(made, None, NOON + 29 * DAY).first == NOON + HOUR
    assert missed(made, None, NOON + 31 * DAY).is_nothing


def test_an_interval_counts_from_when_it_was_resumed() -> None:
    """As schedulers do that run: it has no time that comes from before."""
    made = replace(entry("@every 1h", catch_up="all"), since=NOON + 90 * MINUTE)
    assert missed(made, NOON, NOON + 140 * MINUTE).is_nothing
    assert missed(made, NOON, NOON + 160 * MINUTE).first == NOON + 150 * MINUTE
    assert [*span(made, NOON, NOON + 160 * MINUTE)] == [NOON + 150 * MINUTE]
    assert measure(made, NOON, NOON + 160 * MINUTE) == (NOON + 150 * MINUTE, NOON + 150 * MINUTE, 1)


def test_what_jitter_puts_off_is_not_missed() -> None:
    """It has not come."""
    made = entry("0 * * * *", catch_up="latest", jitter=600)
    assert missed(made, NOON, NOON + HOUR + 9 * MINUTE).is_nothing
    assert missed(made, NOON, NOON + HOUR + 10 * MINUTE).first == NOON + HOUR


def test_a_year_of_minutes_is_passed_over_at_once() -> None:
    """Without a look at each of them."""
    made, now = entry("* * * * *"), NOON + 365 * DAY
    assert missed(made, NOON, now) == Missed(first=now)
    assert missed(entry("*/5 * * * *"), NOON, now + 2 * MINUTE) == Missed(now, "missed")
    assert sum(1 for _ in span(made, NOON, NOON + DAY)) == 1440
    assert measure(made, NOON, now) == (NOON + MINUTE, now, 365 * 1440)


def test_what_is_no_time_of_an_entry_any_more_measures_nothing() -> None:
    """It was changed since."""
    assert measure(entry("@daily"), NOON, NOON + HOUR) is None
    assert measure(entry("@every 1h"), None, NOON) is None
    assert measure(entry("@every 1h"), NOON, NOON + 150 * MINUTE) == (NOON + HOUR, NOON + 2 * HOUR, 2)


@settings(max_examples=40)
@given(
    spec=st.sampled_from(
        ["*/7 * * * *", "0 3 * * *", "@every 13m", "30 2 * * *", "15 */4 * * mon", "@at 2026-03-29T01:30Z"]
    ),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
    start=st.datetimes(datetime(2026, 3, 1), datetime(2026, 4, 10)) | st.just(datetime(2026, 10, 20)),  # noqa: DTZ001
    hours=st.integers(0, 24 * 12),
)
def test_times_are_counted_as_if_one_after_the_other(
    spec: str, zone: str, start: datetime, hours: int
) -> None:
    """Whole days at once, and right over the odd ones."""
    schedule = entry(spec, timezone=zone).schedule
    after = start.replace(tzinfo=UTC)
    until = after + timedelta(hours=hours, minutes=17)
    assert schedule.count(after, until) == sum(1 for _ in schedule.between(after, until))
    row = after - timedelta(minutes=31)
    assert schedule.count(after, until, row=row) == sum(1 for _ in schedule.between(after, until, row=row))


@settings(max_examples=25)
@given(
    spec=st.sampled_from(["*/7 * * * *", "0 3 * * *", "@every 13m", "30 2 * * *"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]),
    start=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)),  # noqa: DTZ001 - made aware below
    hours=st.integers(0, 20),
    max_age=st.none() | st.integers(1, 60_000),
)
def test_all_that_was_missed_is_made_up_for_or_passed_over(
    spec: str, zone: str, start: datetime, hours: int, max_age: int | None
) -> None:
    """Each time is in one of the two, the old ones in the first."""
    made = entry(spec, timezone=zone, catch_up="all", max_age=max_age)
    last = made.schedule.next(start.replace(tzinfo=UTC))
    assert last is not None
    now = last + hours * HOUR + 5 * MINUTE
    todo = missed(made, last, now)
    every = [*made.schedule.between(last, now)]
    passed = [] if todo.passed is None else [*span(made, last, todo.passed)]
    made_up = [*span(made, todo.passed or last, now)]
    assert passed + made_up == every
    assert todo.first == (made_up[0] if made_up else None)
    limit = None if max_age is None else now - timedelta(seconds=max_age)
    assert all(limit is not None and at <= limit for at in passed)
    assert all(limit is None or at > limit for at in made_up)

"""Every zone of tzdata around every change of its clocks in three years, with two judges.

`tests/support/cron_oracle.py` has the judges and the rules by which cronsim differs. Zones whose clocks show
the same in these years are looked at once: of about six hundred names some sixty are left, with
180 changes, and the specs are those at which a change can show. `tools/cron_sweep.py` looks at all names and
at specs by the hundred.
"""

from __future__ import annotations

import re
import zoneinfo
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from asyncq._cron import parse
from tests.architecture.repository import ROOT
from tests.support.cron_oracle import (
    DAY,
    HOUR,
    MICROSECOND,
    RULES,
    Case,
    Change,
    by_us,
    changes_of,
    changes_on_file,
    compare,
    specs_at,
    zones_by_changes,
)

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)


@cache
def zones() -> dict[str, list[Change]]:
    """Return the zones that differ, with their changes."""
    return zones_by_changes(START, END)


def every_change() -> list[tuple[str, Change]]:
    """Return each change with the name of its zone."""
    return [(name, change) for name, changes in zones().items() for change in changes]


# Longer than any change, and from each of these to a midnight.
NEAR = 8 * HOUR
# What a change anywhere between 22:00 and 4:00 can show at, as all of these years do.
SPECS = [
    "30 * * * *", "*/20 * * * *", "0 */2 * * *", "15 */3 * * *", "*/7 0,2-3,22-23 * * *",
    "0 0 * * *", "59 23 * * *", "10,50 0-4,22 * * *", "5/25 1-3 * * *", "0 2 L * *", "0 2 * * sun#1",
]  # fmt: skip


def test_every_zone_is_looked_at() -> None:
    """Else this file would be green on a machine without time zones."""
    assert len(zoneinfo.available_timezones()) > 400
    assert len(every_change()) > 100
    assert {"Africa/Cairo", "America/Havana", "Antarctica/Troll", "Australia/LHI"} <= set(zones())
    assert {change.shift for _, change in every_change()} >= {HOUR, -HOUR, 2 * HOUR, HOUR / 2}


def test_no_zone_changes_twice_within_three_days() -> None:
    """We look at three days around a date, and for one change in them."""
    for name in zoneinfo.available_timezones() - {"localtime"}:  # a link of some machines
        for earlier, later in pairwise(changes_on_file(name)):
            assert later - earlier > 3 * 86400, name


@pytest.mark.parametrize("part", range(4))
def test_around_every_change_both_judges_agree_with_us(part: int) -> None:
    """Also looking back, and beginning at any instant in between."""
    seen: Counter[str] = Counter()
    for name, change in every_change()[part::4]:
        zone = ZoneInfo(name)
        for spec in [*SPECS, *specs_at(change)]:
            compare(Case(spec, zone, change.at - NEAR, change.at + NEAR, change), seen)
    assert set(seen) <= set(RULES)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("Pacific/Apia", (2011, 12, 30)),  # crossed the date line: a date that never was
        ("Pacific/Kwajalein", (1993, 8, 21)),  # the same, by the other name of the line
        ("America/St_Johns", (2006, 10, 29)),  # at 00:01, back into the day before
        ("America/St_Johns", (1988, 4, 3)),  # forward by two hours
        ("Asia/Pyongyang", (2015, 8, 15)),  # back by half an hour, and at midnight
        ("America/Caracas", (2016, 5, 1)),  # forward by half an hour, at half past two
        ("Antarctica/Casey", (2018, 3, 11)),  # back by three hours
    ],
)
def test_stranger_changes_of_the_past_are_walked_by_the_same_rules(
    name: str, day: tuple[int, int, int]
) -> None:
    """What was decided once can be decided again, and some weeks before it comes."""
    zone, at = ZoneInfo(name), datetime(*day, tzinfo=UTC)
    (change,) = changes_of(zone, at - 6 * DAY, at + 6 * DAY)
    for spec in [*SPECS, *specs_at(change), "0 12 * * *", "*/30 12 * * *", "45 23 * * *", "*/10 23,0 * * *"]:
        case = Case(spec, zone, change.at - 30 * HOUR, change.at + 30 * HOUR, change)
        assert by_us(case) == case.by_definition(), spec


def test_every_rule_by_which_cronsim_differs_is_needed() -> None:
    """One that explains nothing any more would excuse something one day."""
    seen: Counter[str] = Counter()
    for name in ("Europe/Berlin", "Australia/Lord_Howe"):
        zone = ZoneInfo(name)
        for change in changes_of(zone, START, START + 365 * DAY):
            for spec in [*SPECS, *specs_at(change), "0 30 1,2 * * *"]:
                compare(Case(spec, zone, change.at - NEAR, change.at + NEAR, change), seen)
    assert set(seen) == set(RULES)


def test_where_clocks_run_through_we_say_what_cronsim_says() -> None:
    """In each zone without changes, for a day and a night."""
    seen: Counter[str] = Counter()
    for name in [name for name, changes in zones().items() if not changes]:
        for spec in SPECS:
            start = datetime(2026, 2, 26, 11, 59, tzinfo=UTC)
            compare(Case(spec, ZoneInfo(name), start, start + 30 * HOUR), seen)
    assert not seen


def test_the_table_of_the_odd_days_in_the_guide_is_true() -> None:
    """It is what people look up when a report came twice."""
    guide = (ROOT / "docs/guides/schedules.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| ([\d:, ]+) \| ([\d:, ]+) \|$", guide, re.MULTILINE)
    assert len(rows) >= 8
    paris = ZoneInfo("Europe/Paris")
    for spec, *columns in rows:
        for column, day in zip(columns, (datetime(2027, 3, 28), datetime(2027, 10, 31)), strict=True):  # noqa: DTZ001
            first, end = (day.replace(hour=hour, tzinfo=paris) for hour in (1, 4))
            times = parse(spec, paris).between(first - MICROSECOND, end - MICROSECOND)
            assert ", ".join(f"{at.astimezone(paris):%H:%M}" for at in times) == column, spec

"""Cron expressions and intervals: what they mean, and what clocks that change do to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq._cron import Schedule, parse
from asyncq.errors import ConfigError

START = datetime(2026, 2, 27, 23, 58, 30, tzinfo=UTC)


def runs(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """Return the next so many instants."""
    found: list[datetime] = []
    while len(found) < count and (following := schedule.next(after)) is not None:
        found.append(following)
        after = following
    return found


def on_the_wall(spec: str, zone: str, day: tuple[int, int, int], count: int) -> list[str]:
    """Return the next runs from the midnight of a day, as the clocks there show them."""
    there = ZoneInfo(zone)
    found = runs(parse(spec, zone), datetime(*day, tzinfo=there) - timedelta(seconds=1), count)
    return [f"{instant.astimezone(there):%d %H:%M%z}" for instant in found]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("*/15 * * * *", ["02-28 00:00", "02-28 00:15"]),
        ("0 12 1,15 * 1", ["03-01 12:00", "03-02 12:00"]),
        ("0 12 */10 * 1", ["03-01 12:00", "03-02 12:00"]),
        ("0 0 ? * MON-FRI", ["03-02 00:00", "03-03 00:00"]),
        ("CRON_TZ=Asia/Tokyo 0 6 * * *", ["02-28 21:00", "03-01 21:00"]),
        ("TZ=Asia/Tokyo 0 6 * * *", ["02-28 21:00", "03-01 21:00"]),
        ("5/20 * * * *", ["02-28 00:05", "02-28 00:25"]),
        ("0 0 * jan,MAR sun", ["03-01 00:00", "03-08 00:00"]),
        ("0 0 * * 7", ["03-01 00:00", "03-08 00:00"]),
        ("0 0 L * *", ["02-28 00:00", "03-31 00:00"]),
        ("0 0 L,5 * *", ["02-28 00:00", "03-05 00:00"]),
        ("0 0 * * 5#2", ["03-13 00:00", "04-10 00:00"]),
        ("0 0 * * L5", ["03-27 00:00", "04-24 00:00"]),
        ("0 0 * * 1#1,3#2", ["03-02 00:00", "03-11 00:00"]),
        ("0 0 29 2 *", ["02-29 00:00", "02-29 00:00"]),
        ("0 22-1 * * *", ["02-28 00:00", "02-28 01:00"]),
        ("@hourly", ["02-28 00:00", "02-28 01:00"]),
        ("@daily", ["02-28 00:00", "03-01 00:00"]),
        ("@Midnight", ["02-28 00:00", "03-01 00:00"]),
        ("@weekly", ["03-01 00:00", "03-08 00:00"]),
        ("@monthly", ["03-01 00:00", "04-01 00:00"]),
        ("@yearly", ["01-01 00:00", "01-01 00:00"]),
        ("30 */15 * * * *", ["02-28 00:00", "02-28 00:15"]),
        ("0 0 12 1,15 * 1", ["03-01 12:00", "03-02 12:00"]),
        ("@every 90s", ["02-28 00:00", "02-28 00:01"]),
        ("@every 1h30m", ["02-28 01:28", "02-28 02:58"]),
    ],
)
def test_a_spec_means_what_it_means_to_asynq(spec: str, expected: list[str]) -> None:
    """Mostly the vectors of the Go library; `L`, `#` and a Sunday that is 7 are more than it has."""
    assert [f"{instant:%m-%d %H:%M}" for instant in runs(parse(spec), START, 2)] == expected


def test_six_fields_have_the_second_first() -> None:
    """As with Quartz, Spring and the cron of Go; croniter alone puts it last."""
    found = runs(parse("*/20 58,59 23 * * *"), START, 5)
    assert [f"{instant:%H:%M:%S}" for instant in found] == [
        "23:58:40", "23:59:00", "23:59:20", "23:59:40", "23:58:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "means"),
    [
        ("5-5 * * * *", "5 * * * *"),
        ("0 9-9 * * *", "0 9 * * *"),
        ("0 0 31-31/2 * *", "0 0 31 * *"),
        ("0 0 * mar-mar *", "0 0 * 3 *"),
        ("0 0 * * fri-fri#2", "0 0 * * 5#2"),
        ("0 0 * * 7-7", "0 0 * * 0"),
        ("0 0 * * sun-7", "0 0 * * 0-7"),
        ("0 0 * * 0-7", "0 0 * * *"),
        ("0 0 ? * ?", "0 0 * * *"),
        ("0 0 5-L * *", "0 0 5-31 * *"),
    ],
)
def test_what_croniter_reads_in_its_own_way_means_what_it_looks_like(spec: str, means: str) -> None:
    """It takes `5-5` for every minute, and `9-9` for every hour."""
    assert runs(parse(spec), START, 50) == runs(parse(means), START, 50)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_an_aware_datetime_is_due_once(zone: str) -> None:
    """In whatever zone it was written: the same instant is the same entry."""
    at = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)
    schedule = parse(at.astimezone(ZoneInfo(zone)))
    assert schedule.spec == "@at 2026-07-01T12:30:00+00:00"
    assert parse(schedule.spec) == schedule
    assert (schedule.next(START), schedule.next(at)) == (at, None)
    assert (schedule.previous(at), schedule.previous(at + timedelta(microseconds=1))) == (None, at)
    assert [*schedule.between(START, at)] == [at]
    assert [*schedule.between(at, at + timedelta(days=9))] == []
    assert schedule.following(at, START) is None
    assert schedule.latest(at, at + timedelta(days=9)) == at


@pytest.mark.parametrize("length", [1, 90, 1.5, 86400 * 365, 1e9, 86400.000007])
def test_the_text_of_an_interval_can_be_read_again(length: float) -> None:
    """Tools show it, and people copy it; a year was `3.1536e+07s` once."""
    schedule = parse(timedelta(seconds=length))
    assert parse(schedule.spec) == schedule


def test_an_interval_keeps_its_fraction() -> None:
    """Unlike asynq, which cuts it off."""
    schedule = parse(timedelta(seconds=1.5))
    assert schedule.next(START) == START + timedelta(seconds=1.5)
    assert schedule.spec == "@every 1.5s"


@pytest.mark.parametrize(
    "spec",
    [
        "", "   ", "@reboot", "@every", "@every 5", "@every 0.5s", "@every -5s", "* * * *", "* * * * * * *",
        "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *",
        "1-100000000 * * * *", "a b c d e", "0 0 15W * *", "0 0 LW * *", "R * * * *", "H H * * *",
        "h(0-5) * * * *", "@ * * * *", "0 0 * * 1#6", None, 7, timedelta(0), timedelta(milliseconds=999),
    ],
)  # fmt: skip
def test_a_spec_that_cannot_be_meant_is_refused(spec: Any) -> None:
    """When it is registered, and as our error."""
    with pytest.raises(ConfigError):
        parse(spec)


@pytest.mark.parametrize("spec", ["0 0 31 4 *", "0 0 30 2 *", "* * 31 2,4,6 *"])
def test_a_date_that_never_comes_is_refused(spec: str) -> None:
    """Asynq takes it and never fires."""
    with pytest.raises(ConfigError, match="never comes"):
        parse(spec)


@pytest.mark.parametrize("zone", ["Europe/Berln", "", "Europe", "../etc/passwd", "/etc/passwd", 7, "a\0b"])
def test_an_unknown_time_zone_is_refused(zone: Any) -> None:
    """With the near miss where there is one."""
    with pytest.raises(ConfigError, match="timezone"):
        parse("@daily", zone)
    with pytest.raises(ConfigError, match="did you mean 'Europe/Berlin'"):
        parse("TZ=Europe/Berln 0 0 * * *")


@given(st.text("0123456789*/-,?LWRHl#@ abcjanMONevryTZ=", max_size=30))
def test_whatever_is_written_is_read_or_refused_with_our_error(spec: str) -> None:
    """Croniter raises half a dozen classes; none of them comes through."""
    try:
        schedule = parse(spec)
    except ConfigError:
        return
    assert cast("datetime", schedule.next(START)) > START


def test_a_fixed_time_runs_once_when_its_hour_is_repeated() -> None:
    """A daily report must not be sent twice in autumn."""
    assert on_the_wall("30 1 * * *", "America/New_York", (2026, 11, 1), 2) == [
        "01 01:30-0400",
        "02 01:30-0500",
    ]


def test_a_fixed_time_that_is_skipped_runs_at_the_end_of_the_gap() -> None:
    """Nor must it be left out in spring."""
    assert on_the_wall("30 2 * * *", "America/New_York", (2026, 3, 8), 2) == [
        "08 03:00-0400",
        "09 02:30-0400",
    ]


def test_two_fixed_times_in_one_gap_run_once() -> None:
    """Both would be at its end."""
    expected = ["08 03:00-0400", "09 02:15-0400", "09 02:45-0400"]
    assert on_the_wall("15,45 2 * * *", "America/New_York", (2026, 3, 8), 3) == expected


def test_other_times_follow_elapsed_time() -> None:
    """What runs every half hour does so twice in an hour that is repeated, and not in one that is skipped."""
    autumn = on_the_wall("*/30 * * * *", "America/New_York", (2026, 11, 1), 7)
    assert autumn[2:] == ["01 01:00-0400", "01 01:30-0400", "01 01:00-0500", "01 01:30-0500", "01 02:00-0500"]
    spring = on_the_wall("*/30 * * * *", "America/New_York", (2026, 3, 8), 6)
    assert spring[2:] == ["08 01:00-0500", "08 01:30-0500", "08 03:00-0400", "08 03:30-0400"]


@pytest.mark.parametrize("spec", ["0 */2 * * *", "15 */2 * * *", "*/7 2 * * *", "* 1-2 * * *"])
def test_what_names_hours_loses_none_in_a_gap(spec: str) -> None:
    """What is due in the hour that is left out runs when it would have begun, though only once."""
    found = on_the_wall(spec, "America/New_York", (2026, 3, 8), 200)
    assert [run for run in found if "08 02" <= run < "08 04"] == ["08 03:00-0400"]


def test_a_change_by_half_an_hour_is_followed_too() -> None:
    """Lord Howe, where both croniter and cronsim take a wrong step."""
    found = on_the_wall("*/20 * * * *", "Australia/Lord_Howe", (2026, 4, 5), 10)
    assert found[4:] == [
        "05 01:20+1100",
        "05 01:40+1100",
        "05 01:40+1030",
        "05 02:00+1030",
        "05 02:20+1030",
        "05 02:40+1030",
    ]
    assert on_the_wall("15 */2 * * *", "Australia/Lord_Howe", (2026, 4, 5), 2)[1] == "05 02:15+1030"


def test_a_day_that_did_not_exist_runs_at_its_end() -> None:
    """Samoa crossed the date line and had no 30th of December in 2011."""
    found = on_the_wall("0 12 * * *", "Pacific/Apia", (2011, 12, 29), 3)
    assert found == ["29 12:00-1000", "31 00:00+1400", "31 12:00+1400"]


def test_the_end_of_the_calendar_is_the_end() -> None:
    """Not an error out of the middle of a scheduler."""
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert parse("@daily").next(end) is None
    assert parse("*/5 * * * *").next(end) is None
    assert parse("@every 1h").next(end) is None


ZONES = [
    "America/New_York",
    "Europe/Berlin",
    "Asia/Beirut",
    "America/Havana",
    "America/Santiago",
    "Asia/Shanghai",
]
SPECS = [
    "30 1 * * *", "30 2 * * *", "0 0 * * *", "30 23 * * *", "*/20 * * * *", "0 * * * *", "15 */2 * * *",
    "45 1-3 * * *", "*/7 2 * * *", "0 12 1,15 * 1", "0 3 * * 0", "5/20 0-4 * * *", "0 0 L * *", "0 9 * * 1#2",
]  # fmt: skip


@given(
    st.sampled_from(SPECS),
    st.sampled_from([*ZONES, "Australia/Lord_Howe", "Pacific/Chatham"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds
)
def test_the_next_run_is_later_and_none_is_left_out(spec: str, zone: str, after: datetime) -> None:
    """Asking from any moment before a run leads to that run."""
    schedule = parse(spec, zone)
    following = schedule.next(after)
    assert following is not None
    assert following > after
    middle = after + (following - after) / 2
    assert schedule.next(middle) == following
    assert schedule.next(following - timedelta(microseconds=1)) == following


@given(
    st.sampled_from([*SPECS, "*/20 30 1 * * *", "0 * 2 * * *"]),
    st.sampled_from([*ZONES, "Australia/Lord_Howe", "Pacific/Chatham"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds
)
def test_looking_back_finds_what_looking_ahead_found(spec: str, zone: str, at: datetime) -> None:
    """And nothing lies between the two."""
    schedule = parse(spec, zone)
    following, last = schedule.next(at), schedule.previous(at)
    assert following is not None
    assert last is not None
    assert last < at < following
    assert schedule.previous(following + timedelta(microseconds=1)) == following
    inner = schedule.previous(following)
    assert inner is not None
    assert inner in (last, at)
    assert schedule.next(last) in (at, following)
    assert [*schedule.between(last, following)][-1] == following

"""Specs that cannot be meant are refused, with the field that is wrong, what it says, and what it may say."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from cronsim import CronSim
from hypothesis import assume, given
from hypothesis import strategies as st

from asyncq._cron import Schedule, parse, time_zone
from asyncq.errors import ConfigError

NOW = datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC)


def complaints(spec: Any, zone: Any = UTC) -> list[str]:
    """Return what is said about a spec."""
    with pytest.raises(ConfigError) as caught:
        parse(spec, zone)
    return [problem.expected for problem in caught.value.problems]


WANTED = {
    "second": "a number from 0 to 59",
    "minute": "a number from 0 to 59",
    "hour": "a number from 0 to 23",
    "day of month": "a number from 1 to 31",
    "month": "a number from 1 to 12 or jan to dec",
    "day of week": "a number from 0 to 7 or sun to sat",
}
ONCE = "weekdays of every week, or ones such as fri#2 and L5 that come once a month, and not both"
FIVE = "five fields (minute, hour, day of month, month, day of week), or six with the second before them"
WORDS = "@yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, @every, @at"
NEAR_BERLIN = ("Europe/Berlin", "Europe/Dublin", "Europe/Belfast")
OVER = "a range with a step that does not go over the end of the field: write its values"


@pytest.mark.parametrize(
    ("spec", "place", "name", "says", "why"),
    [
        ("60 * * * *", 1, "minute", "60", "…"),
        ("* 9-24 * * *", 2, "hour", "9-24", "…"),
        ("* * 0 * *", 3, "day of month", "0", "…"),
        ("* * * 13 *", 4, "month", "13", "…"),
        ("* * * * 8", 5, "day of week", "8", "…"),
        ("60 * * * * *", 1, "second", "60", "…"),
        ("* * * * * 8", 6, "day of week", "8", "…"),
        ("* * * Sept *", 4, "month", "sept", "… (did you mean 'sep'?)"),
        ("*/0 * * * *", 1, "minute", "*/0", "a step of 1 or more after the /"),
        ("*/ * * * *", 1, "minute", "*/", "a step of 1 or more after the /"),
        ("1/2/3 * * * *", 1, "minute", "1/2/3", "a step of 1 or more after the /"),
        (
            "*/90 * * * *",
            1,
            "minute",
            "*/90",
            "a step of at most 60, as it begins anew each time (@every 90m has no such limit)",
        ),
        (
            "0 */48 * * *",
            2,
            "hour",
            "*/48",
            "a step of at most 24, as it begins anew each time (@every 48h has no such limit)",
        ),
        ("0 0 1 5/13 *", 4, "month", "5/13", "a step of at most 12, as it begins anew each time"),
        ("1,,2 * * * *", 1, "minute", "1,,2", "something before and after each comma"),
        ("1-2-3 * * * *", 1, "minute", "1-2-3", "…"),
        ("-5 * * * *", 1, "minute", "-5", "…"),
        ("٣ * * * *", 1, "minute", "٣", "…"),
        ("? * * * *", 1, "minute", "?", "…"),
        ("0 0 ?,1 * *", 3, "day of month", "?,1", "…"),
        ("50-10/7 * * * *", 1, "minute", "50-10/7", OVER),
        ("0 0 15W * *", 3, "day of month", "15w", "no R, H or W, which asyncq does not have"),
        ("0 0 LW * *", 3, "day of month", "lw", "no R, H or W, which asyncq does not have"),
        ("h(0-5) * * * *", 1, "minute", "h(0-5)", "no R, H or W, which asyncq does not have"),
        ("0 0 * L *", 4, "month", "l", "…: L is a day of the month"),
        ("0 0 L-3 * *", 3, "day of month", "l-3", "…: L is a day of the month"),
        ("0 0 * * 5L", 5, "day of week", "5l", "L5 for the last one of the month"),
        ("0 0 * * L", 5, "day of week", "l", "L and a number from 0 to 7, such as L5"),
        ("0 0 * * fri#6", 5, "day of week", "fri#6", "a number from 1 to 5 after the #"),
        ("0 0 * * fry#1", 5, "day of week", "fry#1", "… (did you mean 'fri'?)"),
        ("0 0 * * mon,fri#2", 5, "day of week", "mon,fri#2", ONCE),
    ],
)
def test_a_wrong_field_is_named_with_what_it_says_and_why(
    spec: str, place: int, name: str, says: str, why: str
) -> None:
    """Somebody wrote it, and has to find what to write instead."""
    expected = why.replace("…", WANTED[name])
    assert complaints(spec) == [f"{expected}; field {place}, the {name}, says {says!r}"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("* * * *", f"{FIVE}; there are 4"),
        ("* * * * * * 2027", f"{FIVE}; there are 7"),
        ("0 0 30 2 *", "a date that exists; this one never comes"),
        ("0 0 31 feb,apr *", "a date that exists; this one never comes"),
        ("@dayly", "a word that asyncq knows, and no more than that; did you mean '@daily'?"),
        (
            "@daily 5",
            f"a word that asyncq knows, and no more than that; there are {WORDS}",
        ),
        ("@every 1d", 'a duration such as "90s", "1h30m" or "300ms" after @every; a day is 24h'),
        ("@every", 'a duration such as "90s", "1h30m" or "300ms" after @every'),
        ("@every 999ms", "an interval of one second or more after @every"),
        ("@at 2027-01-31 18:30", "a time such as 2027-01-31T18:30:00+01:00 after @at"),
        (
            "CRON_TZ=Europe/Berln @daily",
            f"the IANA name of a time zone; did you mean {' or '.join(map(repr, NEAR_BERLIN))}? after TZ=",
        ),
        ("*" * 1001, "no more than 1000 characters"),
    ],
)
def test_a_wrong_spec_says_what_was_expected(spec: str, said: str) -> None:
    """Where no single field is to blame."""
    assert complaints(spec) == [said]


def test_all_that_is_wrong_is_said_at_once() -> None:
    """One round instead of four."""
    assert len(complaints("60 24 * foo mno", "Nowhere/Land")) == 5


def test_a_naive_datetime_is_refused() -> None:
    """Nobody can say which instant it means."""
    assert "aware datetime" in complaints(datetime(2027, 1, 1))[0]  # noqa: DTZ001
    assert "years 1 and 9999" in complaints(datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))))[0]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("Asia/Calcuta", "Asia/Calcutta"),
        ("utc", "UTC"),
    ],
)
def test_an_unknown_zone_is_refused_with_near_misses(name: str, meant: str) -> None:
    """People leave out the continent, the capitals, or a letter."""
    with pytest.raises(ConfigError, match=f"did you mean .*{meant!r}"):
        time_zone(name)


class _Nameless(tzinfo):
    """A zone of somebody's own."""

    def utcoffset(self, at: datetime | None, /) -> timedelta:
        return timedelta(hours=1)


@pytest.mark.parametrize("zone", [_Nameless(), timezone(timedelta(microseconds=1)), None, 7, b"UTC"])
def test_a_zone_that_nobody_else_could_find_is_refused(zone: Any) -> None:
    """Entries are stored, and read by other processes."""
    with pytest.raises(ConfigError, match=r"timezone=.*expected the IANA name"):
        time_zone(zone)


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        (UTC, "UTC"),
        ("UTC", "UTC"),
        ("UTC+00:00", "UTC"),
        ("UTC-03:30", "UTC-03:30"),
        (timezone(timedelta(hours=2), "EET"), "UTC+02:00"),
        (timezone(timedelta(seconds=-1)), "UTC-00:00:01"),
        (ZoneInfo("Asia/Tokyo"), "Asia/Tokyo"),
    ],
)
def test_a_zone_is_found_again_by_its_name(zone: Any, name: str) -> None:
    """And is no other one: a fixed offset that is called EET has no summer time."""
    found = time_zone(zone)
    assert str(found) == name
    assert time_zone(name) == found


# --- what is read is what others read ---------------------------------------------------


def values(low: int, high: int, names: str = "") -> st.SearchStrategy[str]:
    """Return elements of one field: values, ranges, steps."""
    one = st.integers(low, high)
    pair = st.tuples(one, one).filter(lambda both: both[0] < both[1])
    step = st.integers(1, high - low + 1)
    kinds = [
        one.map(str),
        pair.map(lambda both: f"{both[0]}-{both[1]}"),
        st.tuples(pair, step).map(lambda it: f"{it[0][0]}-{it[0][1]}/{it[1]}"),
        st.tuples(one, step).map(lambda it: f"{it[0]}/{it[1]}"),
        step.map(lambda size: f"*/{size}"),
    ]
    return st.one_of(*kinds, *([st.sampled_from(names.split())] if names else []))


def fields(element: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return fields: everything, or a list."""
    return st.one_of(st.just("*"), st.lists(element, min_size=1, max_size=3).map(",".join))


EXPRESSIONS = st.tuples(
    fields(values(0, 59)),
    fields(values(0, 23)),
    fields(st.one_of(values(1, 28), st.just("L"))),
    fields(values(1, 12, "jan Feb MAR dec")),
    st.one_of(
        fields(values(0, 6, "sun Mon FRI sat")),
        st.lists(st.sampled_from(["fri#1", "0#2", "3#4", "L1", "L5"]), min_size=1, max_size=2).map(",".join),
    ),
)


def read(spec: str) -> str:
    """Return what is wrong with a spec; nothing if it has times, and has had some."""
    try:
        schedule = parse(spec)
    except ConfigError as error:
        return " ".join(problem.expected for problem in error.problems)
    assert schedule.next(NOW) is not None
    assert schedule.previous(NOW) is not None
    return ""


def first(schedule: Schedule, count: int) -> list[datetime]:
    """Return the next so many times."""
    return [*islice(schedule.between(NOW, NOW + timedelta(days=4000)), count)]


@given(EXPRESSIONS)
def test_where_clocks_run_through_we_agree_with_croniter_and_cronsim(parts: tuple[str, ...]) -> None:
    """Whatever is written, as long as all three take it for the same."""
    spec = " ".join(parts)
    ours = first(parse(spec), 20)
    theirs = croniter(spec, NOW, ret_type=datetime)
    days, weekdays = parts[2], parts[4]
    # Of days that are given by a step cronsim wants both, and we either; `test_either_day_will_do` has these.
    assume("*" in (days, weekdays) or not (days + " " + weekdays).count("*"))
    # Beside a counted weekday croniter forgets the day of the month, or finds no date.
    if days == "*" or not {"#", "L"} & {*weekdays}:
        assert ours == [theirs.get_next() for _ in ours]
    # For cronsim 1/2 has the Sunday that is 7.
    if not re.search(r"(?<![-\d])\d/", weekdays):
        simulated = CronSim(spec.replace("L1", "1L").replace("L5", "5L"), NOW)  # as it writes them
        assert ours == [next(simulated) for _ in ours]


@pytest.mark.parametrize("spec", ["0 0 */10 * mon", "0 0 5 * */3", "0 0 1-31 * mon"])
def test_either_day_will_do(spec: str) -> None:
    """Also where one is given by a step; Debian and cronsim want both then."""
    theirs = croniter(spec, NOW, ret_type=datetime)
    assert first(parse(spec), 20) == [theirs.get_next() for _ in range(20)]


@given(st.text("0123456789*/-,?LWRHl#@ abcjanMONevryTZ=", max_size=30))
def test_what_croniter_refuses_was_refused_before(spec: str) -> None:
    """Its reasons name no field."""
    assert "croniter" not in read(spec)


@given(
    st.lists(
        st.text("0123456789*/-,?L#", min_size=1, max_size=6).filter(lambda text: not text.isspace()),
        min_size=5,
        max_size=6,
    )
)
def test_fields_of_odd_signs_are_read_as_others_read_them_or_refused(parts: list[str]) -> None:
    """Nothing slips through to be due at times that nobody meant."""
    spec = " ".join(parts)
    assert "croniter" not in read(spec)

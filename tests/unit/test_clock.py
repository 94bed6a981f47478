"""Durations and instants at the door."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq._clock import from_unix, now, parse_duration, seconds, unix
from asyncq.errors import ConfigError


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0.0), (1.5, 1.5), (timedelta(minutes=2), 120.0), (math.inf, math.inf)]
)
def test_a_duration_is_seconds_or_a_timedelta(value: float | timedelta, expected: float) -> None:
    """Both are common, and neither leaves its unit to guessing."""
    assert seconds(value, name="timeout") == expected


@pytest.mark.parametrize("value", [-1, -0.1, math.nan, True, "5", None, timedelta(seconds=-1), 10**400])
def test_what_is_no_duration_is_refused_by_name(value: object) -> None:
    """`True` would be a second, and nan would never be due."""
    with pytest.raises(ConfigError, match="process_in"):
        seconds(value, name="process_in")  # type: ignore[arg-type]


def test_an_instant_is_the_same_in_every_zone() -> None:
    """Only the instant matters."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert unix(noon, name="x") == unix(noon.astimezone(ZoneInfo("Asia/Tokyo")), name="x") == 1772366400.0


@pytest.mark.parametrize("value", [datetime(2026, 3, 1), 1772366400, None, "tomorrow"])  # noqa: DTZ001 - that is the point
def test_a_naive_datetime_is_refused_with_the_way_out(value: object) -> None:
    """It is the most common mistake with time, and silent where it is accepted."""
    with pytest.raises(ConfigError, match=r"process_at.*aware datetime") as caught:
        unix(value, name="process_at")  # type: ignore[arg-type]
    assert "datetime.now(UTC)" in str(caught.value)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds
def test_an_instant_comes_back_to_the_microsecond(instant: datetime) -> None:
    """What is shown is what was given."""
    assert abs(from_unix(unix(instant, name="x")) - instant) <= timedelta(microseconds=1)


def test_an_instant_beyond_the_calendar_is_shown_as_its_end() -> None:
    """A foreign producer may have written anything; showing it must not fail."""
    assert from_unix(math.inf) == from_unix(1e18) == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_now_is_the_wall_clock() -> None:
    """In Unix seconds, as everything inside."""
    assert abs(from_unix(now()) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h30m", 5400.0),
        ("90s", 90.0),
        ("1.5s", 1.5),
        (".5m", 30.0),
        ("300ms", 0.3),
        ("1us", 1e-6),
        ("0", 0.0),
    ],
)
def test_a_duration_is_read_as_go_writes_it(text: str, expected: float) -> None:
    """`@every` specs move between the two languages."""
    assert parse_duration(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "1 h", "-5s", "h", "1d", "s1", "1h-5m", "٣s", "1" * 400 + "h"])
def test_what_go_would_not_read_is_refused(text: str) -> None:
    """A bare number has no unit."""
    with pytest.raises(ConfigError, match="1h30m"):
        parse_duration(text)

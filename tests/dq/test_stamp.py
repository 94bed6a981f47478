"""The bytes of a message: those of go-queue, to the nanosecond."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.dq.stamp import duration_ns, from_ns, instant_ns, key_of, unwrap, wrap
from asyncq.errors import ConfigError

NOW = 1_795_225_131_786_937_573


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"1795225131786937573/1000", (NOW, b"1000")),
        (b"1795225131786937573/", (NOW, b"")),
        (b"1795225131786937573/a/b/c", (NOW, b"a/b/c")),
        (b"1795225131786937573/\x00\xff/", (NOW, b"\x00\xff/")),
        (b"5/x", (5, b"x")),
        (b"-5/x", (-5, b"x")),
        (b"+5/x", (5, b"x")),
        (b"notime", None),
        (b"/x", None),
        (b"abc/x", None),
        (b"1 /x", None),
        (b"1_0/x", None),
        (b"0x1/x", None),
        (b"", None),
        (b"9223372036854775807/x", (2**63 - 1, b"x")),
        (b"9223372036854775808/x", None),
        (b"-9223372036854775808/x", (-(2**63), b"x")),
        (b"-9223372036854775809/x", None),
        # 20 bytes and a slash fit into today's window, 21 and a slash do not.
        (b"00000000000000000005/x", (5, b"x")),
        (b"000000000000000000005/x", None),
        (b"123456789012345678901234/x", None),
    ],
)
def test_what_is_read_and_what_is_discarded(raw: bytes, expected: tuple[int, bytes] | None) -> None:
    """As go-queue does it; each row was seen there."""
    assert unwrap(raw, NOW) == expected


@given(body=st.binary(max_size=200), due=st.integers(0, 2**63 - 1))
def test_what_is_wrapped_is_read_again(body: bytes, due: int) -> None:
    """Whatever is in the body."""
    assert unwrap(wrap(body, due), NOW) == (due, body)


@given(st.binary(max_size=60))
def test_whatever_comes_is_read_or_discarded(raw: bytes) -> None:
    """And what is read begins with its number."""
    found = unwrap(raw, NOW)
    if found is not None:
        due, body = found
        assert raw.endswith(b"/" + body)
        assert int(raw[: len(raw) - len(body) - 1]) == due


def test_the_key_is_that_of_go() -> None:
    """MD5 of all bytes, as hexadecimal digits in lower case."""
    assert len(key_of(b"x")) == 32
    assert key_of(b"x") == "9dd4e461268c8034f5c8564e155c67a6"
    assert key_of(wrap(b"a", 1)) != key_of(wrap(b"a", 2))


def test_instants_are_exact() -> None:
    """A float of today has lost some hundred nanoseconds already."""
    when = datetime(2026, 11, 21, 9, 58, 51, 786_937, tzinfo=UTC)
    assert instant_ns(when) == 1_795_255_131_786_937_000
    assert from_ns(instant_ns(when)) == when
    assert instant_ns(when.astimezone(timezone(timedelta(hours=8)))) == instant_ns(when)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - given a zone below
def test_instants_go_there_and_back(naive: datetime) -> None:
    """To the microsecond."""
    when = naive.replace(tzinfo=UTC)
    assert from_ns(instant_ns(when)) == when


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (0, 0),
        (1, 1_000_000_000),
        (1.9, 1_900_000_000 - 1),  # the float is a little less than 1.9
        (0.25, 250_000_000),
        (timedelta(seconds=1.9), 1_900_000_000),
        (timedelta(days=365, microseconds=1), 31_536_000_000_001_000),
        (2**31, 2**31 * 1_000_000_000),
    ],
)
def test_durations_are_exact(delay: float | timedelta, expected: int) -> None:
    """Seconds as they were given."""
    assert abs(duration_ns(delay) - expected) <= 1
    assert isinstance(duration_ns(delay), int)


@pytest.mark.parametrize(
    "delay", [-1, -0.001, timedelta(microseconds=-1), math.inf, math.nan, "1", None, True]
)
def test_what_is_no_duration(delay: object) -> None:
    """Negative above all."""
    with pytest.raises(ConfigError, match="delay"):
        duration_ns(delay)


@pytest.mark.parametrize("when", [datetime(2100, 1, 1), 5, None, "tomorrow"])  # noqa: DTZ001 - that is the point
def test_what_is_no_instant(when: object) -> None:
    """A naive datetime does not say which one it means."""
    with pytest.raises(ConfigError, match="aware"):
        instant_ns(when)

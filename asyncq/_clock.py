"""Time at the door: what users may give, turned into floats once.

Inside asyncq a duration is a `float` of seconds and an instant is a `float` of Unix
seconds. At the door durations are seconds or a `timedelta`, and instants are aware
datetimes. A naive datetime is refused, since nobody can say which instant it means.
"""

from __future__ import annotations

import math
import re
import time
from datetime import UTC, datetime, timedelta

from asyncq.errors import ConfigError

__all__ = ["from_unix", "now", "parse_duration", "seconds", "unix"]

DURATION = "zero or a positive number of seconds, or a timedelta"
INSTANT = (
    "an aware datetime such as datetime.now(UTC) + timedelta(hours=1); "
    "a naive one does not say which instant it means"
)

# The last whole second that a datetime can hold (the fraction would round up to the
# year 10000).
_LAST_INSTANT = 253_402_300_799.0

_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,  # micro sign
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


def now() -> float:
    """Return the wall clock of this machine, in Unix seconds.

    Redis' clock is the authority for leases and due times; this one is for what is
    only shown, and for telling "in the past" at the door.
    """
    return time.time()


def duration_of(value: object) -> float | None:
    """Return `value` in seconds, or None if it is no duration that can be meant.

    Zero and `math.inf` are durations; whether they make sense is for the option to say.
    """
    if isinstance(value, timedelta):
        result = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            result = float(value)
        except OverflowError:
            return None
    else:
        return None
    # Written so that nan, which compares false with everything, is refused too.
    return result if result >= 0.0 else None


def seconds(value: float | timedelta, *, name: str) -> float:
    """Return a duration in seconds.

    Args:
        value: Seconds or a `timedelta`, zero or more. `math.inf` passes.
        name: The option, for the error text.

    Raises:
        ConfigError: It is negative, not a number, or something else altogether.
    """
    result = duration_of(value)
    if result is None:
        raise ConfigError(name, value, DURATION)
    return result


def instant_of(value: object) -> float | None:
    """Return `value` in Unix seconds, or None if it is not an aware datetime."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        return None
    return value.timestamp()


def unix(value: datetime, *, name: str) -> float:
    """Return an instant in Unix seconds.

    Args:
        value: An aware datetime, in whatever zone.
        name: The option, for the error text.

    Raises:
        ConfigError: It is a naive datetime, or not a datetime.
    """
    result = instant_of(value)
    if result is None:
        raise ConfigError(name, value, INSTANT)
    return result


def from_unix(value: float) -> datetime:
    """Return an instant in Unix seconds as an aware datetime in UTC.

    What lies beyond the year 9999, or `math.inf`, is shown as the last instant.
    """
    return datetime.fromtimestamp(min(value, _LAST_INSTANT), UTC)


def parse_duration(text: str, *, name: str = "duration") -> float:
    """Return the seconds of a duration as Go writes it: `1h30m`, `1.5s`, `300ms`.

    Args:
        text: Numbers, each with a unit out of ns, us, ms, s, m, h.
        name: The option, for the error text.

    Raises:
        ConfigError: It is not written that way, or is negative.
    """
    rest = text.removeprefix("+")
    if rest == "0":
        return 0.0
    total = 0.0
    position = 0
    while part := _PART.match(rest, position):
        total += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    if not position or position != len(rest) or not math.isfinite(total):
        raise ConfigError(name, text, 'a duration such as "90s", "1h30m" or "300ms"')
    return total

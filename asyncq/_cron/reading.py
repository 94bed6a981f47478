"""Reads specs: what people write becomes a schedule, or an error that says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, cast

from asyncq._checks import near_misses
from asyncq._clock import INSTANT, duration_of, parse_duration
from asyncq._cron.calendar import CronSchedule
from asyncq._cron.fields import read_fields
from asyncq._cron.schedule import IntervalSchedule, OnceSchedule, Schedule
from asyncq._cron.zones import time_zone
from asyncq.errors import ConfigError, Problem

_ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY: Final = "@every"
_AT: Final = "@at"
_EXPECTED: Final = (
    'five fields such as "*/15 9-17 * * mon-fri", "@daily", "@every 1h30m", a timedelta, or an aware datetime'
)
# asynq's limit. What has to run more often is no periodic task but a loop.
_SHORTEST_INTERVAL: Final = 1.0
_LONGEST_SPEC: Final = 1000
_ZONE: Final = re.compile(r"(?:CRON_)?TZ=(\S*)\s+")


def parse(spec: str | timedelta | datetime, timezone: str | tzinfo = UTC) -> Schedule:
    """Return the schedule that `spec` describes.

    Args:
        spec: Five cron fields (minute, hour, day of month, month, day of week), or six with the
            second before them, with names, ranges, steps, lists, `L` and `#`; `@hourly` to
            `@yearly`; `@every 1h30m` or a `timedelta`; an aware datetime or `@at` and such a time
            in ISO 8601 for once. `CRON_TZ=Zone ` before it names a time zone of its own.
        timezone: The time zone where the spec names none.

    Raises:
        ConfigError: It cannot be read, or would never be due.
    """
    given = cast("object", spec)
    if isinstance(given, timedelta):
        return _interval(f"{_EVERY} {_in_seconds(given)}", given, time_zone(timezone))
    if isinstance(given, datetime):
        return _once(given, given)
    if not isinstance(given, str) or not given.strip():
        raise ConfigError("spec", given, _EXPECTED)
    text = given.strip()
    if len(text) > _LONGEST_SPEC:
        raise ConfigError("spec", given, f"no more than {_LONGEST_SPEC} characters")
    prefix = _ZONE.match(text)
    problems: list[Problem] = []
    zone: tzinfo = UTC
    try:
        zone = time_zone(prefix[1] if prefix else timezone)
    except ConfigError as error:
        problems += [Problem("spec", given, f"{error.expected} after TZ=")] if prefix else error.problems
    try:
        schedule = _read(given, text[prefix.end() :] if prefix else text, zone)
    except ConfigError as error:
        problems += error.problems
        raise ConfigError.of(problems) from None
    if problems:
        raise ConfigError.of(problems)
    return schedule


# Of a hundred thousand entries most have their spec in common with others; croniter needs a sixth of a
# millisecond for each.
@lru_cache(maxsize=4096)
def _read(spec: str, text: str, zone: tzinfo) -> Schedule:
    return _named(spec, text, zone) if text.startswith("@") else _cron(spec, text, zone)


def _named(spec: str, text: str, zone: tzinfo) -> Schedule:
    """Read what begins with an `@`."""
    word, _, rest = text.partition(" ")
    word, rest = word.lower(), rest.strip()
    if word == _EVERY:
        try:
            return _interval(spec, parse_duration(rest), zone)
        except ConfigError as error:
            hint = "; a day is 24h" if rest.endswith("d") else ""
            raise ConfigError("spec", spec, f"{error.expected} after {_EVERY}{hint}") from None
    if word == _AT:
        try:
            return _once(spec, datetime.fromisoformat(rest))
        except ValueError:
            raise ConfigError("spec", spec, f"a time such as 2027-01-31T18:30:00+01:00 after {_AT}") from None
    if rest or word not in _ALIASES:
        known = [*_ALIASES, _EVERY, _AT]
        near = near_misses(word, known)[:1]
        hint = f"did you mean {near[0]!r}?" if near and near[0] != word else f"there are {', '.join(known)}"
        raise ConfigError("spec", spec, f"a word that asyncq knows, and no more than that; {hint}")
    return _cron(spec, _ALIASES[word], zone)


def _interval(spec: str, interval: float | timedelta, zone: tzinfo) -> IntervalSchedule:
    length = duration_of(interval)
    if length is None or length < _SHORTEST_INTERVAL:
        raise ConfigError("spec", spec, "an interval of one second or more")
    try:
        exact = interval if isinstance(interval, timedelta) else timedelta(seconds=length)
    except OverflowError:
        raise ConfigError("spec", spec, "an interval that a timedelta can hold") from None
    return IntervalSchedule(spec, exact, zone)


def _once(spec: object, at: datetime) -> OnceSchedule:
    if at.utcoffset() is None:
        raise ConfigError("spec", spec, INSTANT)
    try:
        instant = at.astimezone(UTC)
    except OverflowError:
        raise ConfigError("spec", spec, "a time between the years 1 and 9999 in UTC") from None
    # In UTC, so that one instant has one text, wherever it was written.
    return OnceSchedule(f"{_AT} {instant.isoformat()}", instant)


def _cron(spec: str, text: str, zone: tzinfo) -> CronSchedule:
    times = read_fields(text.split())
    if isinstance(times, list):
        raise ConfigError.of(_problems(spec, times))
    schedule = CronSchedule(spec=spec, zone=zone, **times._asdict())
    if not schedule.is_possible:
        raise ConfigError("spec", spec, "a date that exists; this one never comes")
    return schedule


def _problems(spec: str, wrong: Sequence[str]) -> list[Problem]:
    return [Problem("spec", spec, why) for why in wrong]


def _in_seconds(interval: timedelta) -> str:
    """Return an interval so that it can be read again: all digits, and no more than are needed."""
    text = f"{interval // timedelta(seconds=1)}.{interval.microseconds:06}"
    return f"{text.rstrip('0').rstrip('.')}s"

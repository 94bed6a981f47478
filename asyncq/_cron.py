"""When a periodic task is due: cron expressions and intervals, right across clock changes.

croniter reads the expression, and we walk the calendar ourselves, since croniter steps
wrongly where clocks change (seen against cronsim: 48 of 315 cases around the transitions
of a year). The rules are those of Debian's cron:

- A job at a *fixed time* (neither minute nor hour begins with `*`) runs once on each of its
  days: at the first of two equal times when clocks go back, and at the end of the gap
  when they go forward over its time.
- Any other job follows *elapsed* time: it runs whenever the clock on the wall shows one of
  its times, so twice in an hour that is repeated and not at all in one that is skipped.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final, Protocol, cast
from zoneinfo import ZoneInfo

from croniter import croniter
from croniter.croniter import CroniterError

from asyncq._clock import duration_of, parse_duration
from asyncq.errors import ConfigError

__all__ = ["CronSchedule", "IntervalSchedule", "Schedule", "parse", "time_zone"]

_ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EXPECTED = 'five fields such as "*/15 9-17 * * mon-fri", "@daily", or "@every 1h30m"'
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
# From 2096 to 2104 is the longest wait that there is: for a 29th of February.
_HORIZON = timedelta(days=8 * 366 + 31)
# asynq's limit. What has to run more often is no periodic task but a loop.
_SHORTEST_INTERVAL = 1.0
_LAST = "l"
# A day of minutes. Whoever was away for longer is not told to the minute what was missed.
_MOST_LATE = 1440


class Schedule(Protocol):
    """Says when a periodic task is due."""

    @property
    def spec(self) -> str:
        """The text it was made of."""
        ...

    @property
    def zone(self) -> tzinfo:
        """The time zone it is reckoned in."""
        ...

    @property
    def gap(self) -> float:
        """Seconds between two times where that says when the next one is; 0 for times on a calendar."""
        ...

    def next(self, after: datetime) -> datetime | None:
        """Return the first instant after `after`, in UTC. None if there is none."""
        ...

    def latest(self, nominal: datetime, now: datetime) -> datetime:
        """Return the last time that is due at `now`, in the row that `nominal`, no later, is of."""
        ...

    def following(self, nominal: datetime, now: datetime) -> datetime | None:
        """Return the first time after `nominal` and `now` in the row that `nominal` is of."""
        ...


@dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """Due again and again after the same time, counted from when the last run was due."""

    spec: str
    interval: timedelta
    zone: tzinfo = UTC

    @property
    def gap(self) -> float:
        """The interval in seconds."""
        return self.interval.total_seconds()

    def next(self, after: datetime) -> datetime | None:
        """Return `after` plus the interval, in UTC."""
        try:
            return after.astimezone(UTC) + self.interval
        except OverflowError:
            return None

    def latest(self, nominal: datetime, now: datetime) -> datetime:
        """Return the last time that is due at `now`, in the row that `nominal` is of."""
        return nominal + (now - nominal) // self.interval * self.interval

    def following(self, nominal: datetime, now: datetime) -> datetime | None:
        """Return the next time of the row: being late once does not make all later runs late."""
        return self.next(self.latest(nominal, now) if now > nominal else nominal)


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """Due at the times of a cron expression, by the clocks of one time zone."""

    spec: str
    zone: tzinfo
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    days: frozenset[int] | None
    """Days of the month; None for any. The last day of each month is `has_last_day`."""
    has_last_day: bool
    weekdays: frozenset[int] | None
    """Days of the week from Sunday, 0, on which it runs every week; None for any."""
    nth_weekdays: frozenset[tuple[int, int]]
    """Weekday and which one of the month: (5, 2) is the second Friday, (5, 0) the last."""
    is_fixed_time: bool
    """Tell whether it runs once a day at its times, whatever clocks do."""

    @property
    def gap(self) -> float:
        """None: the calendar says when the next time is."""
        return 0.0

    def next(self, after: datetime) -> datetime | None:
        """Return the first instant after `after`, in UTC. None if there is none."""
        start = after.astimezone(UTC)
        try:
            return self._next_fixed(start) if self.is_fixed_time else self._next_elapsed(start)
        except OverflowError:  # the end of the calendar
            return None

    def latest(self, nominal: datetime, now: datetime) -> datetime:
        """Return the last time that is due at `now`; an earlier one when there are very many."""
        for _ in range(_MOST_LATE):
            later = self.next(nominal)
            if later is None or later > now:
                return nominal
            nominal = later
        return nominal

    def following(self, nominal: datetime, now: datetime) -> datetime | None:
        """Return the first time after both; a clock that was set back does not make a time come twice."""
        return self.next(max(nominal, now))

    def _next_fixed(self, after: datetime) -> datetime | None:
        """Walk the days, and map each time on the wall to one instant."""
        # A day earlier, as clocks that go back over midnight repeat a part of it.
        first = after.astimezone(self.zone).date() - _DAY
        for day in self._days_from(first):
            for hour in self.hours:
                for minute in self.minutes:
                    instant = self._instant(datetime.combine(day, time(hour, minute)))
                    if instant > after:
                        return instant
        return None

    def _days_from(self, first: date) -> Iterator[date]:
        """Yield the days it runs on."""
        day, end = first, first + _HORIZON
        while day < end:
            if day.month not in self.months:
                day = _first_of_next_month(day)
                continue
            if self._runs_on(day):
                yield day
            day += _DAY

    def _instant(self, wall: datetime) -> datetime:
        """Return the instant at which clocks first show `wall`, or first show something later."""
        while True:
            instant = wall.replace(tzinfo=self.zone).astimezone(UTC)
            if instant.astimezone(self.zone).replace(tzinfo=None, fold=0) == wall:
                return instant
            wall += _MINUTE  # in the gap: there is no such time on this day

    def _next_elapsed(self, after: datetime) -> datetime | None:
        """Walk elapsed minutes, in leaps over what cannot match."""
        instant = after.replace(second=0, microsecond=0) + _MINUTE
        end = instant + _HORIZON
        while instant < end:
            wall = instant.astimezone(self.zone)
            leaps = self._leaps(wall)
            if not leaps:
                return instant
            offset = wall.utcoffset()
            # A leap is reckoned by the clock on the wall, so it is only good if the
            # clock does not change on the way. The last one is a minute: it is tried
            # where nothing longer is safe.
            for leap in leaps:
                target = instant + leap
                if leap == _MINUTE or target.astimezone(self.zone).utcoffset() == offset:
                    instant = target
                    break
        return None

    def _leaps(self, wall: datetime) -> list[timedelta]:
        """Return how far the next match is at least, the longest guess first; none for a match."""
        day = wall.date()
        to_hour = timedelta(minutes=60 - wall.minute)
        to_midnight = timedelta(minutes=(24 - wall.hour) * 60 - wall.minute)
        if wall.month not in self.months:
            to_month = _first_of_next_month(day) - day - _DAY + to_midnight
            return [to_month, to_midnight, to_hour, _MINUTE]
        if not self._runs_on(day):
            return [to_midnight, to_hour, _MINUTE]
        if wall.hour not in self.hours:
            return [to_hour, _MINUTE]
        if wall.minute not in self.minutes:
            later = next((minute for minute in self.minutes if minute > wall.minute), 60)
            return [timedelta(minutes=later - wall.minute), _MINUTE]
        return []

    def _runs_on(self, day: date) -> bool:
        """Tell whether the day matches. Month day and weekday, if both are limited: either will do."""
        any_day = self.days is None and not self.has_last_day
        any_weekday = self.weekdays is None and not self.nth_weekdays
        if any_day and any_weekday:
            return True
        in_month = not any_day and (
            (self.days is not None and day.day in self.days)
            or (self.has_last_day and (day + _DAY).month != day.month)
        )
        return in_month or (not any_weekday and self._is_weekday(day))

    def _is_weekday(self, day: date) -> bool:
        weekday = day.isoweekday() % 7
        if self.weekdays is not None and weekday in self.weekdays:
            return True
        if not self.nth_weekdays:
            return False
        is_last = (day + timedelta(days=7)).month != day.month
        which = (day.day - 1) // 7 + 1
        return (weekday, which) in self.nth_weekdays or (is_last and (weekday, 0) in self.nth_weekdays)


def parse(spec: str | timedelta, timezone: str | tzinfo = UTC) -> Schedule:
    """Return the schedule that `spec` describes.

    Args:
        spec: Five cron fields (minute, hour, day of month, month, day of week) with names,
            ranges, steps, lists, `L` and `#`; `@hourly` to `@yearly`; `@every 1h30m`; or a
            `timedelta`. `CRON_TZ=Zone ` before it names a time zone of its own.
        timezone: The time zone where the spec names none.

    Raises:
        ConfigError: It cannot be read, or would never be due.
    """
    if isinstance(spec, timedelta):
        return _interval(f"@every {spec.total_seconds():g}s", spec, time_zone(timezone))
    if not isinstance(cast("object", spec), str):
        raise ConfigError("spec", spec, _EXPECTED)
    text = spec.strip()
    if prefix := re.match(r"(?:CRON_)?TZ=(\S+)\s+", text):
        zone, text = time_zone(prefix[1]), text[prefix.end() :]
    else:
        zone = time_zone(timezone)
    if text.lower().startswith("@every"):
        interval = parse_duration(text[len("@every") :].strip(), name="spec")
        return _interval(spec, interval, zone)
    schedule = _cron(spec, _ALIASES.get(text.lower(), text), zone)
    if schedule.next(datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise ConfigError("spec", spec, "a date that exists; this one never comes")
    return schedule


def time_zone(zone: str | tzinfo) -> tzinfo:
    """Return a time zone by its IANA name.

    Raises:
        ConfigError: There is none of this name.
    """
    if isinstance(zone, tzinfo):
        return zone
    try:
        return ZoneInfo(zone)
    # An unknown name, an odd path, and a folder of zones such as "Europe".
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        close = difflib.get_close_matches(str(zone), zoneinfo.available_timezones(), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ' such as "Asia/Shanghai"'
        raise ConfigError("timezone", zone, f"the IANA name of a time zone{hint}") from None


def _interval(spec: str, interval: float | timedelta, zone: tzinfo) -> IntervalSchedule:
    length = duration_of(interval)
    if length is None or length < _SHORTEST_INTERVAL:
        raise ConfigError("spec", spec, "an interval of one second or more")
    try:
        return IntervalSchedule(spec, timedelta(seconds=length), zone)
    except OverflowError:
        raise ConfigError("spec", spec, "an interval that a timedelta can hold") from None


def _cron(spec: str, text: str, zone: tzinfo) -> CronSchedule:
    fields = text.split()
    if len(fields) != 5 or text.startswith("@"):
        raise ConfigError("spec", spec, _EXPECTED)
    # croniter would read these and mean something else: it draws `R` anew at each
    # reading, wants a key for `H`, and forgets `W`.
    if re.search(r"(?i)(?<![a-z])[rh](?![a-z])|(?<![a-z])\d*l?w(?![a-z])", text):
        raise ConfigError("spec", spec, "no R, H or W; asyncq does not have them")
    try:
        expanded, nth = croniter.expand(text)
    # Its own errors are ValueErrors; others slip through for some malformed fields.
    except (CroniterError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise ConfigError("spec", spec, f"{_EXPECTED} ({error})") from error
    minutes, hours, days, months, weekdays = (cast("list[Any]", field) for field in expanded)
    counted = cast("dict[int, set[Any]]", nth)
    return CronSchedule(
        spec=spec,
        zone=zone,
        minutes=tuple(_numbers(minutes, range(60))),
        hours=tuple(_numbers(hours, range(24))),
        months=frozenset(_numbers(months, range(1, 13))),
        days=_limited(days, set()),
        has_last_day=_LAST in days,
        weekdays=_limited(weekdays, set(counted)),
        nth_weekdays=frozenset(
            (weekday, 0 if which == _LAST else int(which))
            for weekday, all_of_it in counted.items()
            for which in all_of_it
        ),
        is_fixed_time=not fields[0].startswith("*") and not fields[1].startswith("*"),
    )


def _numbers(expanded: list[Any], everything: range) -> list[int]:
    """Return the numbers of a field, in order."""
    return list(everything) if "*" in expanded else sorted(n for n in expanded if n != _LAST)


def _limited(expanded: list[Any], elsewhere: set[int]) -> frozenset[int] | None:
    """Return the days of a field that are not counted `elsewhere`; None if there is no limit."""
    if "*" in expanded:
        return None
    rest = frozenset(n for n in expanded if n != _LAST and n not in elsewhere)
    return rest or None


def _first_of_next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)

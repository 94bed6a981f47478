"""Cron expressions: due when the clock on the wall shows one of their times."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple

from asyncq._cron.clocks import Clocks, clocks_around, offset_at

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)
# The longest wait there is: a 29th of February that is a Monday, from 2072 to 2112, as 2100 is no
# leap year.
_HORIZON: Final = 41 * 366
# With a leap day.
_LENGTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_HOURS_A_DAY: Final = 24


class _Stretch(NamedTuple):
    """A part of a date on which clocks run evenly."""

    start: datetime  #: what clocks show first, naive
    end: datetime  #: what they show when it is over
    offset: timedelta


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """Due at the times of a cron expression, by the clocks of one time zone."""

    spec: str
    zone: tzinfo
    seconds: tuple[int, ...]
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

    @property
    def is_possible(self) -> bool:
        """Tell whether there is such a date: a 30th of February is none."""
        # Each weekday comes in each month, and a fifth one in leap years even in February.
        if self.days is None or self.has_last_day or self.weekdays is not None or self.nth_weekdays:
            return True
        return min(self.days) <= max(_LENGTHS[month - 1] for month in self.months)

    def next(self, after: datetime) -> datetime | None:
        """Return the first instant after `after`. None if there is none."""
        start = after.astimezone(UTC).replace(tzinfo=None)
        try:
            found = self._next(start)
        except OverflowError:  # the end of the calendar
            return None
        return None if found is None else found.replace(tzinfo=UTC)

    def previous(self, before: datetime) -> datetime | None:
        """Return the last instant before `before`. None if there is none."""
        end = before.astimezone(UTC).replace(tzinfo=None)
        try:
            found = self._previous(end)
        except OverflowError:  # the beginning of the calendar
            return None
        return None if found is None else found.replace(tzinfo=UTC)

    def between(self, after: datetime, until: datetime, *, row: datetime | None = None) -> Iterator[datetime]:
        """Yield the times that come after `after` and no later than `until`. `row` is for intervals."""
        del row
        at = self.next(after)
        while at is not None and at <= until:
            yield at
            at = self.next(at)

    def count(self, after: datetime, until: datetime, *, row: datetime | None = None) -> int:
        """Return how many times come after `after` and no later than `until`. `row` is for intervals.

        Dates on which clocks run evenly are counted as a whole, so a year of minutes takes milliseconds.
        """
        del row
        each_day = len(self.hours) * len(self.minutes) * len(self.seconds)
        total, at = 0, after
        while at < until:
            here = at.astimezone(UTC).replace(tzinfo=None)
            day = (here + offset_at(self.zone, here)).date() + _DAY
            clocks = clocks_around(self.zone, day)
            before_midnight = datetime.combine(day, time(), UTC) - clocks.offset - _MICROSECOND
            if clocks.change is not None or before_midnight <= at:
                end = min(at + _DAY, until)
            else:
                end = min(before_midnight, until)
            total += sum(1 for _ in self.between(at, end))
            at = end
            while at + _DAY <= until and clocks_around(self.zone, day).change is None:
                total += each_day if self._is_date(day) else 0
                at, day = at + _DAY, day + _DAY
        return total

    def latest(self, nominal: datetime, now: datetime) -> datetime:
        """Return the last time that is due at `now`, and `nominal` if there is none after it."""
        last = self.previous(now + _MICROSECOND)
        return nominal if last is None else max(nominal, last)

    def following(self, nominal: datetime, now: datetime) -> datetime | None:
        """Return the first time after both; a clock that was set back does not make a time come twice."""
        return self.next(max(nominal, now))

    # Below, all instants are in UTC and all datetimes naive. What clocks show is called a wall.

    def _next(self, after: datetime) -> datetime | None:
        first = (after + offset_at(self.zone, after)).date()
        if clocks_around(self.zone, first).change is not None:
            first -= _DAY  # clocks that go back over midnight show a part of that date again
        for day in self._dates_from(first, _DAY):
            found = self._around(day, day + _DAY, self._first_of, after)
            if found:
                return min(found)
        return None

    def _previous(self, before: datetime) -> datetime | None:
        last = (before + offset_at(self.zone, before)).date()
        if clocks_around(self.zone, last).change is not None:
            last += _DAY
        for day in self._dates_from(last, -_DAY):
            found = self._around(day, day - _DAY, self._last_of, before)
            if found:
                return max(found)
        return None

    def _around(
        self,
        day: date,
        neighbour: date,
        look: Callable[[date, Clocks, datetime], Iterator[datetime]],
        at: datetime,
    ) -> list[datetime]:
        """Look at a date and, where clocks may have shown parts of it and its neighbour in turn, at both."""
        clocks = clocks_around(self.zone, day)
        found = [*look(day, clocks, at)]
        if found and clocks.change is not None and self._is_date(neighbour):
            found += look(neighbour, clocks_around(self.zone, neighbour), at)
        return found

    def _first_of(self, day: date, clocks: Clocks, after: datetime) -> Iterator[datetime]:
        """Yield the first instant after `after` in each stretch of a date."""
        for stretch in self._stretches(day, clocks):
            earliest = (after + stretch.offset).replace(microsecond=0) + _SECOND
            wall = self._at_or_after(max(earliest, stretch.start))
            if wall is not None and wall < stretch.end:
                yield wall - stretch.offset
        if clocks.change is not None and clocks.change > after and self._makes_up(day, clocks):
            yield clocks.change

    def _last_of(self, day: date, clocks: Clocks, before: datetime) -> Iterator[datetime]:
        """Yield the last instant before `before` in each stretch of a date."""
        for stretch in self._stretches(day, clocks):
            latest = (before + stretch.offset - _MICROSECOND).replace(microsecond=0)
            wall = self._at_or_before(min(latest, stretch.end - _SECOND))
            if wall is not None and wall >= stretch.start:
                yield wall - stretch.offset
        if clocks.change is not None and clocks.change < before and self._makes_up(day, clocks):
            yield clocks.change

    def _stretches(self, day: date, clocks: Clocks) -> list[_Stretch]:
        """Return the stretches of a date in which its times count; they may be empty."""
        start = datetime.combine(day, time())
        end = start + _DAY
        if clocks.change is None:
            return [_Stretch(start, end, clocks.offset)]
        turned, then = clocks.change + clocks.offset, clocks.change + clocks.later
        # What clocks show a second time does not count for a fixed time.
        again = max(turned, then) if self.is_fixed_time else then
        return [
            _Stretch(start, min(end, turned), clocks.offset),
            _Stretch(max(start, again), end, clocks.later),
        ]

    def _makes_up(self, day: date, clocks: Clocks) -> bool:
        """Tell whether it runs at the end of a gap, for times of this date that clocks do not show."""
        # What runs in each hour loses none: an hour that no clock shows is an hour that nobody lived.
        if clocks.gap is None or (not self.is_fixed_time and len(self.hours) == _HOURS_A_DAY):
            return False
        start, end = clocks.gap
        midnight = datetime.combine(day, time())
        wall = self._at_or_after(max(start, midnight))
        return wall is not None and wall < min(end, midnight + _DAY)

    def _at_or_after(self, wall: datetime) -> datetime | None:
        """Return the first of its times on the date of `wall` that is no earlier."""
        for hour in self.hours[bisect_left(self.hours, wall.hour) :]:
            if hour > wall.hour:
                return wall.replace(hour=hour, minute=self.minutes[0], second=self.seconds[0])
            for minute in self.minutes[bisect_left(self.minutes, wall.minute) :]:
                if minute > wall.minute:
                    return wall.replace(minute=minute, second=self.seconds[0])
                second = bisect_left(self.seconds, wall.second)
                if second < len(self.seconds):
                    return wall.replace(second=self.seconds[second])
        return None

    def _at_or_before(self, wall: datetime) -> datetime | None:
        """Return the last of its times on the date of `wall` that is no later."""
        for hour in reversed(self.hours[: bisect_right(self.hours, wall.hour)]):
            if hour < wall.hour:
                return wall.replace(hour=hour, minute=self.minutes[-1], second=self.seconds[-1])
            for minute in reversed(self.minutes[: bisect_right(self.minutes, wall.minute)]):
                if minute < wall.minute:
                    return wall.replace(minute=minute, second=self.seconds[-1])
                second = bisect_right(self.seconds, wall.second)
                if second:
                    return wall.replace(second=self.seconds[second - 1])
        return None

    def _dates_from(self, first: date, step: timedelta) -> Iterator[date]:
        """Yield the dates it runs on, from `first` on or back."""
        day, start = first, first.toordinal()
        while abs(day.toordinal() - start) < _HORIZON:
            if day.month not in self.months:
                day = _other_month(day, step)
                continue
            if self._runs_on(day):
                yield day
            day += step

    def _is_date(self, day: date) -> bool:
        return day.month in self.months and self._runs_on(day)

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


def _other_month(day: date, step: timedelta) -> date:
    """Return the first day of the next month or, going back, the last day of the month before."""
    first = day.replace(day=1)
    return (first + timedelta(days=32)).replace(day=1) if step > timedelta(0) else first - _DAY

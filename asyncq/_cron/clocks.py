"""Where the clock on the wall jumps."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

# No clock is a day or more away from UTC (Python does not allow it), so what one can show on
# a date lies between a day before and a day after that date in UTC.
_AROUND: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_ZERO: Final = timedelta(0)


class Clocks(NamedTuple):
    """How far the clocks of a zone are ahead of UTC around one date."""

    offset: timedelta  #: before the change, or all the time
    later: timedelta  #: after the change
    change: datetime | None  #: the first instant of `later`, in naive UTC; None where clocks run through

    @property
    def gap(self) -> tuple[datetime, datetime] | None:
        """What the clocks never show: from the first such time to the one they show instead."""
        if self.change is None or self.later <= self.offset:
            return None
        return self.change + self.offset, self.change + self.later


def clocks_around(zone: tzinfo, day: date) -> Clocks:
    """Return how clocks go around a date, as they show it.

    Looks at three days. In all of tzdata no zone has ever changed twice within four days less half an
    hour, as Freetown did in 1939 (tests/unit/test_cron_zones.py looks), so there is one change at most.
    """
    if isinstance(zone, timezone):
        return Clocks(zone.utcoffset(None), zone.utcoffset(None), None)
    return _looked_up(zone, day)


# Many entries have few zones, and are due within few days.
@lru_cache(maxsize=1024)
def _looked_up(zone: tzinfo, day: date) -> Clocks:
    midnight = datetime.combine(day, time())
    start, end = midnight - _AROUND, midnight + 2 * _AROUND
    before, after = offset_at(zone, start), offset_at(zone, end)
    return Clocks(before, after, None if before == after else _change(zone, start, end))


def offset_at(zone: tzinfo, instant: datetime) -> timedelta:
    """Return how far clocks are ahead of UTC at an instant in naive UTC."""
    if isinstance(zone, timezone):
        return zone.utcoffset(None)
    # Only from UTC to the zone, which every tzinfo can do: the way back is where they differ.
    return instant.replace(tzinfo=UTC).astimezone(zone).utcoffset() or _ZERO


def _change(zone: tzinfo, start: datetime, end: datetime) -> datetime:
    """Return the first second after `start` at which the offset is another; there is one by `end`."""
    before = offset_at(zone, start)
    low, high = 0, (end - start) // _SECOND
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(zone, start + middle * _SECOND) == before:
            low = middle
        else:
            high = middle
    return start + high * _SECOND

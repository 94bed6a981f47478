"""What every schedule can say, and the two kinds that go by real time: again and again, and once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol


class Schedule(Protocol):
    """Says when a periodic task is due. All instants that it returns are in UTC."""

    @property
    def spec(self) -> str:
        """The text it was made of; read again, it makes an equal schedule."""
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
        """Return the first instant after `after`; None if there is none. An interval counts from `after`."""
        ...

    def previous(self, before: datetime) -> datetime | None:
        """Return the last instant before `before`; None if there is none. An interval counts back from it."""
        ...

    def between(self, after: datetime, until: datetime, *, row: datetime | None = None) -> Iterator[datetime]:
        """Yield the times that come after `after` and no later than `until`, in order and one at a time.

        Args:
            after: What was due then is not among them.
            until: What is due then is.
            row: One of the times of an interval, to count from; `after` when not given.
        """
        ...

    def count(self, after: datetime, until: datetime, *, row: datetime | None = None) -> int:
        """Return how many times `between` would yield, without a look at each of them."""
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
        """Return `after` plus the interval."""
        try:
            return after.astimezone(UTC) + self.interval
        except OverflowError:  # the end of the calendar
            return None

    def previous(self, before: datetime) -> datetime | None:
        """Return `before` minus the interval."""
        try:
            return before.astimezone(UTC) - self.interval
        except OverflowError:
            return None

    def between(self, after: datetime, until: datetime, *, row: datetime | None = None) -> Iterator[datetime]:
        """Yield the times of a row that come after `after` and no later than `until`."""
        start = after if row is None else row
        at = self.next(start + (after - start) // self.interval * self.interval)
        while at is not None and at <= until:
            yield at
            at = self.next(at)

    def count(self, after: datetime, until: datetime, *, row: datetime | None = None) -> int:
        """Return how many times of a row come after `after` and no later than `until`."""
        start = after if row is None else row
        return max(0, (until - start) // self.interval - (after - start) // self.interval)

    def latest(self, nominal: datetime, now: datetime) -> datetime:
        """Return the last time that is due at `now`, in the row that `nominal` is of."""
        return nominal + (now - nominal) // self.interval * self.interval

    def following(self, nominal: datetime, now: datetime) -> datetime | None:
        """Return the next time of the row: being late once does not make all later runs late."""
        return self.next(self.latest(nominal, now) if now > nominal else nominal)


@dataclass(frozen=True, slots=True)
class OnceSchedule:
    """Due at one instant and never again."""

    spec: str
    at: datetime
    zone: tzinfo = UTC

    @property
    def gap(self) -> float:
        """None: there is one time only."""
        return 0.0

    def next(self, after: datetime) -> datetime | None:
        """Return the instant while it is to come."""
        return self.at if after < self.at else None

    def previous(self, before: datetime) -> datetime | None:
        """Return the instant when it has passed."""
        return self.at if self.at < before else None

    def between(self, after: datetime, until: datetime, *, row: datetime | None = None) -> Iterator[datetime]:
        """Yield the instant if it lies there. `row` is for intervals."""
        del row
        if after < self.at <= until:
            yield self.at

    def count(self, after: datetime, until: datetime, *, row: datetime | None = None) -> int:
        """Return 1 if the instant lies there. `row` is for intervals."""
        del row
        return int(after < self.at <= until)

    def latest(self, nominal: datetime, now: datetime) -> datetime:
        """Return `nominal`, as no other time comes after it."""
        return max(nominal, self.at) if self.at <= now else nominal

    def following(self, nominal: datetime, now: datetime) -> datetime | None:
        """Return the instant if it comes after both."""
        return self.next(max(nominal, now))

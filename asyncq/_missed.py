"""What becomes of times of an entry that came and were not enqueued: pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from asyncq._cron import Schedule
from asyncq.entries import Entry

__all__ = ["IN_TIME", "MISSED", "TOO_OLD", "Missed", "longest_delay", "measure", "missed", "span"]

IN_TIME: Final = timedelta(seconds=60)
"""A time that is late by no more was not missed: a deploy takes so long, or a change of the primary."""

REMEMBERED: Final = timedelta(days=30)
"""So long Redis remembers a time at least, and the last one of an entry until the next one is over. So if
nothing is known of an older entry, its last time was not had; of those before it nobody can say."""

MISSED: Final = "missed"
TOO_OLD: Final = "too_old"

_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Missed:
    """What is to be done about the times that came since the last one that is over."""

    passed: datetime | None = None  #: the last of those that nobody will enqueue
    reason: str = ""  #: why they are passed over
    first: datetime | None = None  #: the first to enqueue now
    is_strict: bool = False  #: whether all that come after it are to be enqueued, too, one after the other

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to be done."""
        return self.passed is None and self.first is None


def missed(entry: Entry, last: datetime | None, now: datetime) -> Missed:
    """Apply the rules of an entry to the times that came since the last one that is over.

    Args:
        entry: Whose.
        last: The last time that was enqueued or passed over; `None` when nobody knows.
        now: Until when.
    """
    after = begin_of(entry, last)
    # What its jitter may still put off has not come.
    until = now - timedelta(seconds=entry.rules.jitter)
    if after is None:
        return Missed()
    schedule, rules = entry.schedule, entry.rules
    newest = _last(schedule, after, until)
    if newest is None:
        return Missed()
    is_forgotten = last is None and is_older_than_memory(entry, now)
    if is_forgotten and newest < now - REMEMBERED and schedule.next(newest) is None:
        return Missed()  # the only one there is: it may have been had so long ago that nothing is known of it
    reason = MISSED if rules.catch_up == "skip" else TOO_OLD
    longest = longest_delay(entry)
    limit = None if longest == timedelta.max else until - longest
    if rules.catch_up == "all" and not is_forgotten:
        old = None if limit is None else _last(schedule, after, limit)
        base = after if old is None else old
        first = next(schedule.between(base, until, row=after), None)
        return Missed(old, reason if old else "", first, is_strict=True)
    if limit is not None and newest < limit:
        return Missed(newest, reason)
    return Missed(first=newest)


def is_older_than_memory(entry: Entry, now: datetime) -> bool:
    """Return whether an entry may have had times of which nothing is known any more."""
    return entry.since is not None and entry.since < now - REMEMBERED


def longest_delay(entry: Entry) -> timedelta:
    """Return how late a time of an entry may be enqueued."""
    rules = entry.rules
    if rules.catch_up == "skip":
        return IN_TIME
    return timedelta.max if rules.max_age is None else timedelta(seconds=rules.max_age)


def begin_of(entry: Entry, last: datetime | None) -> datetime | None:
    """Return the moment after which times count: what came before an entry was made is not missed."""
    if last is None or entry.since is None:
        return last or entry.since
    return max(last, entry.since)


def span(entry: Entry, after: datetime | None, last: datetime) -> Iterator[datetime]:
    """Yield the times of an entry after one that is over, or since it was made, until another one."""
    begin = begin_of(entry, after)
    return iter(()) if begin is None else entry.schedule.between(begin, last, row=begin)


def measure(entry: Entry, after: datetime | None, last: datetime) -> tuple[datetime, datetime, int] | None:
    """Return the first and the last of the times that `span` yields, and their number; `None` for none."""
    begin = begin_of(entry, after)
    first = next(span(entry, after, last), None)
    if begin is None or first is None:
        return None
    schedule = entry.schedule
    return first, _last(schedule, begin, last) or first, schedule.count(begin, last, row=begin)


def _last(schedule: Schedule, after: datetime, until: datetime) -> datetime | None:
    """Return the last of the times after a moment until another. An interval counts from the first."""
    if schedule.gap:
        found: datetime | None = schedule.latest(after, until) if until > after else None
        return found if found is not None and found > after else None
    found = schedule.previous(until + _MOMENT)
    return found if found is not None and found > after else None

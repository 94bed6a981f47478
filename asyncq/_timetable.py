"""What is due when: pure, so that a day passes in a test while nobody waits."""

from __future__ import annotations

import hashlib
import heapq
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from asyncq._checks import near_misses
from asyncq._clock import from_unix
from asyncq._cron import Schedule
from asyncq._entry_form import rhythm
from asyncq.entries import Entry
from asyncq.errors import EntryNotFoundError

__all__ = ["Tick", "Timetable"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MOST_REMEMBERED: Final = 10_000
_SLACK: Final = 64
"""Items of the heap that may be out of date, besides as many as there are entries."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One time of one entry that has come."""

    entry: Entry
    nominal: datetime  #: when it was due
    next_at: datetime | None  #: when the entry is due again
    delay: float = 0.0  #: seconds of jitter behind `nominal`
    since: datetime | None = None  #: the time before it; `None` for none


class Timetable:
    """The entries of one scheduler, and their times.

    A heap: what is due is found without a look at what is not. An entry whose time has changed, or
    that is gone, leaves an item behind that is thrown away when it comes up, or when there are many.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._heap: list[tuple[int, int, str]] = []  # when, number of the item, whose
        self._items: dict[str, int] = {}  # the number of the item that is valid
        self._number = 0
        self._steps = _Steps()

    def __contains__(self, entry_id: str) -> bool:
        return entry_id in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, entry_id: str) -> Entry:
        """Return one entry.

        Raises:
            EntryNotFoundError: There is none; with the ids that look like it.
        """
        entry = self._entries.get(entry_id)
        if entry is None:
            raise EntryNotFoundError(entry_id, near_misses(entry_id, self._entries))
        return entry

    def find(self, entry_id: str) -> Entry | None:
        """Return one entry, if it is there."""
        return self._entries.get(entry_id)

    def all(self) -> list[Entry]:
        """Return all entries, in no particular order."""
        return [*self._entries.values()]

    def in_order(self) -> list[Entry]:
        """Return all entries, by their next time; those that are never due again come last."""
        return sorted(
            self._entries.values(),
            key=lambda entry: entry.next_at.timestamp() if entry.next_at is not None else math.inf,
        )

    def upcoming(self, most: int) -> list[Entry]:
        """Return the entries that are due next, in order, without a look at the others."""
        heap, items, found = self._heap, self._items, list[Entry]()
        # What is in the heap comes after what is above it.
        front = [(heap[0], 0)] if heap else []
        while front and len(found) < most:
            (_, number, entry_id), place = heapq.heappop(front)
            if items.get(entry_id) == number:
                found.append(self._entries[entry_id])
            for below in (2 * place + 1, 2 * place + 2):
                if below < len(heap):
                    heapq.heappush(front, (heap[below], below))
        return found

    def add(self, entry: Entry, now: datetime) -> None:
        """Take an entry in, or put it in the place of the one with its id.

        One that has the times of the one before keeps them: only what is enqueued has changed then, and
        the time that is due just now must not be missed for that.
        """
        known = self._entries.get(entry.id)
        self._entries[entry.id] = entry
        if known is not None and rhythm(known.schedule) == rhythm(entry.schedule):
            entry.next_at, entry.last_at = known.next_at, known.last_at
        else:
            entry.next_at = self._steps.next(entry.schedule, now)
        self._put(entry)

    def remove(self, entry_id: str) -> None:
        """Forget an entry.

        Raises:
            EntryNotFoundError: There is none.
        """
        del self._entries[self.get(entry_id).id]
        self._items.pop(entry_id, None)

    def begin(self, now: datetime) -> None:
        """Count from now: what was due before is for those who make up for it."""
        for entry in self._entries.values():
            entry.next_at = self._steps.next(entry.schedule, now)
        self._rebuild()

    def put_back(self, now: datetime) -> None:
        """Find the next times again after the clock was put back: it may have been wrong, and is right now.

        Which of them were had Redis knows.
        """
        for entry in self._entries.values():
            following = self._in_row(entry, now)
            if following is not None and (entry.next_at is None or following < entry.next_at):
                entry.next_at = following
        self._rebuild()

    def go_on(self, now: datetime) -> None:
        """Count from now, as `begin` does; intervals stay in their row, which other schedulers go on with."""
        for entry in self._entries.values():
            entry.next_at = self._in_row(entry, now)
        self._rebuild()

    def _in_row(self, entry: Entry, now: datetime) -> datetime | None:
        schedule, known = entry.schedule, entry.next_at
        if not schedule.gap or known is None:
            return self._steps.next(schedule, now)
        interval = timedelta(seconds=schedule.gap)
        return schedule.next(known + (now - known) // interval * interval)

    def align(self, entry_id: str, last: float, now: datetime) -> None:
        """Reckon an interval from the time that another scheduler, or we before a restart, had last.

        So several schedulers come to the same times, and an interval goes on over a restart: one of a
        day would else never be over where there is a deploy each day.
        """
        entry = self._entries.get(entry_id)
        # A last time that lies far ahead was written by a clock that was wrong; nobody waits for it.
        if entry is None or not 0 < last <= now.timestamp() + entry.schedule.gap:
            return
        entry.next_at = entry.schedule.following(from_unix(last), now)
        self._put(entry)

    def take_due(
        self, now: datetime, most: int | None = None, *, ahead: timedelta = timedelta(0)
    ) -> list[Tick]:
        """Return what is due, the longest first, and move each of it on to its next time.

        Of several times that have passed meanwhile, as in a machine that was asleep, the last one counts.

        Args:
            now: Until when.
            most: How many at the most; what is left is due all the same.
            ahead: Also what comes so much later.
        """
        ticks: list[Tick] = []
        until, heap, items = _micros(now + ahead), self._heap, self._items
        while heap and heap[0][0] <= until and (most is None or len(ticks) < most):
            _, number, entry_id = heapq.heappop(heap)
            entry = self._entries.get(entry_id)
            if entry is not None and entry.next_at is not None and items.get(entry_id) == number:
                ticks.append(self._tick(entry, entry.next_at, now))
        return ticks

    def _tick(self, entry: Entry, nominal: datetime, now: datetime) -> Tick:
        schedule = entry.schedule
        following = self._steps.next(schedule, nominal)
        # The jitter of the following one is not known yet; what is within it may not have come.
        came = now - timedelta(seconds=entry.rules.jitter)
        if following is not None and following <= came:
            nominal = schedule.latest(nominal, came)
            following = schedule.following(nominal, came)
        entry.next_at = following
        delay = _delay(entry, nominal, following)
        self._put(entry)
        return Tick(entry, nominal, following, delay, self._steps.previous(schedule, nominal))

    def wait(self, now: datetime) -> float:
        """Return the seconds until something is due; `math.inf` when nothing will be."""
        first = self.first_due()
        return math.inf if first is None else max(0.0, (first - now).total_seconds())

    def first_due(self) -> datetime | None:
        """Return when something is due next; `None` when nothing will be."""
        heap, items = self._heap, self._items
        while heap and items.get(heap[0][2]) != heap[0][1]:
            heapq.heappop(heap)
        return _EPOCH + heap[0][0] * _MICROSECOND if heap else None

    def _put(self, entry: Entry) -> None:
        if entry.next_at is None:
            self._items.pop(entry.id, None)
            return
        self._number += 1
        self._items[entry.id] = self._number
        heapq.heappush(self._heap, (self._due(entry, entry.next_at), self._number, entry.id))
        if len(self._heap) > 2 * len(self._items) + _SLACK:
            self._rebuild()

    def _rebuild(self) -> None:
        self._heap.clear()
        self._items.clear()
        for number, entry in enumerate(self._entries.values()):
            if entry.next_at is not None:
                self._heap.append((self._due(entry, entry.next_at), number, entry.id))
                self._items[entry.id] = number
        self._number = len(self._entries)
        heapq.heapify(self._heap)

    def _due(self, entry: Entry, nominal: datetime) -> int:
        if not entry.rules.jitter:
            return _micros(nominal)
        delay = _delay(entry, nominal, self._steps.next(entry.schedule, nominal))
        return _micros(nominal) + round(delay * 1e6)


def _micros(moment: datetime) -> int:
    """Return a moment as a whole number: sums of floats would be due a little before they are."""
    return (moment - _EPOCH) // _MICROSECOND


def _delay(entry: Entry, nominal: datetime, following: datetime | None) -> float:
    """Return the jitter of one time: each scheduler comes to the same, and it is over at the next time."""
    longest = entry.rules.jitter
    if not longest:
        return 0.0
    if following is not None:
        longest = min(longest, (following - nominal).total_seconds())
    said = f"{entry.id}\0{nominal.timestamp():.6f}".encode("utf-8", "surrogatepass")
    drawn = int.from_bytes(hashlib.blake2s(said, digest_size=4).digest(), "big")
    return longest * drawn / 2**32


class _Steps:
    """The next times of schedules, each found once: many entries share a few schedules.

    On a calendar the first time after a moment is also the first one after all moments until then.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Schedule, datetime, datetime]] = {}
        self._before: dict[int, tuple[Schedule, datetime, datetime | None]] = {}

    def next(self, schedule: Schedule, after: datetime) -> datetime | None:
        """Return the first time after a moment."""
        if schedule.gap:
            return schedule.next(after)
        known = self._known.get(id(schedule))
        if known is not None and known[0] is schedule and known[1] <= after < known[2]:
            return known[2]
        found = schedule.next(after)
        if found is not None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[id(schedule)] = (schedule, after, found)
        return found

    def previous(self, schedule: Schedule, before: datetime) -> datetime | None:
        """Return the last time before another one."""
        if schedule.gap:
            return schedule.previous(before)
        known = self._before.get(id(schedule))
        if known is not None and known[0] is schedule and known[1] == before:
            return known[2]
        found = schedule.previous(before)
        if len(self._before) >= _MOST_REMEMBERED:
            self._before.clear()
        self._before[id(schedule)] = (schedule, before, found)
        return found

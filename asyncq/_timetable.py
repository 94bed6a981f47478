"""What is due when: pure, so that a day passes in a test while nobody waits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from asyncq._checks import near_misses
from asyncq._clock import from_unix
from asyncq.entries import Entry
from asyncq.errors import EntryNotFoundError

__all__ = ["Changes", "Tick", "Timetable"]


@dataclass(frozen=True, slots=True)
class Tick:
    """One time of one entry that has come."""

    entry: Entry
    nominal: datetime  #: when it was due
    next_at: datetime | None  #: when the entry is due again


@dataclass(frozen=True, slots=True)
class Changes:
    """What a sync changed, by the ids of entries."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()  #: of the same id, and defined otherwise
    kept: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is different now."""
        return bool(self.added or self.removed or self.changed)


class Timetable:
    """The entries of one scheduler, and their times."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

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

    def in_order(self) -> list[Entry]:
        """Return all entries, by their next time; those that are never due again come last."""
        return sorted(
            self._entries.values(),
            key=lambda entry: entry.next_at.timestamp() if entry.next_at is not None else math.inf,
        )

    def add(self, entry: Entry, now: datetime) -> None:
        """Take an entry in, or put it in the place of the one with its id."""
        entry.next_at = entry.schedule.next(now)
        self._entries[entry.id] = entry

    def remove(self, entry_id: str) -> None:
        """Forget an entry.

        Raises:
            EntryNotFoundError: There is none.
        """
        del self._entries[self.get(entry_id).id]

    def replace(self, before: Iterable[str], after: Mapping[str, Entry], now: datetime) -> Changes:
        """Put some entries in the place of others, in one step; what is defined as before keeps its times."""
        old = dict.fromkeys(entry_id for entry_id in before if entry_id in self._entries)
        kept = {
            entry_id
            for entry_id in after
            if entry_id in old and self._entries[entry_id].definition == after[entry_id].definition
        }
        for entry_id in old:
            if entry_id not in after:
                del self._entries[entry_id]
        for entry_id, entry in after.items():
            if entry_id not in kept:
                self.add(entry, now)
        return Changes(
            added=tuple(entry_id for entry_id in after if entry_id not in old),
            removed=tuple(entry_id for entry_id in old if entry_id not in after),
            changed=tuple(entry_id for entry_id in after if entry_id in old and entry_id not in kept),
            kept=tuple(entry_id for entry_id in after if entry_id in kept),
        )

    def begin(self, now: datetime) -> None:
        """Count from now: what was due before is not made up for."""
        for entry in self._entries.values():
            entry.next_at = entry.schedule.next(now)

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

    def take_due(self, now: datetime) -> list[Tick]:
        """Return what is due, and move each of it on to its next time.

        Of several times that have passed meanwhile, as in a machine that was asleep, the last one counts.
        """
        ticks: list[Tick] = []
        for entry in self._entries.values():
            if entry.next_at is None or entry.next_at > now:
                continue
            nominal = entry.schedule.latest(entry.next_at, now)
            entry.next_at = entry.schedule.following(nominal, now)
            ticks.append(Tick(entry, nominal, entry.next_at))
        return ticks

    def wait(self, now: datetime) -> float:
        """Return the seconds until something is due; `math.inf` when nothing will be."""
        due = [entry.next_at for entry in self._entries.values() if entry.next_at is not None]
        return max(0.0, (min(due) - now).total_seconds()) if due else math.inf

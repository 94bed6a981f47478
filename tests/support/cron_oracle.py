"""What the schedules of `_cron` are compared with, around every change of clocks there is.

Two judges. `by_definition` walks real time in steps and looks at the clock on the wall: the rules of
docs/adr/0015 put plainly and slowly. `CronSim` is somebody else's reading of the same rules, and
`explained` turns what it says into what we say by rules that have a name each. Neither uses anything
of ours: the changes of clocks are looked for here again.
"""

from __future__ import annotations

import re
import struct
import zoneinfo
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property, lru_cache
from importlib import resources
from itertools import pairwise, takewhile
from pathlib import Path
from zoneinfo import ZoneInfo

from cronsim import CronSim

from asyncq._cron import parse

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=count) for count in (1, 60, 3600, 86400))
_STEP = 3 * DAY
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Change:
    """One change of the clocks of a zone."""

    at: datetime  #: the first instant of the new offset
    before: timedelta
    after: timedelta

    @property
    def shift(self) -> timedelta:
        """By how much clocks were set forward."""
        return self.after - self.before

    @property
    def turned(self) -> datetime:
        """What clocks would have shown at the change."""
        return (self.at + self.before).replace(tzinfo=None)

    @property
    def is_beside_the_hour(self) -> bool:
        """Whether clocks do not go from a full hour to another."""
        return bool(self.turned.minute or self.shift % HOUR)

    @property
    def odd_hour(self) -> tuple[datetime, datetime]:
        """What clocks leave out, or show twice: from and until."""
        return min(self.turned, self.turned + self.shift), max(self.turned, self.turned + self.shift)


def offset_at(zone: ZoneInfo, instant: datetime) -> timedelta:
    """Return how far clocks are ahead of UTC."""
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def changes_of(zone: ZoneInfo, start: datetime, end: datetime) -> list[Change]:
    """Return all changes of a zone in some years."""
    found: list[Change] = []
    at = start
    while at < end:
        before, after = offset_at(zone, at), offset_at(zone, at + _STEP)
        if before != after:
            low, high = 0, _STEP // SECOND
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (
                    (middle, high) if offset_at(zone, at + middle * SECOND) == before else (low, middle)
                )
            found.append(Change(at + high * SECOND, before, after))
        at += _STEP
    return found


def changes_on_file(name: str) -> list[int]:
    """Return all changes of a zone up to 2037, in Unix seconds, from the file that has them (RFC 8536)."""
    roots = [Path(root) for root in zoneinfo.TZPATH]
    found = next((root / name for root in roots if (root / name).is_file()), None)
    data = (found or resources.files("tzdata") / "zoneinfo" / name).read_bytes()
    header = ">4s16x6l"
    _, utc, standard, leaps, times, types, letters = struct.unpack_from(header, data)
    # The part for old programs, with times of four bytes, is passed over.
    second = struct.calcsize(header) + 5 * times + 6 * types + letters + 8 * leaps + standard + utc
    _, _, _, _, times, _, _ = struct.unpack_from(header, data, second)
    return [*struct.unpack_from(f">{times}q", data, second + struct.calcsize(header))]


def zones_by_changes(start: datetime, end: datetime) -> dict[str, list[Change]]:
    """Return all changes of every zone, those that are equal once, by the first name of each such zone.

    Zones whose clocks show the same all the time are the same zone to a schedule: of about six
    hundred names some sixty are left.
    """
    by_changes: dict[tuple[object, ...], list[str]] = defaultdict(list)
    changes: dict[str, list[Change]] = {}
    for name in sorted(zoneinfo.available_timezones()):
        zone = ZoneInfo(name)
        changes[name] = changes_of(zone, start, end)
        by_changes[offset_at(zone, start), *changes[name]].append(name)
    return {names[0]: changes[names[0]] for names in by_changes.values()}


def on_the_wall(zone: ZoneInfo, instant: datetime) -> datetime:
    """Return what a clock shows."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


@lru_cache(maxsize=4)
def _walk(zone: ZoneInfo, start: datetime, end: datetime, step: timedelta) -> list[tuple[datetime, datetime]]:
    """Return the instants after `start` until `end` in steps, each with what a clock shows."""
    instants = [start + count * step for count in range(1, (end - start) // step + 1)]
    return [(at, on_the_wall(zone, at)) for at in instants]


@dataclass(frozen=True)
class Case:
    """One spec around one change of clocks; `change` is None where clocks run through."""

    spec: str
    zone: ZoneInfo
    start: datetime
    end: datetime
    change: Change | None = None

    @cached_property
    def simulator(self) -> CronSim:
        """Cronsim, which writes `5L` for our `L5`."""
        theirs = re.sub(r"(?i)\bL([0-7])\b", r"\1L", self.spec)
        return CronSim(theirs, self.start.astimezone(self.zone))

    @cached_property
    def of_clock(self) -> list[str]:
        """The fields of the time of day."""
        return self.spec.split()[:-3]

    @property
    def is_fixed(self) -> bool:
        """Whether it has times, and no intervals."""
        return not any(text.startswith("*") for text in self.of_clock)

    @property
    def names_hours(self) -> bool:
        """Whether it is not due in some hours."""
        return len(self.simulator.hours) < 24

    @cached_property
    def _days(self) -> Callable[[date], bool]:
        fields = self.simulator
        return cache(lambda day: day.month in fields.months and fields.match_day(day))

    def matches(self, wall: datetime) -> bool:
        """Whether a clock that shows `wall` shows one of its times, as cronsim reads them."""
        fields = self.simulator
        return (
            wall.minute in fields.minutes
            and wall.hour in fields.hours
            and wall.second in fields.seconds
            and self._days(wall.date())
        )

    def some_in(self, start: datetime, end: datetime) -> bool:
        """Whether one of its times lies from `start` to before `end`, on the wall."""
        step = SECOND if len(self.of_clock) > 2 else MINUTE
        while start < end:
            if self.matches(start):
                return True
            start += step
        return False

    def by_definition(self) -> list[datetime]:
        """Walk real time in steps, and look at the clock."""
        step = SECOND if len(self.of_clock) > 2 else MINUTE
        found: list[datetime] = []
        shown = most = on_the_wall(self.zone, self.start)
        matches, is_fixed, jumps = self.matches, self.is_fixed, self.names_hours
        for at, wall in _walk(self.zone, self.start, self.end, step):
            is_due = matches(wall)
            if is_fixed:
                is_due = wall > most and (is_due or self.some_in(most + step, wall))
                most = max(most, wall)
            elif jumps and wall - shown > step:
                is_due = is_due or self.some_in(shown + step, wall)
            if is_due:
                found.append(at)
            shown = wall
        return found

    def by_cronsim(self) -> list[datetime]:
        """Return what cronsim says."""
        ticks = (tick.astimezone(UTC) for tick in self.simulator)
        return [*takewhile(lambda tick: tick <= self.end, ticks)]


BESIDE_THE_HOUR = "a change that is not from a full hour to another"
MADE_UP = "a gap is made up for"
SIX_FIELDS = "six fields can be fixed times"

#: How cronsim differs, and why.
RULES = {
    BESIDE_THE_HOUR: "Where clocks change by half an hour, or at a quarter to, cronsim's steps of an hour"
    " end where they should not, or never end. Intervals have one judge there, the definition.",
    MADE_UP: "Debian lets intervals miss what clocks leave out, also where that is all there is on this"
    " day. We run them once at the end of the gap, if they are not due in every hour anyway.",
    SIX_FIELDS: "Debian has five fields, and cronsim takes six for intervals, whatever they are. We go by"
    " the stars: a fixed time with a second is one.",
}


def explained(case: Case, ours: list[datetime], seen: Counter[str]) -> bool:
    """Tell whether cronsim says what we say, once each rule of `RULES` that speaks of the case is applied.

    A rule says exactly what we say instead, so that it excuses nothing else. `seen` counts the cases
    in which it made a difference.
    """
    change = case.change
    has_seconds = len(case.of_clock) > 2
    if change is not None and change.is_beside_the_hour and (has_seconds or not case.is_fixed):
        seen[BESIDE_THE_HOUR] += 1
        return True
    theirs = case.by_cronsim()
    if change is not None and change.shift > timedelta(0) and case.some_in(*change.odd_hour):
        rule = SIX_FIELDS if case.is_fixed else MADE_UP
        if change.at not in theirs and (case.is_fixed or case.names_hours):
            seen[rule] += 1
            theirs = sorted({*theirs, change.at})
    elif change is not None and case.is_fixed and has_seconds:
        first = [at for at in theirs if at.astimezone(case.zone).fold == 0]
        seen[SIX_FIELDS] += first != theirs
        theirs = first
    return theirs == ours


def specs_at(change: Change) -> list[str]:
    """Return specs that aim at the hour that a change leaves out, or shows twice."""
    start, end = change.odd_hour
    middle = start + (end - start) / 2
    at = f"{middle.minute} {middle.hour}"
    date = f"{middle.day} {middle.month}"
    return [
        f"{at} * * *",
        f"{at} {date} *",
        f"{start.minute} {start.hour} * * *",
        f"{start.minute},{middle.minute},59 {start.hour},{middle.hour} {date} *",
        f"{end.minute} {end.hour} * * *",
        f"*/7 {middle.hour} * * *",
        f"*/9 {start.hour} {date} *",
        f"{middle.minute} * {date} *",
    ]


def compare(case: Case, seen: Counter[str]) -> None:
    """Compare what we say of a case with both judges."""
    ours = by_us(case)
    assert ours == case.by_definition(), case
    assert explained(case, ours, seen), (case, ours)


def by_us(case: Case) -> list[datetime]:
    """Return what we say of a case: the same forward, back, and from in between."""
    schedule = parse(case.spec, case.zone)
    ours = [*schedule.between(case.start, case.end)]
    back, at = list[datetime](), schedule.previous(case.end + MICROSECOND)
    while at is not None and at > case.start:
        back.append(at)
        at = schedule.previous(at)
    assert back[::-1] == ours, case
    for earlier, later in pairwise([case.start, *ours]):
        between = earlier + (later - earlier) / 2
        assert schedule.next(between) == later, case
        assert earlier == case.start or schedule.previous(between) == earlier, case
    return ours

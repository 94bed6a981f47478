"""The inspector's room for numbers over time: how many, how fast, how long they waited."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from asyncq._broker.measures import (
    ACTIVE,
    ALL,
    DELAYED,
    HOUR,
    LETTERS,
    MINUTE,
    OLDEST,
    PENDING,
    QUEUE_LETTERS,
    SAMPLED,
    SPANS,
    TIMES,
    Update,
    add,
)
from asyncq._checks import require_whole
from asyncq._clock import from_unix, seconds, unix
from asyncq.errors import ConfigError
from asyncq.inspector.found import Found
from asyncq.inspector.reach import Reach
from asyncq.measures import BOUNDS, OUTCOMES, MeasuredPoint, Pulse, Spread, TypeSummary

_KEPT: Final = {length: length * count for length, count in SPANS.items()}
"""Seconds for which minutes and hours are kept."""

TOO_LONG: Final = "more than 0, and not more than the week for which these numbers are kept"

NOT_LOOKED_YET: Final = 15.0
"""Seconds of a minute in which nobody may have looked at a queue yet."""


class Measures:
    """What servers did, minute by minute for three hours and hour by hour for a week.

    Counted by the servers and written every five seconds, so the last point is not over yet, and a server
    that is killed takes up to five seconds with it. One that cannot reach Redis writes when it can again,
    into the minutes in which it counted; what it sent twice is added once. Servers of Go's asynq count
    nothing here.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach: Final = reach

    async def history(
        self,
        queue: str | None = None,
        *,
        since: float | timedelta | datetime = float(HOUR),
        until: datetime | None = None,
        step: float | timedelta | None = None,
        type: str | None = None,  # noqa: A002 - as it is called everywhere else
        partial: bool = False,
    ) -> Found[MeasuredPoint]:
        """What happened, a point for each step, the oldest first; also where nothing did.

        All queues together cost as much as one: their numbers stand beside those of each. With rights that
        are limited to some queues it is those that are put together.

        Args:
            queue: Of which queue; of all together when not given.
            since: From when on: an instant, or for how long until the end (seconds or a `timedelta`).
            until: To when; now when not given.
            step: Length of a point: a multiple of a minute, or of an hour for what is more than three hours
                ago. When not given a minute, or an hour.
            type: Only tasks of this type; `other` for those that have no numbers of their own.
            partial: Return what can be had when the node of a cluster that has the numbers is away;
                `missing` says what cannot.

        Raises:
            ConfigError: A step that is no such multiple, or more than what is kept.
            NotAllowedError: The right `view` is missing, or the rights are not for this queue.
            QueueNotFoundError: There is no such queue.
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        self._reach.see(queue)
        asked = Asked.of(since, until, step)
        window, found, missing = await self._read(queue, asked, partial=partial)
        if found is None:
            return Found((), missing)
        points = list[MeasuredPoint]()
        for first, last, length in window.steps():
            whole: Update = {}
            for number in range(first, last + 1):
                add(whole, of_type(found.get(number, {}), type))
            points.append(point(first * window.length, length, whole.get("", {}), points))
        return Found(points, missing)

    async def types(
        self,
        queue: str | None = None,
        *,
        since: float | timedelta | datetime = float(HOUR),
        until: datetime | None = None,
        partial: bool = False,
    ) -> Found[TypeSummary]:
        """What became of the tasks of each type, the busiest first.

        Args:
            queue: Of which queue; of all together when not given.
            since: As for `history`.
            until: As for `history`.
            partial: As for `history`.

        Raises:
            ConfigError: More than what is kept.
            NotAllowedError: The right `view` is missing, or the rights are not for this queue.
            QueueNotFoundError: There is no such queue.
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        self._reach.see(queue)
        asked = Asked.of(since, until, None)
        window, found, missing = await self._read(queue, asked, partial=partial)
        whole: Update = {}
        for update in (found or {}).values():
            add(whole, update)
        length = sum(length for _, _, length in window.steps())
        summaries = [
            TypeSummary(type=name, seconds=length, **_numbers(numbers))
            for name, numbers in whole.items()
            if name
        ]
        return Found(sorted(summaries, key=lambda one: (-one.processed, one.type)), missing)

    async def pulses(
        self, queues: Iterable[str], *, minutes: int = 60, step: int = 3, partial: bool = False
    ) -> Found[Pulse]:
        """How much was done with each of some queues lately, as for a small picture beside each name.

        One look at Redis for each queue, all at once, and a small part of the work of `history`. A queue of
        which nothing is known, or which is not there, has zeros.

        Args:
            queues: Their names.
            minutes: For how long back, up to 180, for which minutes are kept.
            step: Minutes that are put together.
            partial: Leave out those on a node of a cluster that is away; `missing` says which.

        Raises:
            ConfigError: `minutes` is not from 1 to 180 and a multiple of `step`.
            NotAllowedError: The right `view` is missing, or the rights are not for one of these queues.
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        names = list(dict.fromkeys(queues))
        for name in names or (None,):
            self._reach.see(name)
        require_whole("minutes", minutes, least=1)
        require_whole("step", step, least=1)
        if minutes > SPANS[MINUTE] or minutes % step:
            raise ConfigError(
                "minutes", minutes, f"at most {SPANS[MINUTE]}, for which minutes are kept, and whole steps"
            )
        area, round_ = self._reach.broker().measures, self._reach.round(partial=partial)
        ends = await area.ends(await area.moments(names, round_), minutes, round_)
        pulses = (_pulse(name, ends[name], step) for name in names if name in ends)
        return Found(pulses, round_.end())

    async def _read(
        self, queue: str | None, asked: Asked, *, partial: bool
    ) -> tuple[Window, dict[int, Update] | None, tuple[Any, ...]]:
        if queue is not None:
            await self._reach.require_queue(queue)
        broker, round_ = self._reach.broker(), self._reach.round(partial=partial)
        now = await broker.measures.now(queue or ALL, round_)
        window = asked.window(now or asked.until or 0.0)
        if now is None:
            return window, None, round_.end()
        places = [queue or ALL]
        if queue is None and self._reach.who.rights.limits:
            # The numbers of all say something of queues that are not to be seen.
            places = [name for name in await broker.browse.names(round_) if self._reach.sees(name)]
        reads = [
            broker.measures.read(one, window.length, window.first, window.last, round_) for one in places
        ]
        found: dict[int, Update] = {}
        for part in await asyncio.gather(*reads):
            for number, update in (part or {}).items():
                add(found.setdefault(number, {}), update)
        return window, found, round_.end()


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes or hours that are put together to steps."""

    length: int  #: of one of them, in seconds
    first: int
    last: int
    per_step: int  #: how many are one step; the first step begins with the first one
    now: float

    def steps(self) -> Iterator[tuple[int, int, float]]:
        """First and last of each step, and its length as far as it is over, in seconds."""
        for first in range(self.first, self.last + 1, self.per_step):
            begins, whole = first * self.length, self.per_step * self.length
            yield first, first + self.per_step - 1, max(0.0, min(whole, self.now - begins))


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to see, as they said it."""

    seconds: float  #: how long until the end
    since: float | None  #: or from when
    until: float | None
    step: int | None

    @classmethod
    def of(
        cls,
        since: float | timedelta | datetime,
        until: datetime | None,
        step: float | timedelta | None,
    ) -> Asked:
        """Check what can be checked without knowing what time it is."""
        end = None if until is None else unix(until, name="until")
        length = None if step is None else seconds(step, name="step")
        if length is not None and (length < MINUTE or length % MINUTE):
            raise ConfigError("step", step, "a multiple of 60 seconds")
        whole = None if length is None else int(length)
        if isinstance(since, datetime):
            start = unix(since, name="since")
            if end is not None and start >= end:
                raise ConfigError("since", since, "before `until`")
            return cls(0.0, start, end, whole)
        span = seconds(since, name="since")
        if not 0 < span <= _KEPT[HOUR]:
            raise ConfigError("since", since, TOO_LONG)
        return cls(span, None, end, whole)

    def window(self, now: float) -> Window:
        """Which minutes or hours these are.

        Raises:
            ConfigError: They are not kept for so long, or are still to come.
        """
        until = min(now, self.until or now)
        span = self.seconds if self.since is None else until - self.since
        if span <= 0:
            raise ConfigError("since", self.since, "before now, and before `until`")
        in_minutes = now - until + span <= _KEPT[MINUTE]
        step = self.step or (MINUTE if in_minutes else HOUR)
        length = MINUTE if step % HOUR else HOUR
        if length == MINUTE and not in_minutes:
            raise ConfigError("step", step, "a multiple of an hour: minutes are kept for three hours")
        last = math.floor(until / step)
        first = last - math.ceil(span / step) + 1
        per_step = step // length
        if now // length - first * per_step >= SPANS[length]:
            raise ConfigError("since", self.since or self.seconds, TOO_LONG)
        return Window(
            length, first * per_step, min((last + 1) * per_step - 1, int(now // length)), per_step, now
        )


def of_type(update: Update, only: str | None) -> Update:
    """The numbers of all types together, or of one, and of the queue as a whole."""
    whole: Update = {}
    for name, numbers in update.items():
        if only is None or name in ("", only):
            add(whole, {"": numbers})
    return whole


def point(
    at: float, length: float, numbers: dict[str, int], before: Sequence[MeasuredPoint]
) -> MeasuredPoint:
    """One point; those before it are known by now."""
    if SAMPLED in numbers or length > NOT_LOOKED_YET or not before:
        minutes = max(1, math.ceil(length / MINUTE))
        pending, active, delayed = (numbers.get(name, 0) / minutes for name in (PENDING, ACTIVE, DELAYED))
        oldest = numbers.get(OLDEST, 0) / 1000
    else:
        last = before[-1]
        pending, active, delayed, oldest = last.pending, last.active, last.delayed, last.oldest
    return MeasuredPoint(
        at=from_unix(at),
        seconds=length,
        recovered=numbers.get(QUEUE_LETTERS["recovered"], 0),
        given_up=numbers.get(QUEUE_LETTERS["given_up"], 0),
        pending=pending,
        active=active,
        delayed=delayed,
        oldest=oldest,
        **_numbers(numbers),
    )


def _pulse(queue: str, ends: Sequence[tuple[int, int]], step: int) -> Pulse:
    parts = [ends[at : at + step] for at in range(0, len(ends), step)]
    processed = tuple(sum(all_of for all_of, _ in part) for part in parts)
    return Pulse(queue, float(step * MINUTE), processed, tuple(sum(bad for _, bad in part) for part in parts))


def _numbers(numbers: dict[str, int]) -> dict[str, Any]:
    """What points and summaries have in common."""
    return {
        "outcomes": {outcome: numbers.get(LETTERS[outcome], 0) for outcome in OUTCOMES},
        "redelivered": numbers.get(LETTERS["redelivered"], 0),
        **{name: _spread(numbers, *letters) for name, letters in TIMES.items()},
    }


def _spread(numbers: dict[str, int], letter: str, total: str) -> Spread:
    counts = tuple(numbers.get(f"{letter}{index}", 0) for index in range(len(BOUNDS) + 1))
    return Spread(counts, numbers.get(total, 0) / 1e6)

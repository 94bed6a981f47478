"""Numbers of what servers did: how many, how long it took, how long tasks waited.

A server counts in memory (`Server.measures`) and adds what is new to Redis every few seconds, from where
`Inspector.measures` reads it by minute and by hour.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

__all__ = [
    "BOUNDS",
    "OTHER",
    "OUTCOMES",
    "MeasuredPoint",
    "Outcome",
    "Pulse",
    "QueueMeasures",
    "ServerMeasures",
    "Spread",
    "TypeMeasures",
    "TypeSummary",
]

OTHER: Final = "other"
"""Stands for all types that have no numbers of their own: too many, or without a handler."""

Outcome = Literal["done", "retried", "archived", "revoked", "expired", "given_back", "put_back"]

OUTCOMES: Final[tuple[Outcome, ...]] = (
    "done",
    "retried",
    "archived",
    "revoked",
    "expired",
    "given_back",
    "put_back",
)
"""What became of deliveries, as it was written in Redis:

- `done`: the handler succeeded;
- `retried`, `archived`: it failed, and the task runs again, or does not;
- `revoked`, `expired`: the task was dropped, by its handler or because nobody started it in time;
- `given_back`: the server left, or gave it up for another reason of its own; it is ready again;
- `put_back`: it was not begun here and comes back after a delay: no handler for its type, no free slot of a
  semaphore.
"""

_STEPS: Final = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
_FIRST_DECADE: Final = -4
_LAST_DECADE: Final = 5

BOUNDS: Final = (
    *(float(f"{step}e{decade}") for decade in range(_FIRST_DECADE, _LAST_DECADE) for step in _STEPS),
    float(f"1e{_LAST_DECADE}"),
)
"""Upper bounds of the classes that times are sorted into, in seconds: ten a decade, from 0.1 ms to 28 h.

Fine enough for percentiles that are right to a tenth, and round enough to have Prometheus' usual ones
among them."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How times are spread: how many fell into each class of `BOUNDS`, and the sum of all."""

    counts: Sequence[int] = ()  #: of each class; the last one is for what is longer than all bounds
    seconds: float = 0.0  #: the sum of all times

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """The mean of them; `nan` when there are none."""
        return self.seconds / self.count if self.count else math.nan

    def percentile(self, percent: float) -> float:
        """The time that so many percent of them do not exceed; `nan` when there are none.

        Right to about a tenth: it is known in which class it lies, and guessed where in that. What is longer
        than the last bound is said to be as long as that.
        """
        wanted = self.count * percent / 100
        below = 0
        for index, count in enumerate(self.counts):
            if count and below + count >= wanted:
                lower = BOUNDS[index - 1] if index else 0.0
                upper = BOUNDS[min(index, len(BOUNDS) - 1)]
                return lower + (upper - lower) * (wanted - below) / count if index < len(BOUNDS) else upper
            below += count
        return math.nan

    def up_to(self, bound: float) -> int:
        """How many are no longer than this; exact for what is in `BOUNDS`."""
        return sum(self.counts[: bisect_left(BOUNDS, bound) + 1])

    def __add__(self, other: Spread) -> Spread:
        if not self.counts or not other.counts:
            return Spread(self.counts or other.counts, self.seconds + other.seconds)
        pairs = zip(self.counts, other.counts, strict=True)
        return Spread(tuple(mine + theirs for mine, theirs in pairs), self.seconds + other.seconds)


def total(spreads: Iterable[Spread]) -> Spread:
    """All of them as one."""
    whole = Spread()
    for one in spreads:
        whole += one
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    """What is known of some deliveries."""

    outcomes: Mapping[Outcome, int] = field(default_factory=dict["Outcome", int])
    """How many came to what; those that came to nothing yet are in none of them."""

    redelivered: int = 0
    """Deliveries of tasks that had been handed out before and had not waited for a retry since: their server
    was lost, or gave them back."""

    wait: Spread = field(default_factory=Spread)
    """Seconds from when a task could be taken until a server took it."""

    run: Spread = field(default_factory=Spread)
    """Seconds that handlers ran, however they ended."""

    lateness: Spread = field(default_factory=Spread)
    """Of delayed tasks and retries alone: seconds from when they were due until a server took them."""

    def count(self, outcome: Outcome) -> int:
        """How many came to this."""
        return self.outcomes.get(outcome, 0)

    @property
    def done(self) -> int:
        """Handlers that succeeded."""
        return self.count("done")

    @property
    def failed(self) -> int:
        """Attempts that failed, whether the task runs again or not."""
        return sum(self.count(outcome) for outcome in ("retried", "archived"))

    @property
    def processed(self) -> int:
        """Attempts that came to an end, well or badly."""
        return self.done + self.failed + self.count("revoked")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeMeasures(_Numbers):
    """What a server did with tasks of one type in one queue, since it started."""

    queue: str
    type: str  #: `other` for all that have no numbers of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMeasures:
    """What a server saw of a queue as a whole, since it started."""

    queue: str
    lost: int  #: leases of its tasks that this server kept and lost
    recovered: int  #: tasks of vanished servers that this server let run again
    given_up: int  #: tasks that it archived instead, having been lost with their servers too often
    refused: int  #: outcomes that came too late: the lease was lost and the task is somebody else's
    unusable: int  #: outcomes that a key of the queue does not take, since it holds something else


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMeasures:
    """What a server did since it started, and what it does now. Counts only grow."""

    server_id: str
    started_at: datetime
    at: datetime
    status: str
    concurrency: int  #: tasks that it can run at the same time
    busy: int  #: tasks that it runs now
    held: int  #: tasks that it has taken and not settled: those that run, and outcomes on their way
    settle_backlog: int  #: outcomes that are not written yet
    stalls: int  #: how often its event loop was blocked for more than a second
    stalled_seconds: float  #: for how long, all together
    loop_lag: float  #: seconds that the event loop took to turn when it was last looked at, once a second
    types: tuple[TypeMeasures, ...]
    queues: tuple[QueueMeasures, ...]

    @property
    def processed(self) -> int:
        """Attempts that came to an end."""
        return sum(one.processed for one in self.types)

    @property
    def failed(self) -> int:
        """Those of them that failed."""
        return sum(one.failed for one in self.types)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPoint(_Numbers):
    """What all servers did in some minutes or hours, with one queue or with all."""

    at: datetime  #: when this time begins
    seconds: float  #: how long it is; less for the present one, which is not over
    recovered: int = 0  #: tasks that were lost with their servers and let run again
    given_up: int = 0  #: tasks that were archived instead
    pending: float = 0.0
    """Tasks that could be taken: how many there were, looked at once a minute; over hours, the mean of that.

    Only while a server of the queue lives: it is they who look."""

    active: float = 0.0  #: tasks that were worked on, likewise
    delayed: float = 0.0  #: tasks that waited for their time: scheduled, and to be retried
    oldest: float = 0.0  #: seconds for which the task that was next had been ready, at the most

    @property
    def throughput(self) -> float:
        """Attempts that ended, a second."""
        return self.processed / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """How much was done with one queue lately: a small part of what `MeasuredPoint` tells, quickly read."""

    queue: str
    seconds: float  #: length of each step
    processed: tuple[int, ...]  #: attempts that came to an end, step by step; the last one is not over yet
    failed: tuple[int, ...]  #: those of them that failed

    @property
    def total(self) -> int:
        """Attempts of all steps together."""
        return sum(self.processed)

    @property
    def total_failed(self) -> int:
        """Those of them that failed."""
        return sum(self.failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeSummary(_Numbers):
    """What all servers did with tasks of one type, with one queue or with all."""

    type: str  #: `other` for all that have no numbers of their own
    seconds: float  #: in how long a time

    @property
    def throughput(self) -> float:
        """Attempts that ended, a second."""
        return self.processed / self.seconds if self.seconds else 0.0

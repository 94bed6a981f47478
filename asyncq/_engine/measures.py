"""Counts what the server does, in memory: a few additions for each task, and no more.

Written by the event loop, but for what the thread of the vitals knows. Other threads read it: what they see
may be a task or two apart from itself, and is right with the next look, since nothing here ever goes down.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from asyncq._broker.deliver import Delivery
from asyncq._broker.tally import Tally
from asyncq._wire.messages import Envelope
from asyncq.measures import BOUNDS, OTHER, OUTCOMES, Outcome, QueueMeasures, Spread, TypeMeasures

LONGEST_TYPE: Final = 120
"""Characters of a type that are kept: a type may be of any length."""

_CLASSES: Final = len(BOUNDS) + 1
_BOUNDS: Final = list(BOUNDS)  # looked through for every task: a list is a little faster


class Times:
    """How many times fell into which class, and the sum of them."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts: Final = [0] * _CLASSES
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Note one, not less than 0."""
        self.counts[bisect_left(_BOUNDS, seconds)] += 1
        self.seconds += seconds

    def spread(self) -> Spread:
        """As they are now."""
        return Spread(tuple(self.counts), self.seconds)


class Series:
    """The numbers of one type in one queue."""

    __slots__ = ("late", "queue", "ran", "redelivered", "tallies", "type", "waited", *OUTCOMES)

    done: Tally
    retried: Tally
    archived: Tally
    revoked: Tally
    expired: Tally
    given_back: Tally
    put_back: Tally

    def __init__(self, queue: str, task_type: str) -> None:
        self.queue: Final = queue
        self.type: Final = task_type
        self.waited: Final = Times()
        self.ran: Final = Times()
        self.late: Final = Times()
        self.redelivered = 0
        self.tallies: Final[dict[Outcome, Tally]] = {outcome: Tally() for outcome in OUTCOMES}
        for outcome, tally in self.tallies.items():
            # A field each, for those who raise one for every task.
            setattr(self, outcome, tally)

    def arrived(self, delivery: Delivery, envelope: Envelope) -> None:
        """A task was taken, to be run."""
        if delivery.is_repeated:
            # It has been waited for before: whoever vanished with it had it in between.
            self.redelivered += 1
            return
        since = delivery.ready_at or envelope.enqueued_at
        if since:
            seconds = delivery.now - since
            if not seconds > 0.0:
                seconds = 0.0  # clocks differ
            self.waited.add(seconds)
            if delivery.is_delayed:
                self.late.add(seconds)

    def measures(self) -> TypeMeasures:
        """As they are now."""
        return TypeMeasures(
            queue=self.queue,
            type=self.type,
            outcomes={outcome: tally.count for outcome, tally in self.tallies.items()},
            redelivered=self.redelivered,
            wait=self.waited.spread(),
            run=self.ran.spread(),
            lateness=self.late.spread(),
        )


class QueueCounts:
    """The numbers of one queue as a whole."""

    __slots__ = ("given_up", "lost", "queue", "recovered", "refused", "unusable")

    def __init__(self, queue: str) -> None:
        self.queue: Final = queue
        self.lost = 0
        self.recovered = 0
        self.given_up = 0
        self.refused = 0
        self.unusable = 0

    def measures(self) -> QueueMeasures:
        """As they are now."""
        return QueueMeasures(**{name: getattr(self, name) for name in self.__slots__})


class Recorder:
    """All numbers of one life of one server.

    Args:
        queues: Those that the server serves.
        most: Types that have numbers of their own, in all queues together. Whoever enqueues says what types
            there are, and must not be able to fill the memory of this server, or of those that watch it.
    """

    def __init__(self, queues: Iterable[str], *, most: int) -> None:
        self._most: Final = most
        self._others: Final = {queue: Series(queue, OTHER) for queue in queues}
        self._series: Final[dict[str, dict[str, Series]]] = {queue: {} for queue in self._others}
        self._count = 0
        self.queues: Final = {queue: QueueCounts(queue) for queue in self._others}
        self.stalls = 0
        self.stalled_seconds = 0.0
        self.loop_lag = 0.0

    def of(self, queue: str, task_type: str) -> Series:
        """The series of a type that has a handler here; called for each task."""
        return self._series[queue].get(task_type) or self._first(queue, task_type)

    def other(self, queue: str) -> Series:
        """The series of what has no handler here, or cannot be read."""
        return self._others[queue]

    def _first(self, queue: str, task_type: str) -> Series:
        shown = task_type[:LONGEST_TYPE].encode("utf-8", "replace").decode()
        found = self._series[queue].get(shown)
        if found is None:
            if shown == OTHER or self._count >= self._most:
                return self._others[queue]
            self._count += 1
            found = self._series[queue][shown] = Series(queue, shown)
        return found

    def series(self) -> list[Series]:
        """All that have seen anything, or can."""
        own = [one for types in self._series.values() for one in list(types.values())]
        return [*own, *self._others.values()]

"""Whether times are enqueued when they come: what a scheduler knows of its own health."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from asyncq._timetable import Tick, Timetable

Health = Literal["ok", "stalled", "stopped"]


@dataclass(frozen=True, slots=True)
class SchedulerHealth:
    """How a scheduler is."""

    state: Health  #: `stalled`: a time came `stalled_after` ago, and none was enqueued since
    last_tick_at: datetime | None  #: when Redis last said what became of a time; `None` for never
    overdue_since: datetime | None  #: when the first time was due of those since then; `None` if none is late


class Pulse:
    """Remembers the first time that is due and not settled.

    A time is settled when Redis has said what became of it, be it that another scheduler had it. One that
    hangs does not matter while others are settled: it has a deadline and an error of its own.
    """

    def __init__(self, timetable: Timetable, *, clock: Callable[[], datetime], limit: float) -> None:
        self._timetable: Final = timetable
        self._clock: Final = clock
        self._limit: Final = limit
        self._waiting: datetime | None = None
        self._last: datetime | None = None

    def begun(self, tick: Tick) -> None:
        """A time has come, and Redis is asked for it."""
        due = tick.nominal + timedelta(seconds=tick.delay) if tick.delay else tick.nominal
        if self._waiting is None or due < self._waiting:
            self._waiting = due

    def settled(self) -> None:
        """Redis has said what became of a time."""
        self._waiting, self._last = None, self._clock()

    def health(self, *, is_stopped: bool = False) -> SchedulerHealth:
        """Return how it is now."""
        now = self._clock()
        # What nobody has begun with is late, too: the loop that should have may be hung.
        due = [moment for moment in (self._waiting, self._timetable.first_due()) if moment and moment < now]
        since = min(due, default=None)
        state: Health = "ok"
        if is_stopped:
            state, since = "stopped", None
        elif since is not None and (now - since).total_seconds() > self._limit:
            state = "stalled"
        return SchedulerHealth(state, self._last, since)

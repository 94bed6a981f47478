"""Makes up for the times of entries that nobody enqueued, each entry by its own rule."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Protocol

from asyncq._broker.ticks import Recalled, Ticks
from asyncq._clock import from_unix
from asyncq._missed import Missed, missed, span
from asyncq._scheduling.aftermath import Aftermath
from asyncq._scheduling.alignment import recall_each
from asyncq._scheduling.claims import remembered
from asyncq._scheduling.dispatcher import FAILED, Result
from asyncq._service import Errands, Service
from asyncq._timetable import Tick, Timetable
from asyncq.entries import Entry
from asyncq.errors import AsyncqError, BrokerUnavailableError

AT_A_TIME: Final = 100
"""Entries that are made up for at the same time. What is due now must not wait behind a million old times."""

LOOKED_AT: Final = 50
"""Entries that are looked at between two turns of the event loop."""

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0
"""Seconds after which a queue that could not be reached is tried again."""

REFUSED_DELAY: Final = 30.0
"""Seconds after which it is tried again where Redis is there and took no task: this is told to `on_error`."""


class CarryOut(Protocol):
    """Enqueues the task of one time."""

    def __call__(self, tick: Tick) -> Awaitable[Result]:
        """Say what became of it."""
        ...


class CatchUp(Service):
    """Looks what was missed: when the scheduler starts, and whenever somebody says so.

    For each entry it reads the last time that is over, passes over what is not made up for with a
    reason, and enqueues the rest, the oldest first. Several schedulers may do the same at the same
    time: each step holds for one of them only, since it says from which time it goes on.
    """

    def __init__(
        self,
        ticks: Ticks,
        timetable: Timetable,
        aftermath: Aftermath,
        carry_out: CarryOut,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__("catching up")
        self._ticks: Final = ticks
        self._timetable: Final = timetable
        self._aftermath: Final = aftermath
        self._carry_out: Final = carry_out
        self._clock: Final = clock
        self._owed: Final[dict[str, None]] = {}
        self._under_way: Final[set[str]] = set()
        self._held: Final[dict[str, tuple[float, float]]] = {}  # by queue: until when, and the last delay
        self._put_off: Final[dict[str, float]] = {}  # by entry: until when
        self._errands: Final = Errands()
        self._is_surveyed = False

    def owe(self, entry: Entry) -> None:
        """Look for what was missed of an entry, soon."""
        self._owed[entry.id] = None
        self.poke()

    def survey(self) -> None:
        """Look for what was missed of all entries, soon."""
        self._is_surveyed = False
        self.poke()

    async def tick(self) -> float:
        if not self._is_surveyed:
            await self._survey()
            self._is_surveyed = True
        now, wait = asyncio.get_running_loop().time(), math.inf
        ready: list[str] = []
        for entry_id in self._owed:
            if len(self._under_way) + len(ready) >= AT_A_TIME:
                break  # whoever ends calls again
            entry = self._timetable.find(entry_id)
            until = 0.0 if entry is None else self._until(entry)
            if until > now:
                wait = min(wait, until - now)
            elif entry_id not in self._under_way:
                ready.append(entry_id)
        for entry_id in ready:
            del self._owed[entry_id]
            self._begin(entry_id)
        return wait

    def _begin(self, entry_id: str) -> None:
        entry = self._timetable.find(entry_id)
        if entry is None:
            self._put_off.pop(entry_id, None)
            return
        self._under_way.add(entry_id)
        self._errands.start(self._attempt(entry), name=f"catching up {entry_id}")

    async def _survey(self) -> None:
        number = 0
        async for entry, recalled in recall_each(self._ticks, self._timetable.all()):
            number += 1
            if number % LOOKED_AT == 0:
                await asyncio.sleep(0)
            if recalled.asks_for_more or not self._missed(entry, recalled).is_nothing:
                self._owed[entry.id] = None

    def _missed(self, entry: Entry, recalled: Recalled) -> Missed:
        return missed(entry, _moment(recalled.at), self._clock())

    async def _attempt(self, entry: Entry) -> None:
        try:
            await self._make_up(entry)
        except AsyncqError as error:
            self._hold(entry, error)
            self._owed[entry.id] = None
            self.log.debug("entry %r: %s", entry.id, error, extra={"event": "catch_up_put_off"})
        else:
            self._held.pop(entry.queue, None)
            self._put_off.pop(entry.id, None)
        finally:
            self._under_way.discard(entry.id)
            self.poke()

    def _until(self, entry: Entry) -> float:
        """Before when an entry is not tried again."""
        return max(self._held.get(entry.queue, (0.0, 0.0))[0], self._put_off.get(entry.id, 0.0))

    def _hold(self, entry: Entry, error: AsyncqError) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(error, _NotKnownError):
            # Its middleware may hang, which is nothing to the other entries of the queue.
            self._put_off[entry.id] = now + random.uniform(REFUSED_DELAY / 2, REFUSED_DELAY)
            return
        delay = min(2 * self._held.get(entry.queue, (0.0, FIRST_DELAY / 2))[1], LONGEST_DELAY)
        self._held[entry.queue] = (now + random.uniform(delay / 2, delay), delay)

    async def _make_up(self, entry: Entry) -> None:
        recalled = await self._recall(entry)
        while self._timetable.find(entry.id) is entry:
            todo = self._missed(entry, recalled)
            if todo.is_nothing:
                return
            if todo.passed is not None:
                await self._pass_over(entry, recalled.at, todo.passed, todo.reason)
            elif todo.first is not None and not todo.is_strict:
                since = entry.schedule.previous(todo.first)
                result = await self._carry_out(self._tick_of(entry, todo.first, since))
                _require_known(result)
                return
            elif not await self._one_after_another(entry, recalled.at):
                return
            before, recalled = recalled.at, await self._recall(entry)
            if recalled.at == before:
                return  # what it has is not remembered in its queue: middleware sends its tasks to another
        current = self._timetable.find(entry.id)
        if current is not None:  # changed meanwhile
            self.owe(current)

    async def _recall(self, entry: Entry) -> Recalled:
        (recalled,) = await self._ticks.recall(entry.queue, [entry.id])
        await self._aftermath.attend(entry, recalled)
        return recalled

    async def _one_after_another(self, entry: Entry, at: float | None) -> bool:
        """Enqueue all that was missed until now, and say whether to look again.

        Each says which one it follows, so none is left out and none is had twice.
        """
        for nominal in span(entry, _moment(at), self._clock()):
            if self._timetable.find(entry.id) is not entry:
                break
            result = await self._carry_out(self._tick_of(entry, nominal, _moment(at)))
            _require_known(result)
            if result.word == "fenced":  # changed or paused; whoever says so tells the timetable, too
                return False
            if result.word in ("behind", "taken"):  # what is the last one that is over?
                break
            if result.word == FAILED:
                # What is refused again and again must not keep those that come after it for ever.
                await self._pass_over(entry, at, nominal, FAILED)
            at = nominal.timestamp()
        return True

    async def _pass_over(self, entry: Entry, after: float | None, last: datetime, reason: str) -> None:
        keep = remembered(self._tick_of(entry, last, None))
        word = await self._ticks.pass_over(
            entry.queue, entry.id, after=after, last=last.timestamp(), reason=reason, keep=keep
        )
        if word == "early":
            raise _NotKnownError("the queue", "the clock of this machine is ahead of that of Redis")

    def _tick_of(self, entry: Entry, nominal: datetime, since: datetime | None) -> Tick:
        return Tick(entry, nominal, entry.schedule.next(nominal), since=since)

    async def aclose(self) -> None:
        """Leave the rest to others, or to the next start."""
        await self._errands.cancel()


def _moment(at: float | None) -> datetime | None:
    return None if at is None else from_unix(at)


class _NotKnownError(BrokerUnavailableError):
    """Redis answers, and whether it has taken a task, or will take it, is not known."""


def _require_known(result: Result) -> None:
    if result.is_open:
        raise _NotKnownError("the queue", str(result.error))

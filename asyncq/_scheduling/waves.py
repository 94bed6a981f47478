"""Enqueues many entries that are due at the same moment, all of them at that moment.

A thousand entries of midnight are not late by much if each takes a twentieth of a millisecond, but the last
of them waits for all. So what can be done before is done before, what can be done afterwards waits, and in
between there is nothing but handing tasks to the connection. What of many can be done in Redis ahead is done
ahead (`Crowds`).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol, cast

from asyncq._broker.enqueue import Placed, Send
from asyncq._entry_form import rhythm
from asyncq._scheduling.claimant import Answer
from asyncq._scheduling.claims import claim_on, is_before
from asyncq._scheduling.crowds import LEAST, Crowds, Moving, Sent, is_plain
from asyncq._service import Errands, Service
from asyncq._timetable import Tick, Timetable
from asyncq._wire.messages import NewTask
from asyncq.entries import Entry
from asyncq.errors import AsyncqError
from asyncq.options import TaskOptions
from asyncq.task import Task

AT_A_TIME: Final = 20
"""Answers that are dealt with between two turns of the event loop."""

PATIENCE: Final = 0.05
"""Seconds for which answers wait for a wave to be over: longer than one takes, and not worth waiting for."""

WHILE_BUSY: Final = 0.002

LAST_WORDS: Final = 5.0
"""Seconds for what is on its way when the scheduler leaves."""


class Claiming(Protocol):
    """Makes claims, and reads the answers."""

    def prepare(self, task: Task, options: TaskOptions) -> NewTask | None:
        """Make what is to be written; `None` where that has to wait."""
        ...

    def make(self, new: NewTask) -> Send:
        """Make what is sent of it, and return what sends it."""
        ...

    def read(self, new: NewTask, placed: Placed) -> Answer:
        """Say what an answer means."""
        ...


class Dispatching(Protocol):
    """Carries out single times."""

    def begin(self, tick: Tick) -> None:
        """Start with one time."""
        ...

    def is_too_late(self, tick: Tick) -> bool:
        """Whether it is for those who make up for missed times; tells them."""
        ...

    def begun(self, tick: Tick) -> None:
        """Say that a time has come."""
        ...

    async def conclude(self, tick: Tick, outcome: Answer | Exception) -> None:
        """Do what follows from an answer."""
        ...


OnAnswer = Callable[["asyncio.Future[Placed]"], None]


@dataclass(slots=True)
class Prepared:
    """One time that comes soon."""

    tick: Tick
    due: datetime
    send: Send | None = None  #: sends what was made of it; `None` where it takes the long way
    answered: OnAnswer | None = None  #: is called with the answer
    is_claimed: bool = False  #: it is one of a crowd, and has been sent


class Waves(Service):
    """Prepares times shortly before they come, sends them together, and deals with answers when it is calm.

    Where middleware or `pre_enqueue` has a word, each time takes the long way, beside the others.
    """

    def __init__(
        self,
        timetable: Timetable,
        claimant: Claiming,
        dispatcher: Dispatching,
        moving: Moving,
        *,
        timeout: float,
        is_direct: bool,
    ) -> None:
        super().__init__("answers to a scheduler")
        self._timetable: Final = timetable
        self._claimant: Final = claimant
        self._dispatcher: Final = dispatcher
        self._timeout: Final = timeout
        self._is_direct: Final = is_direct
        self._answers: Final[deque[tuple[Tick, NewTask, asyncio.Future[Placed]]]] = deque()
        self._unanswered: Final[set[asyncio.Future[Placed]]] = set()
        self._errands: Final = Errands()
        self._crowds: Final = Crowds(moving, self._answered, timeout=timeout)
        self._busy_until = 0.0

    def prepare(self, ticks: Sequence[Tick], now: datetime) -> list[Prepared]:
        """Do what can be done before these times come."""
        dues = [tick.nominal + timedelta(seconds=tick.delay) for tick in ticks]
        crowds = {due for due, count in Counter(dues).items() if count >= LEAST and due > now}
        prepared: list[Prepared] = []
        claimed: list[asyncio.Future[Placed]] = []
        for tick, due in zip(ticks, dues, strict=True):
            new = self._composed(tick, due)
            if new is None:
                prepared.append(Prepared(tick, due))
            elif due in crowds and is_plain(new):
                claimed.append(self._claim(tick, new, due))
                prepared.append(Prepared(tick, due, is_claimed=True))
            else:
                answered = partial(self._answered, tick, new)
                prepared.append(Prepared(tick, due, self._claimant.make(new), answered))
        if claimed:
            asyncio.get_running_loop().call_later(self._timeout, self._give_up, claimed)
        return prepared

    def _claim(self, tick: Tick, new: NewTask, due: datetime) -> asyncio.Future[Placed]:
        """Enqueue one of a crowd ahead, as a task that is scheduled for its moment."""
        new.at = due.timestamp()
        placed = self._claimant.make(new)()
        self._crowds.add(due, Sent(tick, new, placed))
        return placed

    def _composed(self, tick: Tick, due: datetime) -> NewTask | None:
        if not self._is_direct:
            return None
        claim = claim_on(tick)
        options = cast("TaskOptions", {**tick.entry.options, "task_id": claim.task_id})
        try:
            new = self._claimant.prepare(tick.entry.task, options)
        except AsyncqError:
            return None  # it is told on the long way
        if new is not None:
            new.claim = claim
            _put_off(new, due, expires="expires_in" in tick.entry.checked)
        return new

    def begin(self, prepared: Sequence[Prepared], *, is_all: bool) -> None:
        """Send what has come.

        Args:
            prepared: What.
            is_all: Whether nothing else has come; else answers wait.
        """
        loop = asyncio.get_running_loop()
        find, is_too_late = self._timetable.find, self._dispatcher.is_too_late
        sent: list[asyncio.Future[Placed]] = []
        self._crowds.come({one.due: None for one in prepared if one.is_claimed})
        for one in prepared:
            tick, send, answered = one.tick, one.send, one.answered
            if one.is_claimed:
                self._dispatcher.begun(tick)
                continue
            # It may have been changed or removed since.
            entry = find(tick.entry.id)
            if entry is tick.entry and send is not None and answered is not None:
                if not is_too_late(tick):
                    self._dispatcher.begun(tick)
                    future = send()
                    future.add_done_callback(answered)
                    sent.append(future)
            elif entry is not None and _is_as_due(entry, tick):
                self._dispatcher.begin(replace(tick, entry=entry))
        if sent:
            self._unanswered.update(sent)
            loop.call_later(self._timeout, self._give_up, sent)
        self._busy_until = loop.time() + PATIENCE if sent or not is_all else 0.0

    def _answered(self, tick: Tick, new: NewTask, future: asyncio.Future[Placed]) -> None:
        self._unanswered.discard(future)
        self._answers.append((tick, new, future))
        self.poke()

    def _give_up(self, sent: Sequence[asyncio.Future[Placed]]) -> None:
        for future in sent:
            if not future.done():
                future.set_exception(
                    TimeoutError(f"no answer within {self._timeout:g} s: it may be enqueued")
                )

    async def tick(self) -> float:
        loop = asyncio.get_running_loop()
        while self._answers:
            if self._unanswered and loop.time() < self._busy_until:
                return WHILE_BUSY
            for _ in range(min(AT_A_TIME, len(self._answers))):
                self._deal_with(*self._answers.popleft())
            await asyncio.sleep(0)
        return float("inf")

    def _deal_with(self, tick: Tick, new: NewTask, future: asyncio.Future[Placed]) -> None:
        outcome: Answer | Exception
        try:
            outcome = self._claimant.read(new, future.result())
        except (AsyncqError, TimeoutError) as error:
            outcome = error
        self._errands.start(self._dispatcher.conclude(tick, outcome), name=f"entry {tick.entry.id}")

    async def aclose(self) -> None:
        """Wait for what is on its way, but not for ever."""
        await self._crowds.aclose(LAST_WORDS)
        if self._unanswered:
            await asyncio.wait(set(self._unanswered), timeout=LAST_WORDS)
        while self._answers:
            self._deal_with(*self._answers.popleft())
        await self._errands.finish(LAST_WORDS)
        await self._errands.cancel(LAST_WORDS)


def _put_off(new: NewTask, due: datetime, *, expires: bool) -> None:
    """Let a task that is made before its time be as old as one that is made then."""
    envelope = new.envelope
    early = due.timestamp() - envelope.enqueued_at
    if early > 0:
        envelope.enqueued_at += early
        if expires:
            envelope.expires_at += early


def _is_as_due(entry: Entry, tick: Tick) -> bool:
    """Whether an entry comes at this time as it did before; else it was given other times."""
    one, other = entry.schedule, tick.entry.schedule
    return (one is other or rhythm(one) == rhythm(other)) and not is_before(entry, tick.nominal)

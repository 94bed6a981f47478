"""The inspector's room for failures: which causes they have, and how many tasks each of them."""

from __future__ import annotations

import asyncio
import builtins
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial as partial_of
from typing import Final, cast

from asyncq._broker.rounds import Question, Round
from asyncq._checks import require_whole
from asyncq._clock import seconds
from asyncq._wire.states import State
from asyncq.errors import ConfigError, Missing, NotFoundError
from asyncq.inspector.causes import Cause, cause_of
from asyncq.inspector.found import Found
from asyncq.inspector.listing import MOST_BYTES, TaskFilters, read_state
from asyncq.inspector.query import TaskQuery
from asyncq.inspector.queues import QueueInfo, Queues, QueueSizes
from asyncq.inspector.reach import Reach
from asyncq.inspector.tasks import Tasks
from asyncq.task_info import TaskInfo

SCAN: Final = 5000
STEP: Final = 200
"""Tasks that are looked at before the clock is."""

LEAST: Final = 400
"""Tasks that are looked at whatever time it takes, so that a small Redis is seen as a whole."""

A_TASK: Final = 4096
"""Bytes that a task has, about: those that are much larger make a report end early."""

A_PLACE: Final = 20
"""As so many tasks counts the call that a queue needs."""

STATES: Final = ("retry", "archived")
"""The states of tasks that failed."""

MOST_CAUSES: Final = 1000
"""Causes that are told apart: beyond that somebody puts something into errors that changes each time."""


@dataclass(frozen=True, slots=True)
class FailureCause:
    """Tasks of one type that failed for the same reason."""

    id: str  #: for the filter `cause`, and the same as long as the reason is
    type: str
    error: str  #: the class of the error; empty where its text does not say one
    message: str  #: what it says, with `#` for numbers, `<id>` for ids and so on; empty for no error at all
    count: int  #: how many were found
    places: dict[tuple[str, str], int]  #: how many in which queue and state
    first_at: datetime | None  #: when the first of them failed; None where nobody wrote that down
    last_at: datetime | None  #: when the last of them did
    sample: TaskInfo  #: the last of them

    @property
    def filters(self) -> TaskFilters:
        """What picks them from a queue and state: `tasks.run_all(queue, state, **cause.filters)`."""
        return {"type": self.type, "cause": self.id}

    @property
    def query(self) -> TaskQuery:
        """What finds them with `search`."""
        states = tuple(State(state) for state in dict.fromkeys(state for _, state in self.places))
        return TaskQuery(state=states, type=self.type, cause=self.id)


@dataclass(frozen=True, slots=True)
class FailureReport:
    """Why tasks failed, as far as was looked."""

    causes: list[FailureCause]  #: the most frequent first
    scanned: int  #: how many tasks were looked at
    total: int  #: how many there are in these queues and states
    others: int = 0  #: how many of those that were looked at have a cause beyond the first thousand
    missing: tuple[Missing, ...] = ()  #: what could not be looked at

    @property
    def is_complete(self) -> bool:
        """Whether all of them were looked at; if not, counts are too low and causes may be left out."""
        return self.scanned >= self.total and not self.missing


@dataclass(slots=True)
class _Gathered:
    cause: Cause
    sample: TaskInfo
    places: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    first_at: datetime | None = None
    last_at: datetime | None = None


class Failures:
    """Tasks that failed, by cause."""

    def __init__(self, reach: Reach, tasks: Tasks, queues: Queues) -> None:
        self._reach: Final = reach
        self._tasks: Final = tasks
        self._queues: Final = queues

    async def list(
        self,
        queue: str | None = None,
        *,
        states: Sequence[str] = STATES,
        scan: int = SCAN,
        within: float | None = None,
        partial: bool = False,
        among: Found[QueueSizes] | Found[QueueInfo] | None = None,
        **filters: object,
    ) -> FailureReport:
        """Look at tasks that failed, and tell the causes.

        Looks at the newest archived and the next retried ones, of each queue its share of `scan`: small
        queues are looked at to the end.

        Args:
            queue: Of this queue only.
            states: `retry`, `archived` or both.
            scan: Tasks that are looked at, at the most; fewer when they are large (4 KiB each, and 32 MiB).
            within: Seconds after which it tells what it knows, but for the first 400 tasks; None for as long
                as it takes.
            partial: Look at what can be had when a node of a cluster is away.
            among: What `queues.sizes` or `queues.list` said a moment ago, to be spared asking thousands of
                queues anew.
            **filters: `type`, `error`, `since` and `until`, as for `tasks.list`.

        Raises:
            ConfigError: Something is wrong with what was asked for.
            QueueNotFoundError: There is no such queue.
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        wanted = [read_state(state, STATES) for state in states]
        require_whole("scan", scan, least=1)
        _refuse_others(filters)
        loop = asyncio.get_running_loop()
        until = float("inf") if within is None else loop.time() + seconds(within, name="within")
        missing: tuple[Missing, ...] = ()
        if queue is not None:
            queues: Sequence[QueueSizes] = [await self._queues.get(queue)]
        else:
            found = await self._queues.sizes(partial=partial) if among is None else among
            queues, missing = [*found], found.missing
        places = [(info.sizes[state], info.name, state) for info in queues for state in wanted]
        places = sorted(place for place in places if place[0])
        gathering = _Gathering(self._reach.round(partial=partial), max(MOST_BYTES, scan * A_TASK))
        for at, (size, name, state) in enumerate(places):
            share = min(size, max(1, (scan - gathering.scanned) // (len(places) - at)))
            has_begun = gathering.scanned + A_PLACE * at >= LEAST
            if gathering.is_full or gathering.scanned >= scan or (has_begun and loop.time() >= until):
                break
            await self._look(name, state, share, until, cast("TaskFilters", filters), gathering)
        total = sum(size for size, _, _ in places)
        missing = tuple(dict.fromkeys((*missing, *gathering.round_.missing)))
        return FailureReport(gathering.causes(), gathering.scanned, total, gathering.others, missing)

    async def _look(
        self,
        queue: str,
        state: State,
        share: int,
        until: float,
        filters: TaskFilters,
        gathering: _Gathering,
    ) -> None:
        cursor, slot = None, self._reach.broker().basis.slot(queue)
        while share > 0:
            ask = partial_of(
                self._tasks.list,
                queue,
                state,
                size=min(share, STEP),
                scan=min(share, STEP),
                cursor=cursor,
                newest_first=state is State.ARCHIVED,
                **filters,
            )
            try:
                page = await gathering.round_.one(Question("queue", [queue], slot, ask))
            except NotFoundError:
                return  # the queue went meanwhile
            if page is None:
                return  # its node did
            for info in page:
                gathering.take(info)
            gathering.scanned += page.scanned
            share -= page.scanned
            cursor = page.cursor
            is_late = asyncio.get_running_loop().time() >= until
            gathering.left -= page.bytes
            if cursor is None or gathering.is_full or (is_late and gathering.scanned >= LEAST):
                return


class _Gathering:
    """What was seen so far."""

    def __init__(self, round_: Round, left: int) -> None:
        self.round_ = round_
        self.scanned = 0
        self.others = 0
        self.left = left  #: bytes that may still be read
        self._known: dict[Cause, _Gathered] = {}

    @property
    def is_full(self) -> bool:
        """Whether as many bytes were read as may be."""
        return self.left <= 0

    def take(self, info: TaskInfo) -> None:
        """Count one task in."""
        cause = cause_of(info.type, info.last_error)
        known = self._known.get(cause)
        if known is None:
            if len(self._known) >= MOST_CAUSES:
                self.others += 1
                return
            known = self._known[cause] = _Gathered(cause, info)
        known.places[info.queue, info.state.value] += 1
        at = info.last_failed_at
        if at is None:
            return
        if known.first_at is None or at < known.first_at:
            known.first_at = at
        if known.last_at is None or at >= known.last_at:
            known.last_at, known.sample = at, info

    def causes(self) -> builtins.list[FailureCause]:
        """What is told of it."""
        told = [
            FailureCause(
                id=one.cause.id,
                type=one.cause.type,
                error=one.cause.error,
                message=one.cause.message,
                count=one.places.total(),
                places=dict(sorted(one.places.items())),
                first_at=one.first_at,
                last_at=one.last_at,
                sample=one.sample,
            )
            for one in self._known.values()
        ]
        return sorted(told, key=lambda cause: (-cause.count, cause.type, cause.error, cause.message))


def _refuse_others(filters: dict[str, object]) -> None:
    for name, value in filters.items():
        if name not in ("type", "error", "since", "until", "cause"):
            raise ConfigError(name, value, "one of the filters type, error, cause, since and until")

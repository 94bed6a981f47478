"""The inspector's room for looking for tasks, over queues and states.

Redis has no index of what is in tasks. So a search reads them, place by place (a place is a state of a
queue, or one of its groups), and not more of them at a time than was said: then it gives what it has found,
says how many it has looked at, and where to go on.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial as partial_of
from typing import Final, Literal, TypeVar, cast

from asyncq._broker.actions import ALLOWED
from asyncq._broker.rounds import Question, Round
from asyncq._checks import require_whole
from asyncq._clock import seconds
from asyncq._wire.states import State
from asyncq.errors import ConfigError, Missing, NotFoundError, WireError
from asyncq.inspector.cancel_sweep import CANCELLABLE
from asyncq.inspector.found import Found
from asyncq.inspector.groups import Groups
from asyncq.inspector.listing import LARGEST_PAGE, MOST_BYTES, PAGE_SIZE, SCAN, TaskFilters
from asyncq.inspector.query import TaskQuery
from asyncq.inspector.queues import QueueInfo, Queues, QueueSizes
from asyncq.inspector.reach import Reach
from asyncq.inspector.search_cursor import Spot, cursor_of, read_cursor
from asyncq.inspector.tasks import Tasks
from asyncq.options import is_text
from asyncq.task_info import TaskInfo

MOST_PLACES: Final = 100
"""Places that are read for one page: each is a call at least."""

STEP: Final = 200
"""Tasks that are looked at before the clock is."""

ORDER: Final = (
    State.ACTIVE,
    State.RETRY,
    State.PENDING,
    State.ARCHIVED,
    State.SCHEDULED,
    State.AGGREGATING,
    State.COMPLETED,
)
"""In which order the states come: what people ask about first."""

LEAST: Final = 400
"""Tasks that are looked at whatever time it takes."""

A_PLACE: Final = 20
"""As so many tasks counts the call that a place needs."""

_T = TypeVar("_T")

PlaceAction = Literal["run", "archive", "delete", "cancel"]

ACTIONS: Final[dict[PlaceAction, tuple[str, ...]]] = {
    "run": ALLOWED["run"],
    "archive": ALLOWED["archive"],
    "delete": ALLOWED["delete"],
    "cancel": CANCELLABLE,
}
"""What can be done to many tasks, and in which states."""

NEWEST_FIRST: Final = (State.ARCHIVED, State.COMPLETED)
"""States that are looked through from the end: nobody wants the oldest failure."""


@dataclass(frozen=True, slots=True)
class SearchPlace:
    """Tasks in one state of one queue, and which of them are meant."""

    queue: str
    state: State
    size: int  #: how many are there, whether they are meant or not
    filters: TaskFilters  #: for `tasks.list`, `tasks.run_all` and their like
    group: str = ""  #: which of its groups, if they are aggregating


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A part of what was found."""

    query: TaskQuery
    tasks: builtins.list[TaskInfo]
    total: int  #: how many there are in these queues and states, whether they are meant or not
    scanned: int  #: how many were looked at for this page
    cursor: str | None  #: to go on; None at the end. What moves meanwhile may be left out or come twice.
    missing: tuple[Missing, ...] = ()  #: what could not be looked at

    def __iter__(self) -> Iterator[TaskInfo]:
        """Go over the tasks."""
        return iter(self.tasks)

    def __len__(self) -> int:
        """Return the number of tasks on this page."""
        return len(self.tasks)


@dataclass(slots=True)
class _Budget:
    """What may still be done for a page, and the look that it is part of."""

    size: int
    scan: int
    until: float  #: of the clock of the loop
    round_: Round
    places: int = MOST_PLACES
    bytes: int = MOST_BYTES
    scanned: int = 0

    @property
    def is_spent(self) -> bool:
        is_late = asyncio.get_running_loop().time() >= self.until
        # However slow Redis is, a page comes on by something, and a small Redis is seen as a whole.
        has_begun = self.scanned + A_PLACE * (MOST_PLACES - self.places) >= LEAST
        return min(self.size, self.scan, self.places, self.bytes) <= 0 or (has_begun and is_late)


class Search:
    """Looks for tasks over all queues and states."""

    def __init__(self, reach: Reach, tasks: Tasks, queues: Queues, groups: Groups) -> None:
        self._reach: Final = reach
        self._tasks: Final = tasks
        self._queues: Final = queues
        self._groups: Final = groups

    async def find(  # noqa: PLR0913 - each is a thing a caller wants to say
        self,
        query: TaskQuery | str = "",
        *,
        size: int = PAGE_SIZE,
        scan: int = SCAN,
        within: float | None = None,
        cursor: str | None = None,
        partial: bool = False,
        among: Found[QueueSizes] | Found[QueueInfo] | None = None,
    ) -> SearchPage:
        """Look for tasks, a page at a time.

        They come by state (active, retry, pending, archived, scheduled, aggregating, completed), then by
        queue, then in the order of `tasks.list`; archived and completed ones the newest first. An `id:`
        without `*` is asked for in all queues at once, and a single word is tried as an id first.

        Args:
            query: What to look for; as text, see `TaskQuery.parse`. Nothing means all tasks.
            size: Tasks on a page, up to 1,000.
            scan: Tasks that are looked at for one page at the most; fewer when they are large (32 MiB).
            within: Seconds after which it gives what it has, but for the first 400 tasks; None for as long as
                it takes.
            cursor: Of the page before, to go on after it.
            partial: Look at what can be had when a node of a cluster is away; `missing` of the page says
                what cannot.
            among: What `queues.sizes` or `queues.list` said a moment ago, to be spared asking thousands of
                queues anew.

        Raises:
            ConfigError: Something is wrong with the query or with what was asked for.
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        self._reach.see()
        wanted = _read_query(query)
        round_ = self._reach.round(partial=partial)
        budget, after = _read_budget(size, scan, within, round_), read_cursor(cursor, len(ORDER))
        if wanted.id and "*" not in wanted.id:
            return await self._only(wanted, partial=partial)
        first: list[TaskInfo] = []
        if cursor is None and len(wanted.words) == 1 and wanted == TaskQuery(words=wanted.words):
            first = [*await self.by_id(wanted.words[0], partial=partial)]
        known = {(info.queue, info.id) for info in first}
        places, missing = await self._places(wanted, partial=partial, among=among)
        budget.size -= len(first)
        spot = await self._through(places, after, budget, first, known)
        missing = tuple(dict.fromkeys((*missing, *round_.missing)))
        total = sum(place.size for place in places)
        cursor = None if spot is None else cursor_of(spot)
        return SearchPage(wanted, first, total, budget.scanned, cursor, missing)

    async def by_id(self, task_id: str, *, partial: bool = False) -> Found[TaskInfo]:
        """The tasks with this id, of all queues. One short question to each queue, all at once.

        Args:
            task_id: The id.
            partial: As for `find`; `missing` of the list says what could not be asked.

        Raises:
            ConfigError: It is no id.
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        self._reach.see()
        if not is_text(task_id):
            raise ConfigError("task_id", task_id, "the id of a task")
        round_, basis = self._reach.round(partial=partial), self._reach.broker().basis
        names = await self._queues.names(partial=partial)

        async def ask(queue: str) -> str:
            key, slot = basis.queue(queue).task(task_id), basis.slot(queue)
            return (
                queue if await basis.router.command("EXISTS", key, slot=slot, patience=basis.patience) else ""
            )

        found = await round_.each(
            Question("queue", [name], basis.slot(name), partial_of(ask, name)) for name in names
        )
        tasks: list[TaskInfo] = []
        for queue in sorted(filter(None, found)):
            try:
                tasks.append(await self._tasks.get(queue, task_id))
            except (NotFoundError, WireError):
                continue  # it went meanwhile, or nobody can read it: its page says so
        return Found(tasks, (*names.missing, *round_.end()))

    async def places(
        self, query: TaskQuery | str = "", *, action: PlaceAction | None = None
    ) -> builtins.list[SearchPlace]:
        """What a query is about: states of queues that have tasks, each with the filters to use there.

        For work on all that match: `tasks.run_all(place.queue, place.state, **place.filters)`.

        Args:
            query: As for `find`.
            action: Only states that allow this.

        Raises:
            ConfigError: Something is wrong with the query, or there is no such action.
        """
        self._reach.see()
        wanted = _read_query(query)
        if action is not None:
            if action not in ACTIONS:
                raise ConfigError("action", action, f"one of {', '.join(ACTIONS)}")
            states = tuple(
                State(state) for state in ACTIONS[action] if not wanted.state or state in wanted.state
            )
            if not states:
                return []
            wanted = wanted.but(state=states)
        found: list[SearchPlace] = []
        for place in (await self._places(wanted, partial=False))[0]:
            if place.state is not State.AGGREGATING:
                found.append(place)
                continue
            sizes = {info.name: info.size for info in await self._groups.list(place.queue)}
            for name in [wanted.group] if wanted.group else sorted(sizes):
                if sizes.get(name):
                    filters: TaskFilters = {**place.filters, "group": name}
                    found.append(SearchPlace(place.queue, place.state, sizes[name], filters, name))
        return found

    async def _only(self, wanted: TaskQuery, *, partial: bool) -> SearchPage:
        """Those of one id."""
        found = await self.by_id(wanted.id, partial=partial)
        tasks = [info for info in found if wanted.takes(info)]
        return SearchPage(wanted, tasks, len(found), len(found), None, found.missing)

    async def _places(
        self,
        wanted: TaskQuery,
        *,
        partial: bool,
        among: Found[QueueSizes] | Found[QueueInfo] | None = None,
    ) -> tuple[builtins.list[SearchPlace], tuple[Missing, ...]]:
        queues = among
        if queues is None:
            queues = await self._queues.sizes(only=wanted.exact_queues, partial=partial)
        states = wanted.state or ((State.AGGREGATING,) if wanted.group else ORDER)
        filters = wanted.filters()
        if wanted.group:
            filters["group"] = wanted.group
        places = [
            SearchPlace(info.name, state, info.sizes[state], filters)
            for state in ORDER
            if state in states and (not wanted.group or state is State.AGGREGATING)
            for info in queues
            if info.sizes[state] and wanted.names(info.name)
        ]
        return places, queues.missing

    async def _through(
        self,
        places: builtins.list[SearchPlace],
        after: Spot,
        budget: _Budget,
        into: builtins.list[TaskInfo],
        known: set[tuple[str, str]],
    ) -> Spot | None:
        """Go through places; returns where to go on, or None at the end."""
        for place in places:
            rank = _rank(place)
            if rank < after[:2]:
                continue
            since = after[2] if rank == after[:2] else ""
            for group in await self._group_names(place, budget.round_, since=since):
                inner = after[3] if (*rank, group) == after[:3] else None
                if not budget.is_spent:
                    budget.places -= 1
                    inner = await self._one(place, group, inner, budget, into, known)
                    if inner is None:
                        continue
                return (*rank, group, inner)
        return None

    async def _group_names(self, place: SearchPlace, round_: Round, *, since: str) -> builtins.list[str]:
        if place.state is not State.AGGREGATING:
            return [""]
        wanted = place.filters.get("group")
        if wanted:
            return [wanted]
        ask = partial_of(self._groups.list, place.queue)
        try:
            found = await round_.one(self._question(place, ask))
        except NotFoundError:
            return []
        return [info.name for info in found or () if info.name >= since]

    def _question(self, place: SearchPlace, ask: Callable[[], Awaitable[_T]]) -> Question[_T]:
        """One look at a place: its node may have gone away since it was said what there is."""
        return Question("queue", [place.queue], self._reach.broker().basis.slot(place.queue), ask)

    async def _one(
        self,
        place: SearchPlace,
        group: str,
        inner: str | None,
        budget: _Budget,
        into: builtins.list[TaskInfo],
        known: set[tuple[str, str]],
    ) -> str | None:
        """Look through one place; returns its cursor where it did not come to the end."""
        filters: TaskFilters = {**place.filters, "group": group} if group else place.filters
        while True:
            ask = partial_of(
                self._tasks.list,
                place.queue,
                place.state,
                size=budget.size,
                scan=min(budget.scan, STEP),
                cursor=inner,
                newest_first=place.state in NEWEST_FIRST,
                **filters,
            )
            try:
                page = await budget.round_.one(self._question(place, ask))
            except NotFoundError:
                return None  # the queue or group went meanwhile
            if page is None:
                return None  # its node did
            into += [info for info in page if (info.queue, info.id) not in known]
            budget.size -= len(page)
            budget.scan -= page.scanned
            budget.bytes -= page.bytes
            budget.scanned += page.scanned
            inner = page.cursor
            if inner is None or budget.is_spent:
                return inner


def _rank(place: SearchPlace) -> tuple[int, str]:
    return ORDER.index(place.state), place.queue


def _read_query(query: object) -> TaskQuery:
    if isinstance(query, TaskQuery):
        return query
    return TaskQuery.parse(cast("str", query))


def _read_budget(size: object, scan: object, within: float | None, round_: Round) -> _Budget:
    for name, value in (("size", size), ("scan", scan)):
        require_whole(name, value, least=1)
    count, most = cast("int", size), cast("int", scan)
    if count > LARGEST_PAGE:
        raise ConfigError("size", size, f"at most {LARGEST_PAGE}; the cursor goes on")
    until = float("inf")
    if within is not None:
        until = asyncio.get_running_loop().time() + seconds(within, name="within")
    return _Budget(count, most, until, round_)

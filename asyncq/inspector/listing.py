"""Pages of tasks, and the filters that bulk work shares with them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypedDict, cast

import msgpack

from asyncq._broker.browse import START, Seen, Spot, Window
from asyncq._checks import near_misses, whole_problem
from asyncq._clock import INSTANT, from_unix, instant_of
from asyncq._wire.states import State
from asyncq.errors import ConfigError, Problem
from asyncq.inspector.causes import cause_of
from asyncq.inspector.patterns import like
from asyncq.inspector.reach import Reach
from asyncq.options import is_queue_name, is_text
from asyncq.task_info import TaskHistory, TaskInfo

StateName = Literal["pending", "active", "scheduled", "retry", "archived", "completed", "aggregating"]

LARGEST_PAGE: Final = 1000
PAGE_SIZE: Final = 50
SCAN: Final = 2000
"""Tasks that are looked at for one page. A filter that matches few must not keep its caller waiting."""

CHUNK: Final = 200
"""Tasks read by one call."""

MOST_BYTES: Final = 32 * 1024 * 1024
"""Bytes of tasks after which a page ends, however few they are: not of a page that has a number, or the next
ones would begin elsewhere."""

_BY_SCORE: Final = frozenset({State.SCHEDULED, State.RETRY, State.ARCHIVED, State.AGGREGATING})
"""States whose sorted set is ordered by the time that `since` and `until` are about."""

_TIMES: Final = {State.COMPLETED: "completed_at", State.ACTIVE: "delivered_at"}
"""Fields that hold this time in other states. Pending tasks have it in their message."""


class TaskFilters(TypedDict, total=False):
    """Which of the tasks in one state are meant. Without any, all of them; with several, what passes each."""

    group: str
    """The group. Has to be given for `aggregating`, and for no other state."""

    type: str
    """The type. A `*` stands for any text, so `email:*` is all that begin with `email:`."""

    error: str
    """Text that the last error contains, in whatever case."""

    cause: str
    """Id of a cause of failures, as `inspector.failures` says it: those of one type whose last error is of
    one class and says the same, but for numbers, ids and the like."""

    since: datetime
    """Not before this instant: when a scheduled or retry task is due, when an archived one was archived, when
    a completed one succeeded, when an aggregating one joined its group, when an active one was handed to its
    server, when a pending one was enqueued (by the clock of its client)."""

    until: datetime
    """Not after this instant, of the same kind."""

    where: Callable[[TaskInfo], bool]
    """Whatever else: called with each task that passes the other filters."""


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A part of the tasks in one state, as they were when it was read."""

    queue: str
    state: State
    tasks: list[TaskInfo]
    total: int  #: how many are in this state (and group) altogether, whether they pass the filters or not
    scanned: int  #: how many were looked at for this page
    cursor: str | None  #: for the next page; None if there is none
    bytes: int = 0  #: how large those are that were looked at

    def __iter__(self) -> Iterator[TaskInfo]:
        """Go over the tasks."""
        return iter(self.tasks)

    def __len__(self) -> int:
        """Return the number of tasks on this page."""
        return len(self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where tasks are, and which of them are meant: filters that were checked."""

    queue: str
    state: State
    group: str = ""
    type: str = ""
    error: str = ""
    cause: str = ""
    since: float | None = None
    until: float | None = None
    where: Callable[[TaskInfo], bool] | None = None

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The scores between which they are, where the score is the time that is asked for."""
        return (self.since, self.until) if self.state in _BY_SCORE else (None, None)

    @property
    def takes_all(self) -> bool:
        """Whether Redis can say which are meant, without anybody looking at them."""
        has_times = self.since is not None or self.until is not None
        by_time = has_times and self.state not in _BY_SCORE
        return not (self.type or self.error or self.cause or self.where or by_time)

    def describe(self) -> str:
        """Which tasks are meant, for people."""
        said = {"group": self.group, "type": self.type, "error": self.error, "cause": self.cause}
        words = [self.state.value, *(f"{name}={value!r}" for name, value in said.items() if value)]
        for name, instant in (("since", self.since), ("until", self.until)):
            if instant is not None:
                words.append(f"{name}={from_unix(instant).isoformat()}")
        return " ".join([*words, *(["where=..."] if self.where else [])])

    def takes(self, info: TaskInfo, seen: Seen) -> bool:
        """Whether a task is meant."""
        if self.type and not like(self.type)(info.type):
            return False
        if self.error and self.error.casefold() not in info.last_error.casefold():
            return False
        if self.cause and cause_of(info.type, info.last_error).id != self.cause:
            return False
        if self.state not in _BY_SCORE:
            field = _TIMES.get(self.state)
            at = seen.number(field) if field else seen.envelope.enqueued_at
            if (self.since is not None and at < self.since) or (self.until is not None and at > self.until):
                return False
        return self.where is None or bool(self.where(info))


def read_state(state: object, allowed: tuple[str, ...] = tuple(State)) -> State:
    """Read the name of a state.

    Raises:
        ConfigError: There is no such state, or it is none of `allowed`.
    """
    if isinstance(state, str) and state in allowed:
        return State(state)
    near = near_misses(state, allowed)[:1] if isinstance(state, str) else ()
    hint = f"; did you mean {str(near[0])!r}?" if near else ""
    raise ConfigError("state", state, f"{', '.join(allowed[:-1])} or {allowed[-1]}{hint}")


def read_place(queue: object, state: State, filters: TaskFilters) -> Place:
    """Read filters.

    Raises:
        ConfigError: With all that is wrong.
    """
    given: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    problems = [] if is_queue_name(queue) else [Problem("queue", queue, "the name of a queue")]
    for name, value in given.items():
        if name in ("group", "type", "error", "cause"):
            good, expected = is_text(value), "text that is not blank"
        elif name in ("since", "until"):
            given[name] = instant_of(value)
            good, expected = given[name] is not None, INSTANT
        elif name == "where":
            good, expected = callable(value), "a function that takes a TaskInfo"
        else:
            near = near_misses(name, TaskFilters.__annotations__)[:1]
            good = False
            expected = f"a filter that exists; did you mean {near[0]!r}?" if near else "a filter that exists"
        if not good:
            problems.append(Problem(name, value, expected))
    if state is State.AGGREGATING and "group" not in given:
        problems.append(Problem("group", None, "the name of a group, as the state is aggregating"))
    elif state is not State.AGGREGATING and "group" in given:
        problems.append(Problem("group", given["group"], f"none, as the state is {state}"))
    if problems:
        raise ConfigError.of(problems)
    since, until = given.get("since"), given.get("until")
    if since is not None and until is not None and since > until:
        raise ConfigError("until", filters.get("until"), "an instant that is not before `since`")
    return Place(queue=cast("str", queue), state=state, **given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One page of a place."""

    place: Place
    size: int
    backwards: bool
    scan: int
    skip: int
    after: Spot
    most_bytes: int | None  #: after which it ends


def read_query(
    place: Place, *, size: object, page: object, cursor: object, scan: object, newest_first: bool
) -> Query:
    """Read what page is wanted.

    Raises:
        ConfigError: With all that is wrong.
    """
    problems = [
        problem
        for problem in (
            whole_problem("size", size, least=1),
            whole_problem("scan", scan, least=1),
            None if page is None else whole_problem("page", page, least=1),
        )
        if problem is not None
    ]
    if not problems and cast("int", size) > LARGEST_PAGE:
        problems.append(Problem("size", size, f"at most {LARGEST_PAGE}; `iterate` gives them all"))
    if page is not None and cursor is not None:
        problems.append(Problem("page", page, "page or cursor, not both"))
    elif page not in (None, 1) and not place.takes_all:
        expected = "a cursor: nobody knows on which page the tasks are that pass these filters"
        problems.append(Problem("page", page, expected))
    after = START
    if cursor is not None:
        found = _read_cursor(cursor, place, backwards=newest_first)
        if found is None:
            problems.append(Problem("cursor", cursor, "the cursor of another page of this same list"))
        after = found or START
    if problems:
        raise ConfigError.of(problems)
    count = cast("int", size)
    skip = (cast("int", page) - 1) * count if page is not None else 0
    return Query(
        place=place,
        size=count,
        backwards=newest_first,
        scan=cast("int", scan),
        skip=skip,
        after=after,
        most_bytes=MOST_BYTES if page is None else None,
    )


async def read_page(reach: Reach, query: Query) -> TaskPage:
    """Read a page: as many calls as it takes, each of them short."""
    place, browse = query.place, reach.broker().browse
    least, most = place.bounds
    tasks: list[TaskInfo] = []
    scanned, size, skip, spot = 0, 0, query.skip, query.after
    while True:
        count = min(CHUNK, query.scan - scanned)
        if place.takes_all:
            count = min(CHUNK, query.size - len(tasks))
        window = Window(count, query.backwards, least, most, skip)
        leaf = await browse.leaf(place.queue, place.state, window, group=place.group, after=spot)
        skip, left = 0, leaf.follow + len(leaf.tasks)
        for seen, after in zip(leaf.tasks, leaf.spots, strict=False):
            scanned, left, spot = scanned + 1, left - 1, after
            size += len(seen.message) + sum(map(len, seen.fields.values()))
            info = info_of(place.queue, seen, reach)
            if place.takes_all or place.takes(info, seen):
                tasks.append(info)
                if len(tasks) == query.size:
                    break
        enough = len(tasks) == query.size or (scanned >= query.scan and not place.takes_all)
        enough = enough or (query.most_bytes is not None and size >= query.most_bytes)
        if left <= 0 or enough or not leaf.tasks:
            break
    if leaf.total == 0:
        await reach.refuse_unknown(place.queue, place.group)
    cursor = _cursor(place, spot, backwards=query.backwards) if left > 0 else None
    return TaskPage(place.queue, place.state, tasks, leaf.total, scanned, cursor, size)


def _cursor(place: Place, spot: Spot, *, backwards: bool) -> str:
    parts = (place.state.value, place.group, backwards, spot.score, spot.passed, spot.ids)
    packed: bytes = msgpack.packb(parts, use_bin_type=True)
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _read_cursor(cursor: object, place: Place, *, backwards: bool) -> Spot | None:
    if not isinstance(cursor, str):
        return None
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        *which, score, passed, ids = cast("list[Any]", msgpack.unpackb(packed))
        float(score or 0)
        spot = Spot(bytes(score), int(passed), tuple(map(str, ids)))
    except (ValueError, TypeError):  # what base64, msgpack and the conversions raise
        return None
    return spot if which == [place.state.value, place.group, backwards] else None


def info_of(queue: str, seen: Seen, reach: Reach) -> TaskInfo:
    """Return what users see of a task: what the redactor of this inspector leaves of it."""
    history = TaskHistory(
        retried=int(seen.number("retried")),
        last_error=seen.text("error"),
        last_failed_at=seen.number("failed_at"),
        completed_at=seen.number("completed_at"),
        result=seen.fields.get("result"),
        progress=seen.fields.get("progress"),
        deliveries=int(seen.number("deliveries")),
        lost=int(seen.number("lost")),
        is_orphaned=seen.state is State.ACTIVE and seen.lease_ends <= seen.now,
        reason=seen.text("reason") if seen.state is State.ARCHIVED else "",
        delivered_at=seen.number("delivered_at"),
        server_id=seen.text("delivery").rpartition(":")[0] if seen.state is State.ACTIVE else "",
        attempts=seen.fields.get("attempts", b""),
        unreadable=seen.unreadable,
        seal=(seen.state.value.encode(), seen.due, seen.fields.get("deliveries", b""), seen.message),
        redact=reach.who.redact,
    )
    next_at = seen.now if seen.state is State.PENDING else float(seen.due or 0)
    return TaskInfo(
        queue, seen.id, seen.envelope, seen.state, next_at=next_at, history=history, codecs=reach.codecs
    )

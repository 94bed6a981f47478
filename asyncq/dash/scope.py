"""What is meant by "all that match" of a list, for work on all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from asyncq.dash.failures import query_of
from asyncq.dash.places import Place
from asyncq.dash.rows import Row
from asyncq.inspector import ACTIONS, FailureCause, Inspector, TaskFilters, TaskQuery
from asyncq.task_info import TaskInfo

SweepAction = Literal["run", "archive", "delete", "cancel"]

DONE: Final[Mapping[SweepAction, str]] = {
    "run": "run",
    "archive": "archived",
    "delete": "deleted",
    "cancel": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Spot:
    """Tasks in one state of one queue, and which of them are meant."""

    queue: str
    state: str
    filters: TaskFilters
    size: int = 0  #: how many are there, as far as that is known


@dataclass(frozen=True, slots=True)
class Scope:
    """Which tasks work on many is about."""

    words: str  #: as they are called in a question
    actions: tuple[SweepAction, ...]  #: what can be done to them
    spots: Callable[[Inspector, SweepAction], Awaitable[list[Spot]]]


def filters_of(place: Place) -> TaskFilters:
    """Which tasks of its queue and state a list of tasks shows."""

    def suits(info: TaskInfo) -> bool:
        return place.takes(info.id, info.type, info.last_error)

    filters: TaskFilters = {}
    if place.group:
        filters["group"] = place.group
    if place.text:
        filters["where"] = suits
    return filters


def scope_of(place: Place, row: Row | None) -> Scope | None:
    """What a list shows, on all of its pages; of causes the tasks of the one under the cursor.

    Args:
        place: Where somebody is.
        row: What the cursor is on.
    """
    if place.view == "tasks":
        return _of_tasks(place)
    if place.view == "find":
        return _of_query(place.text, f"that fit {place.text}" if place.text else "there are")
    if place.view == "failures" and row is not None:
        cause = cast("FailureCause", row.subject)
        text = f"of {cause.type} that failed with {cause.error or cause.message or 'no error'}"
        return _of_query(query_of(cause, place), text)
    return None


def _of_tasks(place: Place) -> Scope:
    async def spots(_: Inspector, action: SweepAction) -> list[Spot]:
        return [Spot(place.queue, place.state, filters_of(place))] if place.state in ACTIONS[action] else []

    group = f" in group {place.group}" if place.group else ""
    text = f" with {place.text!r} in them" if place.text else ""
    can: list[SweepAction] = [action for action in ACTIONS if place.state in ACTIONS[action]]
    return Scope(f"{place.state} in {place.queue}{group}{text}", tuple(can), spots)


def _of_query(query: TaskQuery | str, words: str) -> Scope:
    async def spots(inspector: Inspector, action: SweepAction) -> list[Spot]:
        places: Any = await inspector.search.places(query, action=action)
        return [Spot(one.queue, str(one.state), one.filters, one.size) for one in places]

    return Scope(words, tuple(ACTIONS), spots)

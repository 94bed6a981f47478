"""The lists and pages of the dashboard: what is read for each, and how it is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Final, cast

from asyncq.dash import acting
from asyncq.dash.failures import FAILURES, FOUND
from asyncq.dash.members import SCHEDULERS, SERVERS, WORKERS
from asyncq.dash.overview import OVERVIEW
from asyncq.dash.pages import read_task
from asyncq.dash.places import Place
from asyncq.dash.rows import Column, Reading, Row, View
from asyncq.dash.schedules import ENTRIES, HISTORY
from asyncq.dash.scope import filters_of
from asyncq.dash.texts import NOTHING, away, clean, line, number, span
from asyncq.dash.trail import TRAIL
from asyncq.inspector import Inspector, QueueInfo
from asyncq.inspector.listing import StateName
from asyncq.task_info import TaskInfo

PAGE_SIZE: Final = 100

_NEWEST_FIRST: Final = ("archived", "completed")


# --- queues -------------------------------------------------------------------------------------


async def _queues(inspector: Inspector, place: Place) -> Reading:
    found = await inspector.queues.list(partial=True)
    rows = [_queue(info) for info in found if place.takes(info.name)]
    return Reading(rows, missing=found.missing)


def _queue(info: QueueInfo) -> Row:
    state = "removing" if info.is_being_removed else "paused" if info.is_paused else "open"
    cells = (
        clean(info.name),
        state,
        number(info.pending),
        number(info.active),
        number(info.scheduled),
        number(info.retry),
        number(info.archived),
        span(info.latency) if info.latency else NOTHING,
        number(info.completed),
        number(info.aggregating),
        number(info.processed),
        number(info.failed),
    )
    style = "red" if info.orphaned else "" if state == "open" else "yellow"
    return Row(info.name, cells, info, style, Place("tasks", queue=info.name, state=_first(info)))


def _first(info: QueueInfo) -> str:
    """The state that somebody wants to see first who opens a queue."""
    for state in ("pending", "active", "retry", "archived", "scheduled", "completed"):
        if info.sizes[state]:
            return state
    return "pending"


QUEUES: Final = View(
    "queues",
    lambda _: "Queues",
    (
        Column("QUEUE"),
        Column("STATE"),
        Column("PENDING", is_number=True),
        Column("ACTIVE", is_number=True),
        Column("SCHEDULED", is_number=True, least=70),
        Column("RETRY", is_number=True),
        Column("ARCHIVED", is_number=True),
        Column("LATENCY", is_number=True, least=60),
        Column("COMPLETED", is_number=True, least=118),
        Column("IN GROUPS", is_number=True, least=118),
        Column("TODAY", is_number=True, least=90),
        Column("FAILED", is_number=True, least=90),
    ),
    _queues,
    acting.OF_QUEUES,
)


# --- tasks --------------------------------------------------------------------------------------


async def _tasks(inspector: Inspector, place: Place) -> Reading:
    page = await inspector.tasks.list(
        place.queue,
        cast("StateName", place.state),
        size=PAGE_SIZE,
        cursor=place.cursors[-1] if place.cursors else None,
        newest_first=place.state in _NEWEST_FIRST,
        **filters_of(place),
    )
    rows = [_task(info, place) for info in page]
    remark = f"looked at {page.scanned:,} of {page.total:,}" if place.text else ""
    return Reading(rows, page.total, page.cursor, remark)


def _task(info: TaskInfo, place: Place) -> Row:
    cells = (
        clean(info.id),
        clean(info.type) if not info.unreadable else "cannot be read",
        away(_moment(info, place.state)),
        f"{info.retried}/{info.max_retry}",
        line(info.last_error) or NOTHING,
    )
    style = "red" if info.unreadable or info.is_orphaned else ""
    return Row(info.id, cells, info, style, Place("task", queue=info.queue, id=info.id))


def _moment(info: TaskInfo, state: str) -> datetime | None:
    """The time that a state is about."""
    if state in ("scheduled", "retry"):
        return info.next_process_at
    if state == "archived":
        return info.last_failed_at or info.enqueued_at
    return info.completed_at if state == "completed" else info.enqueued_at


def _tasks_title(place: Place) -> str:
    group = f" in group {clean(place.group)}" if place.group else ""
    return f"Tasks {place.state} in {clean(place.queue)}{group}"


TASKS: Final = {
    state: View(
        "tasks",
        _tasks_title,
        (
            Column("ID"),
            Column("TYPE"),
            Column("DUE" if state in ("scheduled", "retry") else "WHEN", is_number=True),
            Column("RETRIED", is_number=True, least=60),
            Column("LAST ERROR", least=80),
        ),
        _tasks,
        actions,
    )
    for state, actions in acting.OF_TASKS.items()
}


def _task_actions(state: str) -> View:
    return View(
        "task",
        lambda place: f"Task {clean(place.id)} in {clean(place.queue)}",
        (),
        read_task,
        acting.OF_TASKS.get(state, ()),
    )


TASK: Final = {state: _task_actions(state) for state in (*acting.OF_TASKS, "")}


# --- groups -------------------------------------------------------------------------------------


async def _groups(inspector: Inspector, place: Place) -> Reading:
    found = await inspector.groups.list(place.queue, partial=True)
    rows = [
        Row(
            info.name,
            (
                clean(info.name),
                number(info.size),
                number(info.aggregating),
                away(info.oldest_at),
                away(info.latest_at),
            ),
            info,
            leads_to=Place("tasks", queue=info.queue, state="aggregating", group=info.name),
        )
        for info in found
        if place.takes(info.name)
    ]
    return Reading(rows, missing=found.missing)


GROUPS: Final = View(
    "groups",
    lambda place: f"Groups of {clean(place.queue)}",
    (
        Column("GROUP"),
        Column("TASKS", is_number=True),
        Column("IN HAND", is_number=True),
        Column("OLDEST", is_number=True),
        Column("LATEST", is_number=True, least=70),
    ),
    _groups,
)


_OTHERS: Final = (OVERVIEW, FAILURES, FOUND, SERVERS, WORKERS, SCHEDULERS, ENTRIES, HISTORY, TRAIL)
_PLAIN: Final = {view.name: view for view in (QUEUES, GROUPS, *_OTHERS)}


def view_of(place: Place, state: str = "") -> View:
    """What is shown at a place.

    Args:
        place: Where.
        state: That of the task, of the page of one.
    """
    if place.view == "tasks":
        return TASKS[place.state]
    return TASK.get(state, TASK[""]) if place.view == "task" else _PLAIN[place.view]

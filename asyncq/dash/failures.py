"""The list of causes for which tasks failed, and the tasks that are found by looking for them."""

from __future__ import annotations

from typing import Final

from asyncq.dash import acting
from asyncq.dash.places import Place
from asyncq.dash.rows import Column, Reading, Row, View
from asyncq.dash.texts import NOTHING, away, clean, line
from asyncq.inspector import FailureCause, Inspector, TaskQuery
from asyncq.task_info import TaskInfo

SCAN: Final = 2000
WITHIN: Final = 0.25
"""Seconds of looking for one page: there is another one soon."""

PAGE_SIZE: Final = 100


async def _failures(inspector: Inspector, place: Place) -> Reading:
    report = await inspector.failures.list(place.queue or None, scan=SCAN, within=WITHIN, partial=True)
    rows = [
        _cause(cause, place) for cause in report.causes if place.takes(cause.type, cause.error, cause.message)
    ]
    is_part = report.scanned < report.total
    remark = f"looked at {report.scanned:,} of {report.total:,} tasks" if is_part else ""
    return Reading(rows, remark=remark, missing=report.missing)


def _cause(cause: FailureCause, place: Place) -> Row:
    cells = (
        f"{cause.count:,}",
        clean(cause.type),
        line(f"{cause.error}: {cause.message}".strip(": ")) or NOTHING,
        clean(" ".join(dict.fromkeys(queue for queue, _ in cause.places))),
        away(cause.first_at),
        away(cause.last_at),
    )
    return Row(cause.id, cells, cause, leads_to=Place("find", text=str(query_of(cause, place))))


def query_of(cause: FailureCause, place: Place) -> TaskQuery:
    """What finds the tasks of a cause: of one queue where only that is looked at."""
    return cause.query.but(queue=(place.queue,)) if place.queue else cause.query


FAILURES: Final = View(
    "failures",
    lambda place: f"Failures by cause{f' in {clean(place.queue)}' if place.queue else ''}",
    (
        Column("COUNT", is_number=True),
        Column("TYPE"),
        Column("ERROR"),
        Column("QUEUES", least=90),
        Column("FIRST", is_number=True, least=110),
        Column("LAST", is_number=True, least=70),
    ),
    _failures,
)


async def _found(inspector: Inspector, place: Place) -> Reading:
    page = await inspector.search.find(
        place.text, size=PAGE_SIZE, cursor=place.cursors[-1] if place.cursors else None, partial=True
    )
    remark = f"looked at {page.scanned:,} of {page.total:,} tasks"
    return Reading([_task(info) for info in page], cursor=page.cursor, remark=remark, missing=page.missing)


def _task(info: TaskInfo) -> Row:
    cells = (
        clean(info.id),
        clean(info.queue),
        str(info.state),
        clean(info.type) if not info.unreadable else "cannot be read",
        f"{info.retried}/{info.max_retry}",
        line(info.last_error) or NOTHING,
    )
    style = "red" if info.unreadable or info.is_orphaned else ""
    leads_to = Place("task", queue=info.queue, id=info.id)
    return Row(f"{info.queue} {info.id}", cells, info, style, leads_to)


FOUND: Final = View(
    "find",
    lambda _: "Tasks found",
    (
        Column("ID"),
        Column("QUEUE"),
        Column("STATE"),
        Column("TYPE"),
        Column("RETRIED", is_number=True, least=70),
        Column("LAST ERROR", least=90),
    ),
    _found,
    acting.OF_FOUND,
)

"""The trail: who changed what, and to whom what was refused."""

from __future__ import annotations

from typing import Final

from asyncq.dash.places import Place
from asyncq.dash.rows import Column, Reading, Row, View
from asyncq.dash.texts import NOTHING, away, clean, counted, line
from asyncq.inspector import Inspector, TrailRecord

PAGE_SIZE: Final = 100
MOST_READ: Final = 1000
"""Records that a filter looks at for one page."""

_STYLES: Final = {"failed": "red", "refused": "red", "interrupted": "yellow"}


async def _trail(inspector: Inspector, place: Place) -> Reading:
    page = await inspector.trail.list(
        size=MOST_READ if place.text else PAGE_SIZE, cursor=place.cursors[-1] if place.cursors else None
    )
    rows = [
        _record(one)
        for one in page
        if place.takes(one.actor, one.via, one.action, one.queue, one.target, one.outcome, one.reason)
    ]
    remark = f"looked at {len(page):,} of {page.total:,}" if place.text else ""
    return Reading(rows, page.total, page.cursor, remark)


def _record(one: TrailRecord) -> Row:
    cells = (
        away(one.at),
        clean(one.actor),
        clean(one.via),
        clean(one.action),
        one.outcome,
        clean(one.queue) or NOTHING,
        line(one.target) or NOTHING,
        line(_more(one)) or NOTHING,
    )
    return Row(one.id, cells, one, _STYLES.get(one.outcome, ""), _task_of(one))


def _more(one: TrailRecord) -> str:
    """How many, what was changed, why not."""
    parts = [] if one.count is None else [counted(one.count, "task")]
    parts += [
        f"{name}: {before or NOTHING} -> {after or NOTHING}" for name, (before, after) in one.changes.items()
    ]
    return "; ".join([*parts, *([one.reason] if one.reason else [])])


def _task_of(one: TrailRecord) -> Place | None:
    """The task that a record is about, if it is about one."""
    is_one = one.action.startswith("task.") and one.count is None and one.outcome != "begun"
    return Place("task", queue=one.queue, id=one.target) if is_one and one.queue and one.target else None


TRAIL: Final = View(
    "trail",
    lambda _: "Trail of changes",
    (
        Column("WHEN", is_number=True),
        Column("WHO"),
        Column("VIA", least=100),
        Column("ACTION"),
        Column("OUTCOME"),
        Column("QUEUE", least=80),
        Column("TARGET", least=70),
        Column("MORE", least=110),
    ),
    _trail,
)

"""The lists of schedulers, of their entries, and of what became of the times of one."""

from __future__ import annotations

from typing import Final

from asyncq.dash import acting
from asyncq.dash.places import Place
from asyncq.dash.rows import Column, Reading, Row, View
from asyncq.dash.texts import NOTHING, away, clean, line, number, span
from asyncq.inspector import EntryInfo, GoEntryInfo, Inspector


async def _schedulers(inspector: Inspector, place: Place) -> Reading:
    found = await inspector.schedulers.list(partial=True)
    rows = [
        Row(
            info.id,
            (
                clean(info.id),
                f"{clean(info.host)}:{info.pid}",
                clean(info.name) or NOTHING,
                clean(info.status),
                clean(info.health),
                number(info.entries),
                away(info.last_tick_at),
                line(info.sync_error) or NOTHING,
            ),
            info,
            "" if info.health == "ok" else "red",
            Place("entries"),
        )
        for info in found
        if place.takes(info.id, info.host, info.name, info.application)
    ]
    return Reading(rows, missing=found.missing)


SCHEDULERS: Final = View(
    "schedulers",
    lambda _: "Schedulers",
    (
        Column("SCHEDULER"),
        Column("WHERE"),
        Column("NAME", least=100),
        Column("STATUS"),
        Column("HEALTH"),
        Column("ENTRIES", is_number=True, least=60),
        Column("LAST TIME", is_number=True, least=70),
        Column("TROUBLE", least=110),
    ),
    _schedulers,
    hints=("enter entries",),
)


async def _entries(inspector: Inspector, place: Place) -> Reading:
    found = await inspector.schedulers.entries(queue=place.queue or None, partial=True)
    theirs = await inspector.schedulers.go_entries(partial=True)
    rows = [_entry(info) for info in found if place.takes(info.id, info.type, info.queue, info.spec)]
    rows += [_of_go(info) for info in theirs if place.takes(info.id, info.type, info.queue, info.spec)]
    return Reading(rows, missing=(*found.missing, *theirs.missing))


def _entry(info: EntryInfo) -> Row:
    state = "paused" if info.is_paused else "orphan" if info.is_orphan else "on"
    cells = (
        clean(info.id),
        clean(info.spec),
        clean(info.type),
        clean(info.queue),
        state,
        away(info.next_at),
        away(info.previous_at),
        line(info.last_error) or NOTHING,
    )
    style = "red" if info.last_error else "" if state == "on" else "yellow"
    return Row(info.id, cells, info, style, Place("history", id=info.id))


def _of_go(info: GoEntryInfo) -> Row:
    cells = (
        clean(info.id),
        clean(info.spec),
        clean(info.type),
        clean(info.queue),
        "of Go",
        away(info.next_at),
        away(info.previous_at),
        NOTHING,
    )
    return Row(info.id, cells, info, leads_to=Place("history", id=info.id))


ENTRIES: Final = View(
    "entries",
    lambda place: f"Entries of schedulers{f' for {clean(place.queue)}' if place.queue else ''}",
    (
        Column("ENTRY"),
        Column("SPEC"),
        Column("TYPE", least=80),
        Column("QUEUE", least=100),
        Column("STATE"),
        Column("NEXT", is_number=True),
        Column("PREVIOUS", is_number=True, least=70),
        Column("LAST ERROR", least=120),
    ),
    _entries,
    acting.OF_ENTRIES,
    ("enter history",),
)


async def _history(inspector: Inspector, place: Place) -> Reading:
    events = await inspector.schedulers.events(place.id)
    rows = [
        Row(
            f"{event.nominal_at.timestamp()} {event.enqueued_at.timestamp()} {event.task_id}",
            (
                away(event.nominal_at),
                event.outcome + (" by hand" if event.is_manual else ""),
                span(event.lateness) if event.lateness is not None else NOTHING,
                clean(event.task_id) or NOTHING,
                line(event.error or event.reason) or NOTHING,
            ),
            event,
            "red" if event.outcome == "failed" else "",
            Place("task", queue=event.queue, id=event.task_id) if event.task_id else None,
        )
        for event in events
        if place.takes(event.task_id, event.outcome, event.error)
    ]
    return Reading(rows)


HISTORY: Final = View(
    "history",
    lambda place: f"History of {clean(place.id)}",
    (
        Column("DUE", is_number=True),
        Column("OUTCOME"),
        Column("LATE BY", is_number=True, least=60),
        Column("TASK"),
        Column("WHY", least=80),
    ),
    _history,
    hints=("enter task",),
)

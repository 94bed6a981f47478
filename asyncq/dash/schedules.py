"""The lists of entries of schedulers, and of what became of the times of one."""

from __future__ import annotations

from typing import Final

from asyncq.dash import acting
from asyncq.dash.places import Place
from asyncq.dash.rows import Column, Reading, Row, View
from asyncq.dash.texts import NOTHING, away, clean, line, span
from asyncq.inspector import EnqueueEvent, EntryInfo, GoEntryInfo, Inspector


async def _entries(inspector: Inspector, place: Place) -> Reading:
    found = await inspector.schedulers.entries(queue=place.queue or None, partial=True)
    theirs = await inspector.schedulers.go_entries(partial=True)
    every: list[EntryInfo | GoEntryInfo] = [*found, *theirs]
    rows = [_entry(info) for info in every if place.takes(info.id, info.type, info.queue, info.spec)]
    return Reading(rows, missing=(*found.missing, *theirs.missing))


def _entry(info: EntryInfo | GoEntryInfo) -> Row:
    state, style, error = "of Go", "", ""
    if isinstance(info, EntryInfo):
        state = "paused" if info.is_paused else "orphan" if info.is_orphan else "on"
        error = line(info.last_error)
        style = "red" if error else "" if state == "on" else "yellow"
    cells = (
        clean(info.id),
        clean(info.spec),
        clean(info.type),
        clean(info.queue),
        state,
        away(info.next_at),
        away(info.previous_at),
        error or NOTHING,
    )
    return Row(info.id, cells, info, style, Place("history", id=info.id))


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
)


async def _history(inspector: Inspector, place: Place) -> Reading:
    events = await inspector.schedulers.events(place.id)
    return Reading(
        [_event(event) for event in events if place.takes(event.task_id, event.outcome, event.error)]
    )


def _event(event: EnqueueEvent) -> Row:
    cells = (
        away(event.nominal_at),
        event.outcome + (" by hand" if event.is_manual else ""),
        span(event.lateness) if event.lateness is not None else NOTHING,
        clean(event.task_id) or NOTHING,
        line(event.error or event.reason) or NOTHING,
    )
    key = f"{event.nominal_at.timestamp()} {event.enqueued_at.timestamp()} {event.task_id}"
    leads_to = Place("task", queue=event.queue, id=event.task_id) if event.task_id else None
    return Row(key, cells, event, "red" if event.outcome == "failed" else "", leads_to)


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
)

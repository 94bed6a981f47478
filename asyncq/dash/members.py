"""The lists of servers, of what they work on, and of schedulers: the programs that are there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from asyncq.dash import acting
from asyncq.dash.places import Place
from asyncq.dash.rows import Column, Reading, Row, View
from asyncq.dash.texts import NOTHING, away, clean, line, number, span
from asyncq.inspector import Inspector, SchedulerInfo, ServerInfo, WorkerInfo


def _columns(what: str) -> tuple[Column, ...]:
    """What is said of any program."""
    return Column(what), Column("WHERE"), Column("NAME", least=100), Column("STATUS")


def _cells(info: ServerInfo | SchedulerInfo) -> tuple[str, ...]:
    where = f"{clean(info.host)}:{info.pid}"
    return clean(info.id), where, clean(info.name) or NOTHING, clean(info.status)


# --- servers ------------------------------------------------------------------------------------


async def _servers(inspector: Inspector, place: Place) -> Reading:
    found = await inspector.servers.list(partial=True)
    rows = [_server(info) for info in found if place.takes(info.id, info.host, info.name, *info.queues)]
    return Reading(rows, missing=found.missing)


def _server(info: ServerInfo) -> Row:
    cells = (
        *_cells(info),
        f"{info.active}/{info.concurrency}",
        " ".join(f"{clean(name)}:{weight}" for name, weight in info.queues.items()),
        away(info.started_at),
    )
    return Row(
        info.id, cells, info, "" if info.status == "active" else "yellow", Place("workers", id=info.id)
    )


SERVERS: Final = View(
    "servers",
    lambda _: "Servers",
    (
        *_columns("SERVER"),
        Column("BUSY", is_number=True),
        Column("QUEUES", least=80),
        Column("STARTED", is_number=True, least=70),
    ),
    _servers,
)


# --- what they work on ----------------------------------------------------------------------------


async def _workers(inspector: Inspector, place: Place) -> Reading:
    found = await inspector.servers.workers(server_id=place.id or None, partial=True)
    now = datetime.now(UTC)
    rows = [
        _worker(info, now)
        for info in found
        if place.takes(info.task_id, info.type, info.queue, info.server_id)
    ]
    return Reading(rows, missing=found.missing)


def _worker(info: WorkerInfo, now: datetime) -> Row:
    cells = (
        clean(info.task_id),
        clean(info.type) or "cannot be read",
        clean(info.queue),
        span((now - info.started_at).total_seconds()) if info.started_at else NOTHING,
        str(info.attempt),
        clean(info.server_id),
        "ran out" if info.is_orphaned else away(info.lease_ends_at),
    )
    leads_to = Place("task", queue=info.queue, id=info.task_id)
    return Row(f"{info.queue} {info.task_id}", cells, info, "red" if info.is_orphaned else "", leads_to)


WORKERS: Final = View(
    "workers",
    lambda place: f"Work of server {clean(place.id)}" if place.id else "Work",
    (
        Column("TASK"),
        Column("TYPE"),
        Column("QUEUE"),
        Column("FOR", is_number=True),
        Column("ATTEMPT", is_number=True, least=80),
        Column("SERVER", least=90),
        Column("LEASE", is_number=True, least=70),
    ),
    _workers,
    acting.OF_WORKERS,
)


# --- schedulers -----------------------------------------------------------------------------------


async def _schedulers(inspector: Inspector, place: Place) -> Reading:
    found = await inspector.schedulers.list(partial=True)
    rows = [
        _scheduler(info) for info in found if place.takes(info.id, info.host, info.name, info.application)
    ]
    return Reading(rows, missing=found.missing)


def _scheduler(info: SchedulerInfo) -> Row:
    cells = (
        *_cells(info),
        clean(info.health),
        number(info.entries),
        away(info.last_tick_at),
        line(info.sync_error) or NOTHING,
    )
    return Row(info.id, cells, info, "" if info.health == "ok" else "red", Place("entries"))


SCHEDULERS: Final = View(
    "schedulers",
    lambda _: "Schedulers",
    (
        *_columns("SCHEDULER"),
        Column("HEALTH"),
        Column("ENTRIES", is_number=True, least=60),
        Column("LAST TIME", is_number=True, least=70),
        Column("TROUBLE", least=110),
    ),
    _schedulers,
)

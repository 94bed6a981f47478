"""`asyncq server`: the servers that are there, and what they work on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.branches import Branch
from asyncq.cli.connecting import complete_queues
from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import away, clock, span
from asyncq.cli.output import Answers, Column, View, details
from asyncq.cli.shapes import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncq.inspector import ServerInfo, WorkerInfo


def _queues(info: ServerInfo) -> str:
    order = " strict" if info.strict_priority else ""
    return " ".join(f"{name}:{weight}" for name, weight in info.queues.items()) + order


_COLOURS: Final = {"stopped": "yellow", "leaving": "yellow", "starting": "cyan"}

_SERVERS: Final = View(
    columns=(
        Column("ID", lambda info: info.id),
        Column("HOST", lambda info: info.host, is_elastic=True),
        Column("PID", lambda info: str(info.pid), is_number=True),
        Column("NAME", lambda info: info.name or "-", is_elastic=True),
        Column("STATUS", lambda info: info.status, colour=lambda info: _COLOURS.get(info.status)),
        Column("BUSY", lambda info: f"{info.active}/{info.concurrency}", is_number=True),
        Column("QUEUES", _queues, is_elastic=True),
        Column("STARTED", lambda info: away(info.started_at)),
        Column("LIBRARY", lambda info: info.library),
    ),
    shape=record,
    name=lambda info: info.id,
    none="There are no servers.",
)

WORKERS: Final = View(
    columns=(
        Column("TASK", lambda info: info.task_id),
        Column("TYPE", lambda info: info.type or "?", is_elastic=True),
        Column("QUEUE", lambda info: info.queue, is_elastic=True),
        Column("SERVER", lambda info: info.server_id, is_elastic=True),
        Column("ATTEMPT", lambda info: str(info.attempt), is_number=True),
        Column("STARTED", lambda info: away(info.started_at)),
        Column("DEADLINE", lambda info: away(info.deadline)),
        Column(
            "LEASE",
            lambda info: "ran out" if info.is_orphaned else away(info.lease_ends_at),
            colour=lambda info: "red" if info.is_orphaned else None,
        ),
    ),
    shape=record,
    name=lambda info: info.task_id,
    none="Nothing is being worked on.",
)


@click.group(cls=Branch, aliases={"list": "ls", "inspect": "show", "get": "show", "ps": "workers"})
def server() -> None:
    """Look at servers, and at what they work on."""


@server.command("ls")
@click.option(
    "-q", "--queue", metavar="NAME", shell_complete=complete_queues, help="Those that serve this queue."
)
@click.option("-w", "--workers", is_flag=True, help="With what each works on.")
@at_desk
async def ls(desk: Desk, *, queue: str | None, workers: bool) -> int:
    """List the servers that said something in the last ten seconds."""
    found = await desk.inspector.servers.list(queue=queue, partial=True)
    if not workers:
        sheet = desk.sheet(_SERVERS)
        sheet.add(found)
        return sheet.end(found.missing)
    running = await desk.inspector.servers.workers(queue=queue, partial=True)
    missing = tuple(dict.fromkeys((*found.missing, *running.missing)))
    if not desk.is_for_people:
        sheet = desk.sheet(View(columns=(), shape=_with_workers(running), name=_SERVERS.name, none=""))
        sheet.add(found)
        return sheet.end(missing)
    sheet = desk.sheet(_SERVERS)
    sheet.add(found)
    code = sheet.end(missing)
    click.echo("")
    sheet = desk.sheet(WORKERS)
    sheet.add(running)
    sheet.end()
    return code


def _with_workers(running: Sequence[WorkerInfo]) -> Any:
    def shape(info: ServerInfo) -> dict[str, Any]:
        own = [record(worker) for worker in running if worker.server_id == info.id]
        return record(info) | {"workers": own}

    return shape


@server.command("workers")
@click.argument("server_id", metavar="[SERVER]", required=False)
@click.option(
    "-q", "--queue", metavar="NAME", shell_complete=complete_queues, help="Only tasks of this queue."
)
@at_desk
async def workers(desk: Desk, server_id: str | None, *, queue: str | None) -> int:
    """List what is being worked on, the longest first: all of it, or what one SERVER has.

    Read from the leases, so it is true at this moment, also of a server that hangs or died.
    """
    found = await desk.inspector.servers.workers(server_id=server_id, queue=queue, partial=True)
    sheet = desk.sheet(WORKERS)
    sheet.add(found)
    return sheet.end(found.missing)


@server.command("show")
@click.argument("server_ids", nargs=-1, required=True, metavar="SERVER...")
@at_desk
async def show(desk: Desk, server_ids: tuple[str, ...]) -> int:
    """Show all about servers, and what they work on."""

    async def act(server_id: str, answers: Answers) -> None:
        servers = desk.inspector.servers
        info, running = await servers.get(server_id), await servers.workers(server_id=server_id, partial=True)
        if not desk.is_for_people:
            answers.add("", _with_workers(running)(info), name=info.id)
            return
        _tell(info)
        click.echo("")
        sheet = desk.sheet(WORKERS)
        sheet.add(running)
        sheet.end(running.missing)
        click.echo("")

    return await desk.each(server_ids, act)


def _tell(info: ServerInfo) -> None:
    details(
        [
            ("id", info.id),
            ("host", f"{info.host}, process {info.pid}"),
            ("name", info.name),
            ("status", info.status),
            ("busy", f"{info.active} of {info.concurrency} workers"),
            ("queues", _queues(info)),
            ("lease", span(info.lease)),
            ("types", " ".join(info.types)),
            ("started", clock(info.started_at)),
            ("library", info.library),
        ]
    )

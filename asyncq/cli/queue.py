"""`asyncq queue`: what is in queues, and stopping or removing one."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Final

import click

from asyncq.cli.branches import Branch
from asyncq.cli.connecting import complete_queues
from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import clock, percent, size, span
from asyncq.cli.output import Answers, Column, View, details
from asyncq.cli.shapes import queue_shape, record
from asyncq.cli.terminal import ProgressLine, confirm, counted

if TYPE_CHECKING:
    from asyncq.inspector import DailyStats, Found, Progress, QueueInfo, ServerInfo

STATES: Final = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")

_SORTS: Final = ("archived", "failed", "latency", "name", "pending", "size")


@click.group(
    cls=Branch,
    aliases={
        "list": "ls",
        "inspect": "show",
        "get": "show",
        "unpause": "resume",
        "remove": "rm",
        "delete": "rm",
    },
)
def queue() -> None:
    """Look at queues; pause, resume and remove them."""


def condition(info: QueueInfo, served: Served | None = None) -> str:
    """What a queue does, in a word."""
    if info.is_being_removed:
        return "removing"
    if info.is_paused:
        return "paused"
    return "no server" if info.pending and served is not None and not served.has(info.name) else "open"


class Served:
    """Which queues have a server, as far as is known."""

    def __init__(self, servers: Found[ServerInfo]) -> None:
        self._names = frozenset(name for info in servers for name in info.queues)
        self._is_whole = servers.is_whole

    def has(self, queue: str) -> bool:
        """Whether somebody would take tasks from it. One that could not be looked at may."""
        return queue in self._names or not self._is_whole


def _number(name: str) -> Column:
    title = {"aggregating": "GROUPED"}.get(name, name.upper())
    return Column(title, lambda info: f"{info.sizes[name]:,}", is_number=True)


_COLOURS: Final = {"paused": "yellow", "removing": "yellow", "no server": "red"}


def queues_view(served: Served) -> View:
    """How queues are shown."""
    return View(
        columns=(
            Column("QUEUE", lambda info: info.name, is_elastic=True),
            Column(
                "STATE",
                lambda info: condition(info, served),
                colour=lambda info: _COLOURS.get(condition(info, served)),
            ),
            Column("SIZE", lambda info: f"{info.size:,}", is_number=True),
            *(_number(state) for state in STATES),
            Column("LATENCY", lambda info: span(info.latency) if info.latency else "-", is_number=True),
            Column("PROCESSED", lambda info: f"{info.processed:,}", is_number=True),
            Column("FAILED", lambda info: f"{info.failed:,}", is_number=True),
        ),
        shape=lambda info: queue_shape(info) | {"is_served": served.has(info.name)},
        name=lambda info: info.name,
        none="There are no queues.",
    )


_DAYS: Final = View(
    columns=(
        Column("QUEUE", lambda day: day.queue, is_elastic=True),
        Column("DATE", lambda day: day.date.isoformat()),
        Column("PROCESSED", lambda day: f"{day.processed:,}", is_number=True),
        Column("FAILED", lambda day: f"{day.failed:,}", is_number=True),
        Column("ERROR RATE", lambda day: percent(day.failed, day.processed), is_number=True),
    ),
    shape=record,
    name=lambda day: day.date.isoformat(),
    none="There is no history.",
)


@queue.command("ls")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=complete_queues)
@click.option("--paused", is_flag=True, help="Only those that are paused.")
@click.option("--sort", type=click.Choice(_SORTS), default="name", show_default=True, help="In which order.")
@at_desk
async def ls(desk: Desk, patterns: tuple[str, ...], *, paused: bool, sort: str) -> int:
    """List queues: tasks by state, how long the next one has waited, and what was done today.

    Several PATTERNs such as 'mail-*' name what any of them names. Days are those of UTC. The state is `open`,
    `paused`, `removing`, or `no server` where tasks wait that nobody would take.
    """
    found = await desk.inspector.queues.list(partial=True)
    servers = await desk.inspector.servers.list(partial=True)
    meant = [
        info
        for info in found
        if (not paused or info.is_paused)
        and (not patterns or any(fnmatch.fnmatchcase(info.name, pattern) for pattern in patterns))
    ]
    sheet = desk.sheet(queues_view(Served(servers)))
    sheet.add(sorted(meant, key=lambda info: (0 if sort == "name" else -getattr(info, sort), info.name)))
    return sheet.end(tuple(dict.fromkeys((*found.missing, *servers.missing))))


@queue.command("show")
@click.argument("names", nargs=-1, required=True, metavar="QUEUE...", shell_complete=complete_queues)
@click.option("--days", type=click.IntRange(1, 90), default=7, show_default=True, help="Of history.")
@at_desk
async def show(desk: Desk, names: tuple[str, ...], *, days: int) -> int:
    """Show all about queues: tasks, memory, nodes, and the last days."""

    async def act(name: str, answers: Answers) -> None:
        queues, cluster = desk.inspector.queues, desk.inspector.cluster
        info, memory = await queues.get(name), await queues.memory(name)
        history, nodes = await queues.history(name, days=days), await cluster.nodes(name)
        if not desk.is_for_people:
            more = {"memory": record(memory), "slot": cluster.slot(name)}
            more |= {"nodes": [record(node) for node in nodes], "history": [record(day) for day in history]}
            answers.add("", queue_shape(info) | more, name=name)
            return
        _tell(info)
        details(
            [
                ("memory", f"about {size(memory.total)}"),
                ("slot", str(cluster.slot(name))),
                ("nodes", ", ".join(f"{node.address} ({node.role})" for node in nodes)),
            ]
        )
        click.echo("")
        sheet = desk.sheet(_DAYS)
        sheet.add(history)
        sheet.end()
        click.echo("")

    return await desk.each(names, act)


def _tell(info: QueueInfo) -> None:
    paused = f", since {clock(info.paused_at)}" if info.is_paused and info.paused_at else ""
    rate = percent(info.failed_total, info.processed_total)
    rows = [
        ("queue", info.name),
        ("state", condition(info) + paused),
        ("tasks", f"{info.size:,}"),
        *((f"  {state}", f"{info.sizes[state]:,}") for state in STATES),
        ("groups", f"{info.groups:,}" if info.groups else ""),
        ("orphaned", f"{info.orphaned:,} of the active ones" if info.orphaned else ""),
        ("latency", span(info.latency) if info.latency else ""),
        ("today", f"{info.processed:,} processed, {info.failed:,} failed"),
        ("ever", f"{info.processed_total:,} processed, {info.failed_total:,} failed ({rate})"),
    ]
    details(rows)


@queue.command("history")
@click.argument("names", nargs=-1, metavar="[QUEUE]...", shell_complete=complete_queues)
@click.option(
    "-x", "--days", type=click.IntRange(1, 90), default=10, show_default=True, help="How many, today first."
)
@at_desk
async def history(desk: Desk, names: tuple[str, ...], *, days: int) -> int:
    """Show what queues processed day by day, and how much of it failed. Without a QUEUE, all of them.

    An attempt that failed counts as processed, too. Days are those of UTC.
    """
    queues = desk.inspector.queues
    known = await queues.names(partial=True) if not names else None
    found: list[DailyStats] = []
    for name in names or known or ():
        found += await queues.history(name, days=days)
    sheet = desk.sheet(_DAYS)
    sheet.add(found)
    return sheet.end(known.missing if known is not None else ())


@queue.command("pause")
@click.argument("names", nargs=-1, required=True, metavar="QUEUE...", shell_complete=complete_queues)
@at_desk
async def pause(desk: Desk, names: tuple[str, ...]) -> int:
    """Let no server take tasks from queues. What runs goes on, and so does enqueueing."""

    async def act(name: str, answers: Answers) -> None:
        changed = await desk.inspector.queues.pause(name)
        answers.add(
            f"{name}: {'paused' if changed else 'was paused already'}",
            {"queue": name, "paused": True, "changed": changed},
            name=name,
        )

    return await desk.each(names, act)


@queue.command("resume")
@click.argument("names", nargs=-1, required=True, metavar="QUEUE...", shell_complete=complete_queues)
@at_desk
async def resume(desk: Desk, names: tuple[str, ...]) -> int:
    """Let servers take tasks from queues again."""

    async def act(name: str, answers: Answers) -> None:
        changed = await desk.inspector.queues.unpause(name)
        answers.add(
            f"{name}: {'resumed' if changed else 'was not paused'}",
            {"queue": name, "paused": False, "changed": changed},
            name=name,
        )

    return await desk.each(names, act)


@queue.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="QUEUE...", shell_complete=complete_queues)
@click.option("-f", "--force", is_flag=True, help="With the tasks in it; those that run are cancelled.")
@click.option("--dry-run", is_flag=True, help="Only say how many tasks would go.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@at_desk
async def rm(desk: Desk, names: tuple[str, ...], *, force: bool, dry_run: bool, yes: bool) -> int:
    """Remove queues, with all that belongs to them. Asks first.

    A queue that holds tasks is left alone unless --force says that they go, too. If you interrupt that, the
    rest of the queue is sound and paused: remove it again, or resume it.
    """
    queues = desk.inspector.queues
    if not dry_run and not yes:
        named = ", ".join(names)
        confirm(f"Remove {named}{' with all tasks' if force else ''}?", yes=False)

    async def act(name: str, answers: Answers) -> None:
        if dry_run:
            count = (await queues.get(name)).size
            kept = "" if force or not count else "; it would be left alone without --force"
            answers.add(
                f"{name}: holds {counted(count, 'task')}{kept}",
                {"queue": name, "removed": 0, "held": count, "dry_run": True},
                name=name,
            )
            return
        line = ProgressLine()

        def on_progress(progress: Progress) -> None:
            line.show(progress.step, progress.done, progress.total)

        try:
            removed = await queues.remove(name, force=force, on_progress=on_progress)
        finally:
            line.clear()
        answers.add(
            f"{name}: removed, with {counted(removed, 'task')}",
            {"queue": name, "removed": removed, "held": 0, "dry_run": False},
            name=name,
        )

    return await desk.each(names, act)

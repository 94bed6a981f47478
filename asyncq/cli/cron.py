"""`asyncq cron`: the entries of schedulers, what became of their times, and the schedulers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.branches import Branch
from asyncq.cli.connecting import complete_queues
from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import away, clock, span
from asyncq.cli.later import Later
from asyncq.cli.output import Answers, Column, View, details
from asyncq.cli.shapes import entry_shape, go_entry_shape, plain, readable, record, task_shape
from asyncq.cli.task_looking import text_of
from asyncq.cli.terminal import confirm, counted

if TYPE_CHECKING:
    from asyncq import errors
    from asyncq.entry_info import EnqueueEvent, EntryInfo, GoEntryInfo
else:
    errors = Later("asyncq.errors")

_LAST: Final = datetime.max.replace(tzinfo=UTC)


def kind(info: Any) -> str:
    """Where an entry is: declared in code, stored by a client, or with a scheduler of Go's."""
    origin = getattr(info, "origin", "go")
    return {"code": "declared", "client": "stored"}.get(origin, "go")


def condition(info: Any) -> str:
    """What an entry does, in a word."""
    if getattr(info, "is_paused", False):
        return "paused"
    if getattr(info, "is_orphan", False):
        return "orphaned"
    return "on" if info.next_at is not None else "over"


def _shape(info: Any) -> dict[str, Any]:
    found = go_entry_shape(info) if kind(info) == "go" else entry_shape(info)
    return found | {"state": condition(info)}


def _spec(info: Any) -> str:
    zone = getattr(info, "timezone", "UTC")
    return info.spec if zone == "UTC" else f"{info.spec} {zone}"


_COLOURS: Final = {"paused": "yellow", "orphaned": "yellow", "over": "bright_black"}

_ENTRIES: Final = View(
    columns=(
        Column("ENTRY", lambda info: info.id, is_elastic=True),
        Column("SPEC", _spec, is_elastic=True),
        Column("TYPE", lambda info: info.type, is_elastic=True),
        Column("QUEUE", lambda info: info.queue, is_elastic=True),
        Column("STATE", condition, colour=lambda info: _COLOURS.get(condition(info))),
        Column("NEXT", lambda info: away(info.next_at)),
        Column("PREVIOUS", lambda info: away(info.previous_at)),
        Column("KIND", kind),
        Column("ERROR", lambda info: getattr(info, "last_error", "") or "-", is_elastic=True),
    ),
    shape=_shape,
    name=lambda info: info.id,
    none="There are no entries.",
)


def _reason(event: EnqueueEvent) -> str:
    by_hand = "by hand" if event.is_manual else ""
    return event.error or event.reason or by_hand or "-"


_EVENTS: Final = View(
    columns=(
        Column("NOTED", lambda event: f"{event.enqueued_at:%Y-%m-%d %H:%M:%S}"),
        Column("DUE", lambda event: f"{event.nominal_at:%Y-%m-%d %H:%M:%S}"),
        Column(
            "OUTCOME",
            lambda event: event.outcome,
            colour=lambda event: {"failed": "red", "skipped": "yellow"}.get(event.outcome),
        ),
        Column("TASK", lambda event: event.task_id or "-"),
        Column("QUEUE", lambda event: event.queue or "-", is_elastic=True),
        Column(
            "LATE", lambda event: span(event.lateness) if event.lateness is not None else "-", is_number=True
        ),
        Column("TIMES", lambda event: str(event.count), is_number=True),
        Column("REASON", _reason, is_elastic=True),
    ),
    shape=lambda event: record(event) | {"outcome": event.outcome, "lateness": event.lateness},
    name=lambda event: event.task_id,
    none="There is no history.",
)

_SCHEDULERS: Final = View(
    columns=(
        Column("ID", lambda info: info.id),
        Column("HOST", lambda info: info.host, is_elastic=True),
        Column("PID", lambda info: str(info.pid), is_number=True),
        Column("NAME", lambda info: info.name or "-", is_elastic=True),
        Column("STATUS", lambda info: info.status),
        Column("HEALTH", lambda info: info.health, colour=lambda i: None if i.health == "ok" else "red"),
        Column("ENTRIES", lambda info: f"{info.entries:,}", is_number=True),
        Column("LAST TICK", lambda info: away(info.last_tick_at)),
        Column("STARTED", lambda info: away(info.started_at)),
        Column("APPLICATION", lambda info: info.application or "-", is_elastic=True),
    ),
    shape=record,
    name=lambda info: info.id,
    none="There are no schedulers.",
)


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
def cron() -> None:
    """Look at the entries of schedulers; pause, resume, run and remove them."""


@cron.command("ls")
@click.option("-q", "--queue", metavar="NAME", shell_complete=complete_queues, help="Whose tasks go there.")
@click.option("--paused", is_flag=True, help="Only those that are paused.")
@click.option("--orphaned", is_flag=True, help="Only those that code declared, and declares no more.")
@click.option(
    "--kind", "kinds", type=click.Choice(("stored", "declared", "go")), multiple=True, help="Of this kind."
)
@at_desk
async def ls(desk: Desk, *, queue: str | None, paused: bool, orphaned: bool, kinds: tuple[str, ...]) -> int:
    """List entries, by their next time; also while no scheduler is there.

    KIND is `declared` for those in code, `stored` for those that clients have put, and `go` in the asynq
    wire for those of Go's schedulers.
    """
    schedulers = desk.inspector.schedulers
    found = await schedulers.entries(queue=queue, paused=True if paused else None, partial=True)
    theirs = await schedulers.go_entries(partial=True)
    missing = tuple(dict.fromkeys((*found.missing, *theirs.missing)))
    entries: list[Any] = [info for info in found if not orphaned or info.is_orphan]
    if not paused and not orphaned:
        entries += [info for info in theirs if queue in (None, info.queue)]
    meant = [info for info in entries if not kinds or kind(info) in kinds]
    sheet = desk.sheet(_ENTRIES)
    sheet.add(sorted(meant, key=lambda info: (info.next_at or _LAST, info.id)))
    return sheet.end(missing)


@cron.command("show")
@click.argument("entry_ids", nargs=-1, required=True, metavar="ENTRY...")
@click.option(
    "-n", "--next", "count", type=click.IntRange(0, 1000), default=5, show_default=True, help="Next times."
)
@at_desk
async def show(desk: Desk, entry_ids: tuple[str, ...], *, count: int) -> int:
    """Show all about entries, with their next times."""

    async def act(entry_id: str, answers: Answers) -> None:
        info = await _entry(desk, entry_id)
        upcoming = info.upcoming(count) if count else []
        if not desk.is_for_people:
            answers.add("", _shape(info) | {"upcoming": plain(upcoming)}, name=info.id)
            return
        _tell(info, upcoming)
        click.echo("")

    return await desk.each(entry_ids, act)


async def _entry(desk: Desk, entry_id: str) -> EntryInfo | GoEntryInfo:
    schedulers = desk.inspector.schedulers
    try:
        return await schedulers.entry(entry_id)
    except errors.EntryNotFoundError:
        theirs = {info.id: info for info in await schedulers.go_entries()}
        if entry_id not in theirs:
            raise
        return theirs[entry_id]


def _tell(info: Any, upcoming: list[datetime]) -> None:
    reason = getattr(info, "pause_reason", "")
    paused_at = getattr(info, "paused_at", None)
    options = {name: value for name, value in info.options.items() if name != "queue"}
    rules = getattr(info, "rules", None)
    details(
        [
            ("entry", info.id),
            ("kind", kind(info) + (f", by {info.application}" if getattr(info, "application", "") else "")),
            ("spec", _spec(info)),
            ("type", info.type),
            ("queue", info.queue),
            ("state", condition(info) + (f" since {clock(paused_at)}" if paused_at else "")),
            ("reason", reason),
            ("options", "\n".join(f"{name}: {plain(value)}" for name, value in options.items())),
            ("rules", text_of(record(rules)) if rules is not None else ""),
            ("payload", text_of(readable(lambda: info.payload))),
            ("previous", clock(info.previous_at, never="")),
            ("error", getattr(info, "last_error", "")),
            ("scheduler", f"{info.host}:{info.pid}" if kind(info) == "go" else ""),
            ("next", "\n".join(_local(at) for at in upcoming)),
        ]
    )


def _local(at: datetime) -> str:
    return f"{at.isoformat(sep=' ', timespec='seconds')} ({away(at)})"


@cron.command("history")
@click.argument("entry_ids", nargs=-1, required=True, metavar="ENTRY...")
@click.option(
    "-n", "--size", type=click.IntRange(1, 1000), default=30, show_default=True, help="How many at the most."
)
@at_desk
async def history(desk: Desk, entry_ids: tuple[str, ...], *, size: int) -> int:
    """Show what became of the last times of entries, the newest first; a thousand are kept, for a month.

    Also of an entry that is gone. TIMES says of how many in a row a line tells.
    """
    sheet = desk.sheet(_EVENTS)
    for entry_id in entry_ids:
        if len(entry_ids) > 1:
            desk.note(f"{entry_id}:")
        sheet.add(await desk.inspector.schedulers.events(entry_id, limit=size))
    return sheet.end()


@cron.command("schedulers")
@at_desk
async def schedulers(desk: Desk) -> int:
    """List the schedulers that are there, and whether they are well."""
    found = await desk.inspector.schedulers.list(partial=True)
    sheet = desk.sheet(_SCHEDULERS)
    sheet.add(found)
    return sheet.end(found.missing)


@cron.command("pause")
@click.argument("entry_ids", nargs=-1, required=True, metavar="ENTRY...")
@click.option("--reason", default="", help="What people are told who look at it.")
@at_desk
async def pause(desk: Desk, entry_ids: tuple[str, ...], *, reason: str) -> int:
    """Let entries not be enqueued until they are resumed, over restarts and deploys."""

    async def act(entry_id: str, answers: Answers) -> None:
        info = await desk.inspector.schedulers.pause(entry_id, reason)
        answers.add(f"{entry_id}: paused", _shape(info), name=entry_id)

    return await desk.each(entry_ids, act)


@cron.command("resume")
@click.argument("entry_ids", nargs=-1, required=True, metavar="ENTRY...")
@at_desk
async def resume(desk: Desk, entry_ids: tuple[str, ...]) -> int:
    """Let paused entries be enqueued again. What was due meanwhile is not made up for."""

    async def act(entry_id: str, answers: Answers) -> None:
        info = await desk.inspector.schedulers.resume(entry_id)
        answers.add(f"{entry_id}: resumed, next {clock(info.next_at)}", _shape(info), name=entry_id)

    return await desk.each(entry_ids, act)


@cron.command("run")
@click.argument("entry_ids", nargs=-1, required=True, metavar="ENTRY...")
@at_desk
async def run(desk: Desk, entry_ids: tuple[str, ...]) -> int:
    """Enqueue the tasks of entries at once, also of paused ones. Their times stay as they are."""

    async def act(entry_id: str, answers: Answers) -> None:
        info = await desk.inspector.schedulers.run_now(entry_id)
        text = f"{entry_id}: enqueued {info.id} in {info.queue}"
        answers.add(text, task_shape(info) | {"entry": entry_id}, name=info.id)

    return await desk.each(entry_ids, act)


@cron.command("rm")
@click.argument("entry_ids", nargs=-1, required=True, metavar="ENTRY...")
@click.option("--dry-run", is_flag=True, help="Only look whether they are there.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@at_desk
async def rm(desk: Desk, entry_ids: tuple[str, ...], *, dry_run: bool, yes: bool) -> int:
    """Forget entries; their history stays for a month. Asks first.

    One that running code declares is refused: pause it, or remove it there.
    """
    if not dry_run:
        confirm(f"Remove {counted(len(entry_ids), 'entry')}: {', '.join(entry_ids)}?", yes=yes)

    async def act(entry_id: str, answers: Answers) -> None:
        if dry_run:
            info = await desk.inspector.schedulers.entry(entry_id)
            answers.add(f"{entry_id}: would be removed", _shape(info), name=entry_id)
            return
        await desk.inspector.schedulers.remove(entry_id)
        answers.add(f"{entry_id}: removed", {"id": entry_id, "removed": True}, name=entry_id)

    return await desk.each(entry_ids, act)

"""`asyncq trail`: who changed what, and to whom what was refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.connecting import complete_queues
from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import MOMENT
from asyncq.cli.output import Column, View
from asyncq.cli.shapes import record

if TYPE_CHECKING:
    from asyncq.inspector import TrailPage, TrailRecord

_OUTCOMES: Final = ("begun", "done", "failed", "refused", "interrupted")
_COLOURS: Final = {"done": "green", "failed": "red", "refused": "red", "interrupted": "yellow"}


def _what(one: TrailRecord) -> str:
    """What there is to say, in a line: how many, what was changed, why not."""
    parts = [] if one.count is None else [f"{one.count:,} tasks" if one.count != 1 else "1 task"]
    parts += [f"{name}: {before or '-'} -> {after or '-'}" for name, (before, after) in one.changes.items()]
    return "; ".join([*parts, *([one.reason] if one.reason else [])])


def _shape(one: TrailRecord) -> dict[str, Any]:
    changes = {name: {"before": before, "after": after} for name, (before, after) in one.changes.items()}
    return {**record(one), "changes": changes}


TRAIL: Final = View(
    columns=(
        Column("TIME (UTC)", lambda one: f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"),
        Column("WHO", lambda one: one.actor, is_elastic=True),
        Column("VIA", lambda one: one.via),
        Column("ACTION", lambda one: one.action),
        Column("OUTCOME", lambda one: one.outcome, colour=lambda one: _COLOURS.get(one.outcome)),
        Column("QUEUE", lambda one: one.queue or "-"),
        Column("TARGET", lambda one: one.target or "-", is_elastic=True),
        Column("", _what, is_elastic=True),
    ),
    shape=_shape,
    name=lambda one: one.id,
    none="Nothing like that was changed.",
)


@click.command()
@click.option("--actor", metavar="NAME", help="What this one did.")
@click.option("--action", metavar="RIGHT", help="What needs this right, such as task.delete.")
@click.option(
    "-q", "--queue", metavar="NAME", shell_complete=complete_queues, help="What was done in this queue."
)
@click.option("--outcome", type=click.Choice(_OUTCOMES), help="What came of it.")
@click.option("--via", metavar="TOOL", help="By which tool: cli, web, api, dash, python.")
@click.option("--target", metavar="TEXT", help="Of what, or a part of it: the id of a task, for one.")
@click.option("--operation", metavar="ID", help="Begin and end of one piece of work.")
@click.option("--since", type=MOMENT, help="Not before this time, or so long ago: 2h.")
@click.option("--until", type=MOMENT, help="Not after this; see --since.")
@click.option("--size", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@click.option("--cursor", help="Go on where a page ended; it says how.")
@click.option("--all", "every", is_flag=True, help="All that is kept.")
@at_desk
async def trail(desk: Desk, /, *, every: bool, size: int, cursor: str | None, **filters: Any) -> int:
    """Show who changed what, and to whom what was refused, the newest first.

    About 10,000 records are kept. Work on many tasks has a record at its begin and one at its end. With
    filters 2,000 records are looked at; then it says how to go on.
    """
    sheet = desk.sheet(TRAIL)
    scanned = total = 0
    async for page in _pages(desk, filters, size=size, cursor=cursor):
        sheet.add(page.records)
        scanned, total, cursor = scanned + page.scanned, page.total, page.cursor
        if not every:
            break
    if cursor is not None:
        desk.note(f"{scanned:,} of {total:,} records were looked at; go on with --cursor {cursor}")
    return sheet.end(total=total, scanned=scanned, cursor=cursor)


async def _pages(
    desk: Desk, filters: dict[str, Any], *, size: int, cursor: str | None
) -> AsyncIterator[TrailPage]:
    while True:
        page = await desk.inspector.trail.list(size=size, cursor=cursor, **filters)
        yield page
        cursor = page.cursor
        if cursor is None:
            return

"""`asyncq history`: what was done day by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.connecting import complete_queues
from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import percent
from asyncq.cli.output import Column, View

if TYPE_CHECKING:
    from datetime import date

_DAYS: Final = View(
    columns=(
        Column("DATE", lambda day: day["date"]),
        Column("PROCESSED", lambda day: f"{day['processed']:,}", is_number=True),
        Column("FAILED", lambda day: f"{day['failed']:,}", is_number=True),
        Column("ERROR RATE", lambda day: percent(day["failed"], day["processed"]), is_number=True),
        Column("", lambda day: day["bar"]),
    ),
    shape=lambda day: {name: value for name, value in day.items() if name != "bar"},
    name=lambda day: day["date"],
    none="There are no queues.",
)

_BAR: Final = 30


@click.command()
@click.option(
    "-q",
    "--queue",
    "queues",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_queues,
    help="Only of this queue; may be given again.",
)
@click.option(
    "-x", "--days", type=click.IntRange(1, 90), default=10, show_default=True, help="How many, today first."
)
@at_desk
async def history(desk: Desk, queues: tuple[str, ...], *, days: int) -> int:
    """Show what was processed day by day in all queues together, and how much of it failed.

    `asyncq queue history` shows it for each queue. Days are those of UTC.
    """
    known = None if queues else await desk.inspector.queues.names(partial=True)
    found: dict[date, dict[str, Any]] = {}
    for name in queues or known or ():
        for day in await desk.inspector.queues.history(name, days=days):
            total = found.setdefault(day.date, {"date": day.date.isoformat(), "processed": 0, "failed": 0})
            total["processed"] += day.processed
            total["failed"] += day.failed
    most = max((day["processed"] for day in found.values()), default=0)
    for total in found.values():
        total["bar"] = "#" * (_BAR * total["processed"] // most if most else 0)
    sheet = desk.sheet(_DAYS)
    sheet.add(found[at] for at in sorted(found, reverse=True))
    return sheet.end(known.missing if known is not None else ())

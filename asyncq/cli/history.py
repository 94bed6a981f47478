"""`asyncq history`: what was done day by day, hour by hour, or minute by minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.connecting import complete_queues
from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import DURATION, MOMENT, percent, span
from asyncq.cli.output import Column, View
from asyncq.cli.shapes import record

if TYPE_CHECKING:
    from datetime import date, datetime

    from asyncq.measures import Spread

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


def _share(spread: Spread, percent: int) -> str:
    return span(spread.percentile(percent)) if spread.count else "-"


_NUMBERS: Final = (
    Column("PROCESSED", lambda it: f"{it.processed:,}", is_number=True),
    Column("FAILED", lambda it: f"{it.failed:,}", is_number=True),
    Column("PER SECOND", lambda it: f"{it.throughput:.1f}", is_number=True),
    Column("WAIT P50", lambda it: _share(it.wait, 50), is_number=True),
    Column("P95", lambda it: _share(it.wait, 95), is_number=True),
    Column("RUN P50", lambda it: _share(it.run, 50), is_number=True),
    Column("P95", lambda it: _share(it.run, 95), is_number=True),
)


def _shape(it: Any) -> dict[str, Any]:
    spreads = {"wait": it.wait, "run": it.run, "lateness": it.lateness}
    numbers = {name: value for name, value in record(it).items() if name not in spreads}
    numbers |= {"processed": it.processed, "failed": it.failed, "throughput": it.throughput}
    return numbers | {name: _percentiles(spread) for name, spread in spreads.items()}


def _percentiles(spread: Spread) -> dict[str, float | None]:
    if not spread.count:
        return dict.fromkeys(("mean", "p50", "p95", "p99"))
    return {"mean": spread.mean, **{f"p{share}": spread.percentile(share) for share in (50, 95, 99)}}


_POINTS: Final = View(
    columns=(
        Column("FROM (UTC)", lambda it: f"{it.at:%Y-%m-%d %H:%M}"),
        *_NUMBERS,
        Column("PENDING", lambda it: f"{it.pending:,.0f}", is_number=True),
        Column("OLDEST", lambda it: span(it.oldest) if it.oldest else "-", is_number=True),
    ),
    shape=_shape,
    name=lambda it: it.at.isoformat(),
    none="There is no history.",
)

_TYPES: Final = View(
    columns=(Column("TYPE", lambda it: it.type, is_elastic=True), *_NUMBERS),
    shape=_shape,
    name=lambda it: it.type,
    none="Nothing was done.",
)


@click.command()
@click.option(
    "-q",
    "--queue",
    "queues",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_queues,
    help="Only of this queue; days also of several.",
)
@click.option(
    "-x", "--days", type=click.IntRange(1, 90), default=10, show_default=True, help="How many, today first."
)
@click.option("--since", type=MOMENT, help="In minutes or hours since then: 1h, or a time; for a week.")
@click.option("--step", type=DURATION, help="With --since: how long a line is.  [default: 1m, or 1h]")
@click.option("--type", "type_", metavar="TYPE", help="With --since: of this type only.")
@click.option("--types", is_flag=True, help="With --since: a line for each type.")
@at_desk
async def history(desk: Desk, queues: tuple[str, ...], *, days: int, **options: Any) -> int:
    """Show what was processed day by day in all queues together, and how much of it failed.

    With --since it is shown by minutes or hours, with how long tasks waited and ran: half of them no
    longer than P50, all but one in twenty no longer than P95. Servers of Go count days alone.
    `asyncq queue history` shows days for each queue. Days are those of UTC.
    """
    if options["since"] is not None:
        return await _measured(desk, queues, **options)
    if options["step"] is not None or options["type_"] is not None or options["types"]:
        raise click.UsageError("--step, --type and --types are for --since.")
    return await _by_day(desk, queues, days)


async def _measured(
    desk: Desk,
    queues: tuple[str, ...],
    *,
    since: datetime,
    step: float | None,
    type_: str | None,
    types: bool,
) -> int:
    if len(queues) > 1:
        raise click.UsageError("--since is for one --queue, or all.")
    if types and (step is not None or type_ is not None):
        raise click.UsageError("--types, or --step and --type.")
    measures, queue = desk.inspector.measures, queues[0] if queues else None
    if types:
        summaries = await measures.types(queue, since=since, partial=True)
        sheet = desk.sheet(_TYPES)
        sheet.add(summaries)
        return sheet.end(summaries.missing)
    points = await measures.history(queue, since=since, step=step, type=type_, partial=True)
    sheet = desk.sheet(_POINTS)
    sheet.add(points)
    return sheet.end(points.missing)


async def _by_day(desk: Desk, queues: tuple[str, ...], days: int) -> int:
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

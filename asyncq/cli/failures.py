"""`asyncq failures`: why tasks failed, and how many for each reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.connecting import complete_queues
from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import MOMENT, away
from asyncq.cli.output import Column, View
from asyncq.cli.shapes import plain, task_shape

if TYPE_CHECKING:
    from asyncq.inspector import FailureCause


def _shape(cause: FailureCause) -> dict[str, Any]:
    places = [{"queue": queue, "state": state, "count": n} for (queue, state), n in cause.places.items()]
    return {
        "id": cause.id,
        "type": cause.type,
        "error": cause.error,
        "message": cause.message,
        "count": cause.count,
        "places": places,
        "first_at": plain(cause.first_at),
        "last_at": plain(cause.last_at),
        "sample": task_shape(cause.sample),
    }


_CAUSES: Final = View(
    columns=(
        Column("CAUSE", lambda cause: cause.id),
        Column("COUNT", lambda cause: f"{cause.count:,}", is_number=True),
        Column("TYPE", lambda cause: cause.type, is_elastic=True),
        Column("QUEUES", lambda cause: " ".join(dict.fromkeys(q for q, _ in cause.places)), is_elastic=True),
        Column("LAST", lambda cause: away(cause.last_at)),
        Column("ERROR", lambda cause: f"{cause.error}: {cause.message}".strip(": ") or "-", is_elastic=True),
    ),
    shape=_shape,
    name=lambda cause: cause.id,
    none="Nothing failed.",
)


@click.command()
@click.option("-q", "--queue", metavar="NAME", shell_complete=complete_queues, help="Of this queue only.")
@click.option(
    "-s",
    "--state",
    "states",
    type=click.Choice(("retry", "archived")),
    multiple=True,
    help="In this state; otherwise in both.",
)
@click.option("--type", "type_", metavar="TYPE", help="Of this type; * stands for any text.")
@click.option("--since", type=MOMENT, help="Not before this time, or so long ago.")
@click.option(
    "--scan", type=click.IntRange(1), default=5000, show_default=True, help="Tasks that are looked at."
)
@at_desk
async def failures(
    desk: Desk, *, queue: str | None, states: tuple[str, ...], scan: int, **options: Any
) -> int:
    """Show why tasks failed, the most frequent reason first.

    `asyncq task ls --cause CAUSE` lists the tasks of one, and `asyncq task retry --cause CAUSE` runs them.
    """
    filters = {"type": options["type_"], "since": options["since"]}
    given = {name: value for name, value in filters.items() if value is not None}
    report = await desk.inspector.failures.list(
        queue, states=states or ("retry", "archived"), scan=scan, partial=True, **given
    )
    sheet = desk.sheet(_CAUSES)
    sheet.add(report.causes)
    if report.scanned < report.total:
        desk.note(f"Looked at {report.scanned:,} of {report.total:,} tasks; --scan looks at more.")
    return sheet.end(report.missing, total=report.total, scanned=report.scanned)

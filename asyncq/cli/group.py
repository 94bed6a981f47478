"""`asyncq group`: tasks that wait to become one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.branches import Branch
from asyncq.cli.choosing import Choice, bulk_options
from asyncq.cli.connecting import complete_queues
from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import away
from asyncq.cli.output import Column, View
from asyncq.cli.shapes import record
from asyncq.cli.task_acting import ARCHIVE, DELETE, RUN, sweep

if TYPE_CHECKING:
    from asyncq.inspector import BulkReport

_GROUPS: Final = View(
    columns=(
        Column("QUEUE", lambda info: info.queue, is_elastic=True),
        Column("GROUP", lambda info: info.name, is_elastic=True),
        Column("SIZE", lambda info: f"{info.size:,}", is_number=True),
        Column("AGGREGATING", lambda info: f"{info.aggregating:,}", is_number=True),
        Column("OLDEST", lambda info: away(info.oldest_at)),
        Column("LATEST", lambda info: away(info.latest_at)),
    ),
    shape=record,
    name=lambda info: info.name,
    none="There are no groups.",
)

_queue: Final = click.option(
    "-q",
    "--queue",
    metavar="NAME",
    default="default",
    show_default=True,
    shell_complete=complete_queues,
    help="The queue.",
)


@click.group(
    cls=Branch,
    aliases={
        "list": "ls",
        "inspect": "show",
        "get": "show",
        "rm": "delete",
        "remove": "delete",
        "flush": "run",
    },
)
def group() -> None:
    """Look at groups of tasks; run, archive and delete what waits in one.

    `asyncq task ls -q QUEUE --group NAME` lists the tasks of a group.
    """


@group.command("ls")
@click.argument("queues", nargs=-1, metavar="[QUEUE]...", shell_complete=complete_queues)
@at_desk
async def ls(desk: Desk, queues: tuple[str, ...]) -> int:
    """List the groups of queues in which tasks wait. Without a QUEUE, of all."""
    known = None if queues else await desk.inspector.queues.sizes(partial=True)
    names = queues or [info.name for info in known or () if info.aggregating]
    missing = [*known.missing] if known is not None else []
    sheet = desk.sheet(_GROUPS)
    for name in names:
        found = await desk.inspector.groups.list(name, partial=True)
        missing += found.missing
        sheet.add(found)
    return sheet.end(missing)


@group.command("show")
@click.argument("name", metavar="GROUP")
@_queue
@at_desk
async def show(desk: Desk, name: str, *, queue: str) -> int:
    """Show one group: how many tasks wait in it, and since when."""
    sheet = desk.sheet(_GROUPS)
    sheet.add([await desk.inspector.groups.get(queue, name)])
    return sheet.end()


def _choice(name: str, queue: str, options: dict[str, Any]) -> Choice:
    return Choice(queues=(queue,), states=("aggregating",), group=name, **options)


@group.command("run")
@click.argument("name", metavar="GROUP")
@_queue
@bulk_options
@at_desk
async def run(desk: Desk, name: str, *, queue: str, **options: Any) -> int:
    """Let the tasks of a group run now, each on its own and not as one."""

    async def all_of(queue: str, state: Any, **more: Any) -> BulkReport:
        return await desk.inspector.tasks.run_all(queue, state, **more)

    return await sweep(desk, RUN, _choice(name, queue, options), all_of, [(queue, "aggregating")])


@group.command("archive")
@click.argument("name", metavar="GROUP")
@_queue
@bulk_options
@at_desk
async def archive(desk: Desk, name: str, *, queue: str, **options: Any) -> int:
    """Put the tasks of a group away."""
    choice = _choice(name, queue, options)
    return await sweep(desk, ARCHIVE, choice, desk.inspector.tasks.archive_all, [(queue, "aggregating")])


@group.command("delete")
@click.argument("name", metavar="GROUP")
@_queue
@bulk_options
@at_desk
async def delete(desk: Desk, name: str, *, queue: str, **options: Any) -> int:
    """Delete the tasks of a group. Asks first."""
    choice = _choice(name, queue, options)
    return await sweep(desk, DELETE, choice, desk.inspector.tasks.delete_all, [(queue, "aggregating")])

"""`asyncq dash`: charts, queues, tasks, failures, servers and schedulers in the terminal, live."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from asyncq.cli.connecting import CLEAN, Target, inspector_options, open_inspector, run


@click.command()
@click.argument("place", nargs=-1)
@inspector_options
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to read what is shown.",
)
@click.pass_context
def dash(ctx: click.Context, /, place: tuple[str, ...], interval: float, **options: Any) -> None:
    """Charts, queues, tasks, failures and servers in the terminal, live, with keys to act on them.

    PLACE is where to begin, as behind a colon inside: `asyncq dash tasks mail archived`. `?` shows the keys.
    """
    target = Target.take(options)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("the dashboard needs a terminal; for a script there is `asyncq stats --json`")
    try:
        room = importlib.import_module("asyncq.dash")
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    ctx.exit(run(_show(room, target, interval, " ".join(place))))


async def _show(room: Any, target: Target, interval: float, start: str) -> int:
    async with open_inspector(target) as inspector:
        # What is done here is found in the trail as done here.
        view = inspector.acting_as(inspector.actor, via="dash")
        board = room.Dashboard(view, read_only=target.read_only, interval=interval, start=start)
        await board.run_async()
        return int(board.return_code or CLEAN)

"""`asyncq bench`: how fast is this Redis from here?"""

from __future__ import annotations

import json
import secrets
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.connecting import CLEAN, REFUSED, connection_options, is_read_only, run
from asyncq.cli.terminal import ProgressLine, complain, counted, table

if TYPE_CHECKING:
    from asyncq.cli.measuring import Measured, Wish

_ROWS: Final = {
    "enqueue": "enqueue, one by one",
    "enqueue_concurrently": "enqueue, {callers} callers",
    "enqueue_many": "enqueue_many",
    "run": "run, {concurrency} at a time",
    "pick_up": "enqueue to handler",
    "there_and_back": "enqueue to result",
}


@click.command()
@connection_options
@click.option(
    "--tasks",
    type=click.IntRange(1, 10_000_000),
    default=5_000,
    show_default=True,
    metavar="N",
    help="How many tasks are enqueued and run.",
)
@click.option(
    "--payload",
    type=click.IntRange(1, 1_000_000),
    default=100,
    show_default=True,
    metavar="BYTES",
    help="Size of each payload.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="How many tasks the server runs at the same time.",
)
@click.option(
    "--callers",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="How many enqueue at the same time.",
)
@click.option(
    "--samples",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="How many single tasks are timed.",
)
@click.option("--yes", "-y", is_flag=True, help="Measure although others use this Redis.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.pass_context
def bench(ctx: click.Context, /, **options: Any) -> None:
    """Measure how fast this Redis is for tasks, from this machine.

    Client and server are in this one process, so this shows what one processor of it can do; the
    handler does nothing. A queue of its own is used and removed afterwards, also after Ctrl-C.

    Others that use the same Redis would feel it: where servers work or tasks wait, it asks first, and
    without a terminal it wants --yes. It refuses when its tasks would take half of the memory left.

    Exit code: 0 measured, 1 not wanted, 2 wrong usage, 4 not with --read-only, 5 Redis cannot be reached or
    used.
    """
    from asyncq.cli.measuring import Wish  # noqa: PLC0415 - `--help` does without

    if is_read_only(ctx):
        complain("bench enqueues and runs tasks of its own: not with --read-only or ASYNCQ_READ_ONLY")
        ctx.exit(REFUSED)

    sure, as_json = options.pop("yes"), options.pop("as_json")
    ctx.exit(run(_measure(Wish(**options), sure=sure, as_json=as_json)))


async def _measure(wish: Wish, *, sure: bool, as_json: bool) -> int:
    from asyncq.cli.measuring import QUEUE, Bench  # noqa: PLC0415 - as above

    bench = Bench(wish, QUEUE + secrets.token_hex(4))
    line = ProgressLine()
    async with bench.opened() as inspector:
        pong = await inspector.ping()
        left = await bench.sweep()
        if left:
            click.echo(f"Removed {counted(left, 'queue')} that an earlier bench left.", err=True)
        await bench.check_room()
        obstacles = await bench.obstacles()
        if obstacles and not sure:
            _ask(obstacles)
        try:
            measured = await bench.measure(pong, line.show)
        finally:
            line.clear()
    if as_json:
        click.echo(json.dumps(measured.as_json(), indent=2))
    else:
        _tell(measured)
    return CLEAN


def _ask(obstacles: list[str]) -> None:
    who = " and ".join(obstacles)
    if not sys.stdin.isatty():
        raise click.UsageError(f"{who}, and would feel it: add --yes to measure all the same")
    click.confirm(f"{who}, and would feel it. Measure all the same?", abort=True, err=True)


def _tell(measured: Measured) -> None:
    wish, found = measured.wish, measured.as_json()
    click.echo(f"{measured.pong.server} at {measured.where}, {measured.pong.latency * 1000:.2f} ms away")
    machine = found["machine"]
    click.echo(
        f"Python {machine['python']}, {counted(machine['processors'] or 1, 'processor')}; "
        f"{counted(wish.tasks, 'task')} of {counted(wish.payload, 'byte')}\n"
    )
    rows = [
        [
            label.format(callers=wish.callers, concurrency=wish.concurrency),
            *(_cell(measured.results[name], column) for column in ("rate", "p50", "p99")),
        ]
        for name, label in _ROWS.items()
    ]
    click.echo("\n".join(table(["", "a second", "p50 ms", "p99 ms"], rows)))


def _cell(result: dict[str, float], column: str) -> str:
    if column not in result:
        return ""
    return f"{result[column]:,.0f}" if column == "rate" else f"{result[column] * 1000:,.2f}"

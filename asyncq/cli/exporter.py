"""`asyncq exporter`: metrics of everything in a Redis, for Prometheus."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from asyncq.cli.connecting import connection_options, run
from asyncq.cli.run import Listen


@click.command()
@connection_options
@click.option(
    "--listen",
    type=Listen(),
    default="127.0.0.1:9876",
    show_default=True,
    metavar="HOST:PORT",
    help="Where Prometheus fetches /metrics; port 0 takes a free one.",
)
@click.option(
    "--namespace", metavar="NAME", help="What names begin with; asynq gives those of Go's exporter."
)
@click.option("--max-queues", type=click.IntRange(0), help="Queues with labels of their own.")
@click.option("--timeout", type=click.FloatRange(0.1, 300), help="Seconds that one look at Redis may take.")
@click.pass_context
def exporter(ctx: click.Context, /, **options: Any) -> None:
    """Serve the metrics of a whole Redis to Prometheus.

    One is enough for all servers: it looks at Redis, and not at them. Nothing of payloads is in the
    numbers, and there is no password: off this machine, keep it inside your network.

    Exit code: 0 it was told to leave, 2 wrong usage, or it cannot listen there.
    """
    ctx.exit(run(_serve(options)))


async def _serve(options: dict[str, Any]) -> int:
    import asyncio  # noqa: PLC0415 - `--help` does without
    import signal  # noqa: PLC0415

    from asyncq._signals import handled  # noqa: PLC0415

    try:
        room: Any = import_module("asyncq.metrics")
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from error
    given = {name: value for name, value in options.items() if name != "url" and value is not None}
    told = asyncio.Event()
    with handled({signal.SIGTERM: told.set, signal.SIGINT: told.set}):
        async with room.Exporter(options["url"], **given) as made:
            click.echo(f"Metrics at {made.url}  (Ctrl-C leaves)")
            await told.wait()
    return 0

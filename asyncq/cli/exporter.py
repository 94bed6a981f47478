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
    "--namespace",
    default="asyncq",
    show_default=True,
    metavar="NAME",
    help="What names begin with; asynq gives those of Go's exporter.",
)
@click.option(
    "--max-queues",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="Queues with labels of their own; the others share one.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0, 3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a look at Redis is shown again instead of a new one.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 300),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one look at Redis may take.",
)
@click.option(
    "--memory-interval",
    type=click.FloatRange(0, 86400),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How often the memory of a queue is estimated; 0 for never.",
)
@click.pass_context
def exporter(ctx: click.Context, /, **options: Any) -> None:
    """Serve the metrics of a whole Redis to Prometheus.

    One is enough for all servers: it looks at Redis, and not at them. Nothing of payloads is in the
    numbers, and there is no password: off this machine, keep it inside your network.

    Exit code: 0 it was told to leave, 1 it cannot listen there, 2 wrong usage.
    """
    ctx.exit(run(_serve(options)))


async def _serve(options: dict[str, Any]) -> int:
    import asyncio  # noqa: PLC0415 - `--help` does without
    import signal  # noqa: PLC0415
    from contextlib import AsyncExitStack  # noqa: PLC0415

    from asyncq._signals import handled  # noqa: PLC0415
    from asyncq.errors import ConfigError  # noqa: PLC0415

    try:
        room: Any = import_module("asyncq.metrics")
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from error
    given = {name: value for name, value in options.items() if name != "url" and value is not None}
    told = asyncio.Event()
    with handled({signal.SIGTERM: told.set, signal.SIGINT: told.set}):
        async with AsyncExitStack() as stack:
            made = room.Exporter(options["url"], **given)
            try:
                await stack.enter_async_context(made)
            except ConfigError as error:
                # The command was right: it may be, too, in a minute.
                raise click.ClickException(str(error)) from error
            click.echo(f"Metrics at {made.url}  (Ctrl-C leaves)")
            await told.wait()
    return 0

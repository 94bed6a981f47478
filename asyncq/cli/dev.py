"""`asyncq dev`: all that one needs to write tasks, in one command."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import click

from asyncq.cli.connecting import connection_options
from asyncq.cli.run import app_arguments, is_given, plan_of, server_options
from asyncq.cli.web import PORT


@click.command()
@app_arguments
@connection_options
@server_options
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Of the web UI.")
@click.option("--web/--no-web", "with_web", default=True, help="Whether to have one.  [default: web]")
@click.option(
    "--reload/--no-reload", default=True, help="Start anew when Python files change.  [default: reload]"
)
@click.option(
    "--reload-dir",
    "reload_dirs",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Watch this folder, in place of --app-dir; may be given again.",
)
@click.option("--fresh", is_flag=True, help="Begin with an empty Valkey, and keep nothing.")
@click.pass_context
def dev(ctx: click.Context, /, **options: Any) -> None:
    """Develop: a Valkey, a program that is reloaded, and the web UI, in one.

    \b
      asyncq dev shop.tasks

    The embedded Valkey keeps its data in .asyncq here, unless --fresh. With --url or ASYNCQ_URL that Redis
    is used in its place. The program finds it in ASYNCQ_URL.

    For your own machine: the web UI has no password and listens here only.
    """  # noqa: D301 - the \b is click's: do not wrap this
    import asyncio  # noqa: PLC0415 - `--help` does without

    from asyncq.cli.developing import develop  # noqa: PLC0415 - as above

    options["embedded"] = not is_given(ctx, "url")
    if options["fresh"] and not options["embedded"]:
        raise click.UsageError(
            "--fresh is about the embedded Valkey, and --url or ASYNCQ_URL names another one"
        )
    folders = list(options["reload_dirs"]) or [options["app_dir"]]
    with ExitStack() as stack:
        plan = plan_of(ctx, {**options, "probes": None}, stack)
        port = options["port"] if options["with_web"] else None
        watched = folders if options["reload"] else []
        ctx.exit(asyncio.run(develop(plan, where=plan.url or options["url"], port=port, reload_dirs=watched)))

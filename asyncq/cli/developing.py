"""Everything of `asyncq dev` in one: the program, reloaded, and the web UI beside it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import click

from asyncq.cli.logs import set_up
from asyncq.cli.parent import Parent
from asyncq.cli.plan import Plan
from asyncq.cli.running import reloading
from asyncq.cli.serving import bound, serving, url_of
from asyncq.connection import ConnectionOptions, Topology


async def develop(plan: Plan, *, where: str, port: int | None, reload_dirs: Sequence[str]) -> int:
    """Run a plan and the web UI until told to leave.

    Args:
        plan: The program.
        where: The URL of Redis, for the web UI.
        port: Of the web UI; 0 for any, `None` for no web UI.
        reload_dirs: Folders to watch; none, and nothing is reloaded.
    """
    set_up(plan)
    parent = Parent(plan, 1, waits_for_changes=bool(reload_dirs))
    async with _web(plan, where, port) as url, reloading(parent, reload_dirs):
        _tell(plan, where, url, reload_dirs)
        return await parent.run()


@asynccontextmanager
async def _web(plan: Plan, where: str, port: int | None) -> AsyncGenerator[str]:
    """Serve the web UI for the length of a block; gives its address, or says why there is none."""
    if port is None:
        yield ""
        return
    try:
        web: Any = import_module("asyncq.web")
    except ImportError:
        yield 'not installed: pip install "asyncq[web]"'
        return
    with bound("127.0.0.1", port) as listener:
        app = web.app(where, auth=web.NoAuth(), environment="dev", prefix=plan.prefix, wire=plan.wire)
        async with serving(app, listener):
            yield url_of(listener)


def _tell(plan: Plan, where: str, web: str, reload_dirs: Sequence[str]) -> None:
    """Say where everything is."""
    watched = (
        f"starts anew when Python files in {', '.join(reload_dirs)} change" if reload_dirs else "not reloaded"
    )
    options = ConnectionOptions.from_url(where)
    lines = [("program", f"{' '.join(plan.apps)}  ({watched})"), ("redis", options.describe())]
    if web:
        lines.append(("web UI", web))
    # Another URL is known to whoever gave it, and may hold a password.
    elsewhere = f" --url {where}" if options.topology is Topology.EMBEDDED else ""
    lines.append(("enqueue", f"asyncq enqueue TYPE '{{\"json\": true}}'{elsewhere}"))
    click.echo(click.style("\nasyncq dev", bold=True) + "  Ctrl-C leaves\n")
    for name, text in lines:
        click.echo(f"  {click.style(name.ljust(8), fg='cyan')} {text}")
    click.echo()

"""The command `asyncq`.

A command's module is imported when the command is used, so `asyncq --help` and the completion of
a shell stay quick.
"""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Any, Final

import click

__all__ = ["main"]

COMMANDS: Final = {
    "bench": "Measure how fast Redis is for tasks, from this machine.",
    "completion": "Print the shell's completion script.",
    "cron": "Look at the entries of schedulers; pause, resume, run and remove them.",
    "dash": "Queues, tasks, servers and schedulers in the terminal, live, with keys to act on them.",
    "dev": "Develop: an embedded Redis, a program that is reloaded, and the web UI.",
    "doctor": "Check Redis and every task in it; repair what is damaged.",
    "enqueue": "Put a task into a queue, or many.",
    "exporter": "Serve metrics of a whole Redis to Prometheus.",
    "failures": "Why tasks failed, and how many for each reason.",
    "group": "Look at groups of tasks; run, archive and delete what waits in one.",
    "history": "What was done day by day, and how much of it failed.",
    "queue": "Look at queues; pause, resume and remove them.",
    "run": "Run the servers and schedulers of a program.",
    "server": "Look at servers, and at what they work on.",
    "stats": "Everything at a glance: tasks by state, queues, Redis.",
    "task": "Look at tasks; run, archive, cancel, delete and change them.",
    "trail": "Who changed what, and to whom what was refused.",
    "web": "Serve the web UI.",
}
"""Each is a module of this folder that holds a command of the same name."""


class _Lazy(click.Group):
    """A group that knows its commands by name until one is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            near = import_module("difflib").get_close_matches(cmd_name, COMMANDS, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(sorted(COMMANDS))}."
            raise click.UsageError(f"No such command {cmd_name!r}. {hint}", ctx)
        found: Any = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        assert isinstance(found, click.Command)  # noqa: S101 - for the type checkers
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        # The usual way would import every command for its one line.
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def _show_version(ctx: click.Context, option: click.Parameter, value: bool) -> None:  # noqa: ARG001, FBT001 - click's
    if value:
        # Of the code that runs, also where it runs from a source tree and no package is installed.
        click.echo(f"asyncq {sys.modules['asyncq'].__version__}")
        ctx.exit()


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not allowed, 5 Redis cannot be "
    "reached, 6 partly done, 130 interrupted. Colours are off with --no-color, with NO_COLOR set, and where "
    "the output is no terminal.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
@click.option("--no-color", is_flag=True, help="Plain text.")
@click.option(
    "--read-only",
    is_flag=True,
    envvar="ASYNCQ_READ_ONLY",
    show_envvar=True,
    help="Refuse whatever would change something.",
)
@click.option("--prefix", help="What every key begins with.")
@click.option("--wire", type=click.Choice(("native", "asynq")), help="How tasks look in Redis.")
@click.option("--url", help="Where Redis is. May stand here or after the command, as the others.")
@click.pass_context
def main(ctx: click.Context, /, *, no_color: bool, **_: Any) -> None:
    """Look after an asyncq task queue."""
    if no_color or os.environ.get("NO_COLOR"):
        ctx.color = False
    for stream in (sys.stdout, sys.stderr):
        # A name that this terminal has no letters for must not end a command half-way.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

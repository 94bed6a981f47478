"""The command `asyncq`.

A command's module is imported when the command is used, so `asyncq --help` and the completion of
a shell stay quick.
"""

from __future__ import annotations

import difflib
import os
import sys
from importlib import import_module
from typing import Any, Final

import click

__all__ = ["main"]

COMMANDS: Final = {
    "completion": "Print the shell's completion script.",
    "doctor": "Check Redis and every task in it; repair what is damaged.",
}
"""Each is a module of this folder that holds a command of the same name."""


class _Lazy(click.Group):
    """A group that knows its commands by name until one is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {' and '.join(sorted(COMMANDS))}."
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
    epilog="Colours are off with --no-color, with NO_COLOR set, and where the output is no terminal.",
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
@click.pass_context
def main(ctx: click.Context, *, no_color: bool) -> None:
    """Look after an asyncq task queue."""
    if no_color or os.environ.get("NO_COLOR"):
        ctx.color = False

"""`asyncq run`: run servers and schedulers of a program."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click
from click.core import ParameterSource

from asyncq.cli.connecting import connection_options
from asyncq.cli.plan import Plan

if TYPE_CHECKING:
    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType  # which older releases of click do not let be subscripted

_Function = TypeVar("_Function", bound=Callable[..., Any])

LEVELS: Final = ("debug", "info", "warning", "error")

_CONNECTION: Final = ("url", "wire", "prefix")


class Weights(_Type):
    """`critical=6,default=3`; a name alone weighs 1."""

    name = "weights"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        """Read them."""
        if isinstance(value, dict):
            return cast("dict[str, int]", value)
        weights: dict[str, int] = {}
        for part in str(value).split(","):
            queue, equals, weight = part.strip().rpartition("=") if "=" in part else (part.strip(), "=", "1")
            if not queue or not weight.isdecimal() or not int(weight) or not equals:
                self.fail(f"{part!r} is no queue with a weight, as in critical=6,default=3", param, ctx)
            if queue in weights:
                self.fail(f"{queue!r} is there twice", param, ctx)
            weights[queue] = int(weight)
        return weights


class Listen(_Type):
    """`HOST:PORT`, `:PORT` or `PORT`."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it; without a host it is this machine alone."""
        host, _, port = str(value).rpartition(":")
        if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
            self.fail(f"{value!r} is no address, as in 127.0.0.1:8081 or 8081", param, ctx)
        return f"{host or '127.0.0.1'}:{port}"


def app_arguments(function: _Function) -> _Function:
    """Add what says which program it is."""
    apps = click.argument("apps", nargs=-1, required=True, metavar="MODULE:APP...")
    folder = click.option(
        "--app-dir", default=".", show_default=True, metavar="DIR", help="Where modules are looked for first."
    )
    factory = click.option("--factory", is_flag=True, help="APP is a function that returns what is to run.")
    return apps(folder(factory(function)))


def server_options(function: _Function) -> _Function:
    """Add what changes servers and how they log."""
    for option in reversed(
        (
            click.option(
                "--concurrency", type=click.IntRange(1), help="How many tasks run at the same time."
            ),
            click.option(
                "--queues", type=Weights(), metavar="A=6,B=3", help="Queues to serve, with weights."
            ),
            click.option(
                "--strict/--no-strict",
                default=None,
                help="Serve a queue only while those of higher weight are empty.",
            ),
            click.option("--log-level", type=click.Choice(LEVELS), help="Log nothing below this."),
            click.option(
                "--log-format",
                type=click.Choice(["text", "json"]),
                default="text",
                show_default=True,
                help="Lines for people, or an object of JSON a line.",
            ),
            click.option(
                "--uvloop/--no-uvloop",
                default=None,
                help="The faster event loop.  [default: where installed]",
            ),
        )
    ):
        function = option(function)
    return function


@click.command()
@app_arguments
@connection_options
@server_options
@click.option(
    "--processes",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="How many processes do the same work.",
)
@click.option(
    "--probes",
    type=Listen(),
    metavar="HOST:PORT",
    help="Answer /healthz and /readyz there; of several processes, each has the next port, too.",
)
@click.option("--reload", is_flag=True, help="For development: start anew when Python files change.")
@click.option(
    "--reload-dir",
    "reload_dirs",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Watch this folder, in place of --app-dir; may be given again.",
)
@click.option("--embedded", is_flag=True, help="Start an embedded Valkey; its data is kept in .asyncq here.")
@click.option("--fresh", is_flag=True, help="Of --embedded: begin with nothing, and keep nothing.")
@click.pass_context
def run(ctx: click.Context, /, **options: Any) -> None:
    """Run the servers and schedulers of a program.

    MODULE:APP names an App(server, mux, schedulers=[...]), a Scheduler, or a list of these; :app may be
    left out.

    \b
      asyncq run shop.tasks
      asyncq run shop.tasks:app --processes 4 --queues critical=6,default=3
      asyncq run shop.tasks:app --reload --embedded

    --url, --wire and --prefix win over what the program says; it finds the first two in ASYNCQ_URL
    and ASYNCQ_WIRE, too, so that its clients can go the same way.

    SIGTERM or Ctrl-C: take no more tasks, let those that run finish, leave. Again: at once. SIGTSTP: take
    no more tasks; SIGCONT: do again.

    Exit code: 0 it was told to leave, 1 the program broke, 2 wrong usage, 5 Redis cannot be reached or used.
    """  # noqa: D301 - the \b is click's: do not wrap this
    from asyncq.cli import running  # noqa: PLC0415 - `--help` does without

    settle_embedding(options)
    with ExitStack() as stack:
        plan = plan_of(ctx, options, stack)
        folders = list(options["reload_dirs"]) or ([options["app_dir"]] if options["reload"] else [])
        ctx.exit(running.carry_out(plan, options["processes"], reload_dirs=folders))


def settle_embedding(options: dict[str, Any]) -> None:
    """Refuse what cannot go together.

    Raises:
        UsageError: It cannot.
    """
    if options["fresh"] and not options["embedded"]:
        raise click.UsageError("--fresh is about the embedded Valkey: add --embedded")


def plan_of(ctx: click.Context, options: dict[str, Any], stack: ExitStack) -> Plan:
    """What was asked for. The embedded Valkey, if it was, lives as long as the stack.

    Raises:
        UsageError: Two places for Redis were given.
    """
    given = {name: options[name] for name in _CONNECTION if is_given(ctx, name)}
    if options["embedded"]:
        from asyncq.cli.embedding import embedded  # noqa: PLC0415 - as above

        if ctx.get_parameter_source("url") is ParameterSource.COMMANDLINE:
            raise click.UsageError("--embedded and --url are two places for Redis: give one")
        given["url"] = stack.enter_context(embedded(fresh=options["fresh"]))
    servers = {"concurrency": "concurrency", "queues": "queues", "strict": "strict_priority"}
    return Plan(
        apps=options["apps"],
        app_dir=options["app_dir"],
        factory=options["factory"],
        options={name: options[option] for option, name in servers.items() if options[option] is not None},
        log_level=options["log_level"],
        log_format=options["log_format"],
        uvloop=options["uvloop"],
        probes=options["probes"],
        color=ctx.color is not False and sys.stderr.isatty() and not os.environ.get("NO_COLOR"),
        is_reloaded=bool(options["reload"] or options["reload_dirs"]),
        **given,
    )


def is_given(ctx: click.Context, name: str) -> bool:
    """Whether an option was given, on the command line or by the environment: the program says otherwise."""
    return ctx.get_parameter_source(name) is not ParameterSource.DEFAULT and ctx.params[name] is not None

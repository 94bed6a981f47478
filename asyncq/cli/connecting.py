"""What every command that talks to Redis shares: its options, the way to Redis, and its exit codes.

Nothing in here, and nothing at the top of a command's module, imports what needs Redis' library: that takes
longer than a shell may wait for the help and for a completion.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

from asyncq.cli.later import Later
from asyncq.cli.terminal import clean, complain

if TYPE_CHECKING:
    from asyncq import errors
    from asyncq.inspector import Inspector
else:
    errors = Later("asyncq.errors")

DEFAULT_URL: Final = "redis://localhost:6379/0"

NATIVE: Final = "native"
WIRES: Final = (NATIVE, "asynq")
"""As `Connection` calls them."""

CLEAN: Final = 0
FINDINGS: Final = 1
USAGE: Final = 2
MISSING: Final = 3
REFUSED: Final = 4
UNREACHABLE: Final = 5
PARTLY: Final = 6
INTERRUPTED: Final = 130
"""As a shell has it for a program that SIGINT ended."""
CUT_OFF: Final = 141
"""And for one that wrote to a pipe that nobody reads: `| head` is no mistake."""

PATIENCE: Final = 3.0
"""Seconds. A fail-over takes longer, and an operator in front of a Redis that is away wants to know it."""

_COMPLETION_SECONDS: Final = 1.0
_LONGEST_NAME: Final = 200

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Shared(click.Option):
    """An option that may stand before the command, too: `asyncq --url … queue ls`."""

    def consume_value(self, ctx: click.Context, opts: Any) -> tuple[Any, ParameterSource]:
        value, source = super().consume_value(ctx, opts)
        root = ctx.find_root()
        name = self.name or ""
        if source is not ParameterSource.COMMANDLINE and ctx is not root and root.params.get(name):
            # Said for all commands, so it is stronger than the environment.
            return root.params[name], ParameterSource.COMMANDLINE
        return value, source


def connection_options(function: _Function) -> _Function:
    """Add `--url`, `--wire` and `--prefix`. Only the command line reads the environment."""
    prefix = click.option(
        "--prefix",
        cls=_Shared,
        help="What every key begins with.  [default: asyncq:, and in the asynq wire always asynq:]",
    )
    wire = click.option(
        "--wire",
        cls=_Shared,
        type=click.Choice(WIRES),
        envvar="ASYNCQ_WIRE",
        default=NATIVE,
        show_default=True,
        show_envvar=True,
        help="How tasks look in Redis: our own way, or that of Go's asynq.",
    )
    url = click.option(
        "--url",
        cls=_Shared,
        envvar="ASYNCQ_URL",
        default=DEFAULT_URL,
        show_default=True,
        show_envvar=True,
        help="Where Redis is: redis://, rediss://, unix://, redis-sentinel://, redis-cluster:// or embedded://.",
    )
    return url(wire(prefix(function)))


def inspector_options(function: _Function) -> _Function:
    """Add those of `connection_options`, and how a command looks at Redis and may act there."""
    colour = click.option(
        "--no-color", is_flag=True, expose_value=False, callback=_plain, is_eager=True, help="Plain text."
    )
    read_only = click.option(
        "--read-only",
        cls=_Shared,
        is_flag=True,
        envvar="ASYNCQ_READ_ONLY",
        show_envvar=True,
        help="Refuse whatever would change something: exit code 4.",
    )
    patience = click.option(
        "--patience",
        type=click.FloatRange(0, 3600),
        default=PATIENCE,
        show_default=True,
        metavar="SECONDS",
        help="How long to try while Redis cannot be reached.",
    )
    return connection_options(patience(read_only(colour(function))))


def is_read_only(ctx: click.Context) -> bool:
    """Whether `--read-only` stands before the command, or in the environment."""
    return bool(ctx.find_root().params.get("read_only"))


def _plain(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001, FBT001 - click's
    if value:
        ctx.color = False


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where Redis is, and what may be done there."""

    url: str = DEFAULT_URL
    wire: str = NATIVE
    prefix: str | None = None
    patience: float = PATIENCE
    read_only: bool = False

    @classmethod
    def take(cls, options: dict[str, Any]) -> Target:
        """Take what is its own out of the options of a command."""
        own = {name: options.pop(name) for name in cls.__dataclass_fields__ if name in options}
        return cls(**own)


def open_inspector(target: Target) -> Inspector:
    """The inspector of a command. Connects at its first use."""
    room = importlib.import_module("asyncq.inspector")
    opened: Inspector = room.Inspector(
        target.url,
        patience=target.patience,
        prefix=target.prefix,
        wire=target.wire,
        actor=who(),
        rights=room.Rights.viewer() if target.read_only else None,
        via="cli",
    )
    return opened


def who() -> str:
    """Who sits there, for the audit trail: `user@host`, in printable letters."""
    try:
        user = str(importlib.import_module("getpass").getuser())
    except (OSError, KeyError, ImportError):  # a container whose user has no name
        user = str(os.getuid()) if hasattr(os, "getuid") else ""
    host = str(importlib.import_module("socket").gethostname())
    return clean(f"{user or 'somebody'}@{host}")[:_LONGEST_NAME]


def code_of(error: errors.AsyncqError) -> int:
    """The exit code that an error ends with: what the caller can do about it."""
    codes: tuple[tuple[type[errors.AsyncqError], int], ...] = (
        (errors.ConfigError, USAGE),
        (errors.NotFoundError, MISSING),
        (errors.NotAllowedError, REFUSED),
        (errors.BrokerError, UNREACHABLE),
    )
    return next((code for kind, code in codes if isinstance(error, kind)), FINDINGS)


def run(work: Coroutine[Any, Any, int | None]) -> int:
    """Run a command and return its exit code; turn our errors into a line and a code."""
    asyncio = importlib.import_module("asyncio")
    try:
        return asyncio.run(work) or CLEAN
    except errors.AsyncqError as error:
        complain(str(error))
        return code_of(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # What is still in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT_OFF


def complete_queues(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Names of queues for the shell, as far as Redis gives them in no time."""
    options = {name: value for name, value in ctx.params.items() if value is not None}
    target = Target.take({**options, "patience": 0.0, "read_only": True})
    asyncio = importlib.import_module("asyncio")

    async def names() -> list[str]:
        # Opened first: what it imports on a slow machine is not for Redis to make up for.
        async with open_inspector(target) as inspector, asyncio.timeout(_COMPLETION_SECONDS):
            return list(await inspector.queues.names(partial=True))

    try:
        found: list[str] = asyncio.run(names())
    except (errors.AsyncqError, TimeoutError, OSError):
        return []
    return [name for name in found if name.startswith(incomplete)]

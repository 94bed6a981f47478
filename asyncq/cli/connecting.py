"""What every command that talks to Redis shares: its options, and its exit codes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import click

from asyncq.errors import BrokerError, ConfigError

DEFAULT_URL: Final = "redis://localhost:6379/0"

NATIVE: Final = "native"
WIRES: Final = (NATIVE, "asynq")
"""As `Connection` calls them."""

CLEAN: Final = 0
FINDINGS: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 5
PARTLY: Final = 6

_Function = TypeVar("_Function", bound=Callable[..., Any])


def connection_options(function: _Function) -> _Function:
    """Add `--url`, `--wire` and `--prefix`. Only the command line reads the environment."""
    prefix = click.option(
        "--prefix",
        help="What every key begins with.  [default: asyncq:, and in the asynq wire always asynq:]",
    )
    wire = click.option(
        "--wire",
        type=click.Choice(WIRES),
        envvar="ASYNCQ_WIRE",
        default=NATIVE,
        show_default=True,
        show_envvar=True,
        help="How tasks look in Redis: our own way, or that of Go's asynq.",
    )
    url = click.option(
        "--url",
        envvar="ASYNCQ_URL",
        default=DEFAULT_URL,
        show_default=True,
        show_envvar=True,
        help="Where Redis is: redis://, rediss://, unix://, redis-sentinel://, redis-cluster:// or embedded://.",
    )
    return url(wire(prefix(function)))


class _RefusedError(click.ClickException):
    """One of our errors, in its own words."""

    exit_code = USAGE


class _UnreachableError(click.ClickException):
    """The same, where Redis is the reason."""

    exit_code = UNREACHABLE


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command and return its exit code; turn our errors into a line and a code."""
    try:
        return asyncio.run(work)
    except ConfigError as error:
        raise _RefusedError(str(error)) from error
    except BrokerError as error:
        raise _UnreachableError(str(error)) from error

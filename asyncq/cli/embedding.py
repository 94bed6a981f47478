"""The embedded Valkey of `--embedded`: where its data is, and whether that is kept."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from asyncq.cli.connecting import UNREACHABLE, USAGE
from asyncq.cli.loading import LoadingError

KEPT_IN: Final = Path(".asyncq", "valkey")
"""Below the working directory. The folder has a .gitignore that covers all of it."""


@contextmanager
def embedded(*, fresh: bool) -> Generator[str]:
    """Have the embedded Valkey for the length of a block; gives its URL.

    Args:
        fresh: Begin with nothing and keep nothing. Otherwise the data stays in `KEPT_IN`.

    Raises:
        LoadingError: There is no program to run on this machine, or it does not start.
    """
    from asyncq.embedded import open_embedded  # noqa: PLC0415 - `--help` does without
    from asyncq.errors import AsyncqError, ConfigError  # noqa: PLC0415

    folder = Path(tempfile.mkdtemp(prefix="asyncq-")) if fresh else _kept()
    try:
        try:
            server = open_embedded(folder)
        except AsyncqError as error:
            code = USAGE if isinstance(error, ConfigError) else UNREACHABLE
            raise LoadingError(str(error), code=code) from error
        kept = "nothing is kept" if fresh else f"data is kept in {KEPT_IN}; delete that to begin anew"
        click.echo(f"Embedded Valkey: embedded://{server.path} ({kept})", err=True)
        with server:
            yield f"embedded://{server.path}"
        if fresh:
            server.wait_gone()
    finally:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)


def _kept() -> Path:
    folder = Path.cwd() / KEPT_IN
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
    except OSError as error:
        raise LoadingError(f"the data of --embedded cannot be kept here: {error}") from error
    return folder

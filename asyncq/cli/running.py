"""How a plan is carried out: in this process, or by a parent with children."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from asyncq._logs import Log
from asyncq._service import Service, running
from asyncq.cli.child import run_here
from asyncq.cli.loading import LoadingError
from asyncq.cli.logs import RUN_LOG, set_up
from asyncq.cli.parent import Parent
from asyncq.cli.plan import Plan
from asyncq.cli.probing import probing
from asyncq.cli.watching import Watch, unreadable
from asyncq.errors import ConfigError

_log: Final = logging.getLogger(RUN_LOG)


class Reloader(Service):
    """Starts the processes anew when source files have changed, unless the change cannot be read."""

    log: Log = _log

    def __init__(self, parent: Parent, watch: Watch) -> None:
        super().__init__("reloader")
        self._parent: Final = parent
        self._watch: Final = watch

    async def tick(self) -> float:
        """Wait for a change, and act on it."""
        files = await self._watch.changes()
        names = ", ".join(_short(file) for file in files[:3]) + (" and others" if len(files) > 3 else "")
        problems = unreadable(files)
        if problems:
            text = "%s changed, and cannot be read: %s; still running what was there before"
            _log.error(text, names, "; ".join(problems), extra={"event": "unreadable_change"})
            return 0.0
        _log.info("%s changed: starting anew", names, extra={"event": "reload"})
        await self._parent.reload()
        return 0.0


def carry_out(plan: Plan, processes: int, *, reload_dirs: Sequence[str] = ()) -> int:
    """Run a plan until it leaves, and return the exit code: in this process where one is all there is.

    Raises:
        LoadingError: It cannot be run. Children say that by themselves.
    """
    if processes == 1 and not reload_dirs:
        return run_here(plan)
    return asyncio.run(run_parent(plan, processes, reload_dirs=reload_dirs))


async def run_parent(plan: Plan, processes: int, *, reload_dirs: Sequence[str] = ()) -> int:
    """Run a plan in child processes; with folders to watch, start them anew when files there change.

    Raises:
        LoadingError: The address of the probes cannot be listened on.
    """
    set_up(plan)
    parent = Parent(plan, processes, waits_for_changes=bool(reload_dirs))
    try:
        async with probing(parent, plan.probes, processes), reloading(parent, reload_dirs):
            return await parent.run()
    except ConfigError as error:
        raise LoadingError(str(error)) from error


@asynccontextmanager
async def reloading(parent: Parent, folders: Sequence[str]) -> AsyncGenerator[None]:
    """Reload the processes of a parent for the length of a block, if there are folders to watch."""
    if not folders:
        yield
        return
    where = ", ".join(_short(Path(folder)) for folder in folders)
    _log.info("watching the Python files in %s", where, extra={"event": "watching"})
    watch = await asyncio.to_thread(Watch, folders)
    async with running(Reloader(parent, watch), lambda _: parent.leave(), _log):
        yield


def _short(path: Path) -> str:
    """A path as one would type it."""
    near = os.path.relpath(path)
    return str(path) if near.startswith("..") else near

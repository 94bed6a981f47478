"""A child process, as its parent has it: started, told what to do, and waited for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from asyncq.cli.plan import Plan
from asyncq.cli.restarts import Ending


class Offspring:
    """One process that runs a plan.

    It is in a process group of its own: what is typed at the terminal goes to the parent alone, which
    passes it on. Otherwise Ctrl-C would ask each child twice.
    """

    def __init__(self, plan: Plan, on_ready: Callable[[Offspring], None]) -> None:
        self._plan: Final = plan
        self._on_ready: Final = on_ready
        self._process: asyncio.subprocess.Process | None = None
        self._orders = -1
        self._reports = -1
        self._rest = b""
        self._since = time.monotonic()
        self.number: Final = plan.number
        self.is_ready = False
        self.report: dict[str, Any] = {}
        """What it said of itself: its `state`, which is `starting` when the program is loaded, then `ready`
        or `failed`, and where its `probes` are."""

    @property
    def pid(self) -> int:
        """Its process id; 0 before the start."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Start it, and return at once.

        Raises:
            OSError: The system has no room for another process.
        """
        theirs_in, self._orders = os.pipe()
        self._reports, theirs_out = os.pipe()
        command = [
            sys.executable,
            "-m",
            "asyncq.cli.child",
            str(theirs_in),
            str(theirs_out),
        ]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                pass_fds=(theirs_in, theirs_out),
                stdin=asyncio.subprocess.DEVNULL,
                process_group=0,
                env=_environment(self._plan),
            )
        except BaseException:
            self._close()
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        # Not on its command line: the URL may hold a password, and anybody may read command lines.
        self.tell(self._plan.dumps())
        os.set_blocking(self._reports, False)
        asyncio.get_running_loop().add_reader(self._reports, self._read)

    def tell(self, word: str) -> None:
        """Pass on an order: `leave`, `now`, `stop` or `resume`."""
        with contextlib.suppress(OSError):  # it has ended, and we are about to hear of it
            os.write(self._orders, word.encode() + b"\n")

    def kill(self) -> None:
        """End it the hard way."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def ended(self) -> Ending:
        """Wait for its end."""
        assert self._process is not None, "start comes first"  # noqa: S101 - a mistake of ours
        try:
            code = await self._process.wait()
            self._read()  # its last words may be on their way still
        finally:
            self._close()
        # What dies in the middle of starting has crashed: a task may have ended it, in the first moment.
        was_able = self.report.get("state") in ("starting", "ready")
        return Ending(code, was_ready=was_able, lived=time.monotonic() - self._since)

    def _read(self) -> None:
        try:
            some = os.read(self._reports, 65536)
        except BlockingIOError:
            return
        if not some:  # it has closed its end
            asyncio.get_running_loop().remove_reader(self._reports)
            return
        *lines, self._rest = (self._rest + some).split(b"\n")
        for line in lines:
            self.report |= json.loads(line)
            self._since = time.monotonic()
            if self.report["state"] == "ready":
                self.is_ready = True
                self._on_ready(self)

    def _close(self) -> None:
        if self._reports >= 0:
            asyncio.get_running_loop().remove_reader(self._reports)
        for pipe in (self._orders, self._reports):
            if pipe >= 0:
                os.close(pipe)
        self._orders = self._reports = -1


def _environment(plan: Plan) -> dict[str, str]:
    """Ours. Compiled code is told from old code by whole seconds: too coarse for who saves again soon."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"} if plan.is_reloaded else dict(os.environ)

"""Servers of asyncq in processes of their own, to be killed and frozen one by one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import Any, Self

from ._processes import spawn
from .ledger import Ledger
from .servers import is_gone, wait_until_gone
from .waiting import wait_until_sync

__all__ = ["Fleet", "Member"]

_ROOT = Path(__file__).parents[2]
_START_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Member:
    """One server process."""

    pid: int

    @property
    def is_alive(self) -> bool:
        """Whether the process is there, frozen or not."""
        return not is_gone(self.pid)

    def kill(self) -> None:
        """End it as a crash does, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        wait_until_gone(self.pid)

    def pause(self) -> None:
        """Freeze it."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to leave."""
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout: float = 20.0) -> None:
        """Wait until it has left."""
        wait_until_gone(self.pid, timeout)


class Fleet:
    """Starts servers within milliseconds, and ends them all with its block.

    Args:
        url: Where Redis is.
        ledger: Where the handlers write.
        queues: As in `"high=3,low=1"`.
        options: Of `asyncq.Server`.
    """

    def __init__(self, url: str, ledger: Ledger, queues: str = "default=1", **options: Any) -> None:
        self._url = url
        self._ledger = ledger
        self._queues = queues
        self._options = options
        self._directory = Path(tempfile.mkdtemp(prefix="aq-"))
        self._zygote: Popen[bytes] | None = None
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.members: list[Member] = []
        self.killed: set[int] = set()

    def start(self, *, skew: float = 0.0, url: str = "", wait: bool = True, **options: Any) -> Member:
        """Start a server, and return when it takes tasks.

        Args:
            skew: Seconds by which its clock is wrong.
            url: In place of the fleet's.
            wait: Return at once if false.
            options: Of `asyncq.Server`, beside the fleet's.
        """
        arguments = ["--url", url or self._url, "--ledger", str(self._ledger.path), "--queues", self._queues]
        arguments += ["--skew", str(skew), "--options", json.dumps({**self._options, **options})]
        self._control.send(json.dumps(arguments).encode())
        member = Member(int(self._control.recv(64)))
        self.members.append(member)
        if wait:
            self.wait_for(member, "started")
        return member

    def kill(self, member: Member) -> None:
        """Kill a server, and remember that it was."""
        self.killed.add(member.pid)
        member.kill()
        self.members.remove(member)

    def wait_for(self, member: Member, event: str, timeout: float = _START_TIMEOUT) -> None:
        """Wait until a server has logged an event."""
        wait_until_sync(
            lambda: self.has_logged(member, event) or not member.is_alive,
            f"{event!r} of a server",
            timeout,
        )
        assert self.has_logged(member, event), f"the server ended:\n{self.log()}"

    def has_logged(self, member: Member, event: str) -> bool:
        """Tell whether a server has logged an event."""
        return any(entry.pid == member.pid and entry.detail == event for entry in self._ledger.entries())

    def log(self) -> str:
        """Return what all the servers have printed."""
        return (self._directory / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        try:
            path = self._directory / "zygote"
            program = [sys.executable, "-m", "tests.support.fault_server", "--zygote", str(path)]
            self._zygote = spawn(program, cwd=_ROOT, log=self._directory / "log")
            wait_until_sync(self._connect, "the program to start", _START_TIMEOUT)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(self.log()[-4000:])
        self._close()

    def _connect(self) -> bool:
        assert self._zygote is not None
        assert self._zygote.poll() is None, self.log()
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            self._control.connect(str(self._directory / "zygote"))
            return True
        return False

    def _close(self) -> None:
        for member in self.members:
            with contextlib.suppress(ProcessLookupError):
                member.kill()
        self._control.close()
        if self._zygote is not None:
            self._zygote.kill()
            self._zygote.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

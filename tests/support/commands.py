"""The command `asyncq` in a process of its own, on a program that a test writes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import textwrap
from pathlib import Path
from types import TracebackType
from typing import Self

from ._processes import spawn
from .servers import is_gone
from .waiting import wait_until_sync

__all__ = ["Command", "Program"]

_ROOT = Path(__file__).parents[2]
_TIMEOUT = 45.0

_HEAD = '''
import asyncio, os, sys, time
from pathlib import Path

from asyncq import App, Mux, Scheduler, Server, Task

HERE = Path(__file__).parent
URL = os.environ.get("ASYNCQ_URL", "redis://127.0.0.1:1/0")


def note(*words):
    """Say something to the test, in one write."""
    with (HERE / "notes").open("a") as file:
        file.write(" ".join(str(word) for word in (*words, os.getpid())) + "\\n")


mux = Mux()

'''


class Program:
    """A module `shop` in a folder; what it notes can be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, source: str, name: str = "shop.py", *, head: str = _HEAD) -> None:
        """Write its source, in one step."""
        scratch = self.folder / f"{name}.new"
        scratch.write_text(head + textwrap.dedent(source))
        scratch.replace(self.folder / name)

    @property
    def notes(self) -> list[tuple[str, int]]:
        """What it noted, each with the id of the process."""
        file = self.folder / "notes"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(words, int(pid)) for words, _, pid in (line.rpartition(" ") for line in lines)]

    def noted(self, words: str) -> list[int]:
        """The processes that noted something."""
        return [pid for noted, pid in self.notes if noted == words]

    def wait(self, words: str, number: int = 1) -> list[int]:
        """Wait until something was noted so often, and return by which processes."""
        wait_until_sync(lambda: len(self.noted(words)) >= number, f"{words!r}, {number} times", _TIMEOUT)
        return self.noted(words)


class Command:
    """One run of `asyncq`; killed with its block."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self._log = folder / f"log-{len(list(folder.glob('log-*')))}"
        command = ["/usr/bin/env", *(f"{name}={value}" for name, value in environment.items())]
        command += [
            f"PYTHONPATH={_ROOT}",
            "PYTHONWARNINGS=error",
            "PYTHONDONTWRITEBYTECODE=",
            sys.executable,
            "-m",
            "asyncq",
            *arguments,
        ]
        self._process = spawn(command, cwd=folder, log=self._log)

    @property
    def pid(self) -> int:
        """The process that was started, a parent where there are children."""
        return self._process.pid

    @property
    def output(self) -> str:
        """All that was printed so far, by children, too."""
        return self._log.read_text(errors="replace")

    def wait_for(self, words: str, number: int = 1) -> None:
        """Wait until words were printed so often."""
        wait_until_sync(
            lambda: self.output.count(words) >= number or self._process.poll() is not None,
            f"{words!r} in the output",
            _TIMEOUT,
        )
        assert self.output.count(words) >= number, self.output

    def children(self, number: int = 1) -> list[int]:
        """The processes that have been reported as working so far, at least so many."""
        self.wait_for(" works\n", number)
        return [int(pid) for pid in re.findall(r"\(pid (\d+)\) works", self.output)]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait until it has left, and return its exit code."""
        return self._process.wait(_TIMEOUT)

    def leave(self) -> int:
        """Ask it to leave in order, and return its exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    def _hard_end(self) -> set[int]:
        """Kill the children, which may be stuck, so that no other test suffers for this one."""
        found: set[int] = set()
        for file in Path(f"/proc/{self.pid}/task").glob("*/children"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found |= {int(pid) for pid in file.read_text().split()}
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pids = {int(pid) for pid in re.findall(r"\(pid (\d+)\)", self.output)}
        if error is not None:
            pids |= self._hard_end()
        self._process.kill()
        self._process.wait()
        wait_until_sync(lambda: all(is_gone(pid) for pid in pids), "the children to leave", _TIMEOUT)
        if error is not None:
            error.add_note(self.output[-6000:])

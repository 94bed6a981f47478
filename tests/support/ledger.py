"""What handlers did, written down outside Redis, where no fault of Redis or of a server can undo it.

Each process appends to a file of its own, a line with each `write`: so what a process wrote
before it was killed is there, and what it was just writing then spoils nobody else's lines.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Account", "Entry", "Ledger", "Run"]

# What a server says of itself when it stops work that is no longer its own, or drops the outcome.
_GIVEN_UP = {"lease_lost", "not_owner"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    phase: str
    """`begin`, `end`, `cancelled` or `failed` of a handler; `log` of the server around it; `exit`.

    `aggregating` of an aggregator, by group; `part` of a task that an aggregated one stands for."""

    pid: int
    at: float
    """Monotonic seconds, the same clock in all processes of this machine."""

    id: str = ""
    token: str = ""
    queue: str = ""
    detail: str = ""
    """The event of a `log`, the error of a `failed` or `exit`."""


@dataclass(slots=True)
class Run:
    """One delivery of one task, as its handler saw it."""

    id: str
    token: str
    pid: int
    began_at: float
    queue: str = ""
    outcome: str = ""
    """Empty while it runs, and for ever if its process was killed meanwhile."""

    ended_at: float = math.inf


@dataclass(frozen=True)
class Account:
    """What became of the tasks that were enqueued."""

    missing: set[str]
    """No handler came to its end."""

    unexplained: list[Run]
    """Runs beside the one that counts, although nothing happened to them that asks for another."""

    runs: dict[str, list[Run]] = field(repr=False)

    @property
    def repeated(self) -> int:
        """How many runs there were beyond one for each task."""
        return sum(len(runs) - 1 for runs in self.runs.values())

    def assert_complete(self) -> None:
        """Fail if a task was lost, or was run again for no reason."""
        assert not self.missing, f"{len(self.missing)} tasks were lost: {sorted(self.missing)[:5]}"
        told = [self.runs[run.id] for run in self.unexplained[:3]]
        assert not self.unexplained, f"{len(self.unexplained)} runs too many, such as {told}"


class Ledger:
    """The files, for writing and for reading.

    Args:
        path: A directory, the same one in all processes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self._mine = os.open(path / str(os.getpid()), os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        self._read_to: dict[str, int] = {}
        self._entries: list[Entry] = []
        self._runs: dict[str, Run] = {}

    def write(self, phase: str, **more: Any) -> None:
        """Append a line."""
        entry = {"phase": phase, "pid": os.getpid(), "at": time.monotonic(), **more}
        os.write(self._mine, json.dumps(entry).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._mine)

    def entries(self) -> list[Entry]:
        """Return all lines so far; those of one process are in order. Costs only what is new."""
        for file in os.scandir(self.path):
            done = self._read_to.get(file.name, 0)
            if file.stat().st_size > done:
                with Path(file).open("rb") as lines:
                    lines.seek(done)
                    data = lines.read()
                whole = data[: data.rfind(b"\n") + 1]
                self._read_to[file.name] = done + len(whole)
                for line in whole.splitlines():
                    self._note(Entry(**json.loads(line)))
        return self._entries

    def _note(self, entry: Entry) -> None:
        self._entries.append(entry)
        if entry.phase == "begin":
            self._runs[entry.token] = Run(entry.id, entry.token, entry.pid, entry.at, entry.queue)
        elif entry.token in self._runs:
            run = self._runs[entry.token]
            run.outcome, run.ended_at = entry.phase, entry.at

    def count(self, phase: str, detail: str | None = None) -> int:
        """Return the number of lines of a phase."""
        return sum(
            entry.phase == phase and (detail is None or entry.detail == detail) for entry in self.entries()
        )

    def ended(self) -> set[str]:
        """Return the ids of the tasks whose handler came to its end."""
        return {entry.id for entry in self.entries() if entry.phase == "end"}

    def runs(self) -> dict[str, list[Run]]:
        """Return the runs of each task, in the order in which they began."""
        self.entries()
        by_task: defaultdict[str, list[Run]] = defaultdict(list)
        for run in sorted(self._runs.values(), key=lambda run: run.began_at):
            by_task[run.id].append(run)
        return dict(by_task)

    def running(self, pid: int) -> int:
        """Return how many handlers a process has begun and not ended."""
        self.entries()
        return sum(run.pid == pid and not run.outcome for run in self._runs.values())

    def most_at_once(
        self,
        killed_at: Mapping[int, float] | None = None,
        *,
        counts: Callable[[Run], bool] = lambda _: True,
    ) -> int:
        """Return how many handlers were at work at the same time; those of a killed process until its death.

        Args:
            killed_at: When which process was killed.
            counts: Which runs are meant.
        """
        self.entries()
        deaths = killed_at or {}
        moments: list[tuple[float, int]] = []
        for run in self._runs.values():
            if counts(run):
                moments += [(run.began_at, 1), (min(run.ended_at, deaths.get(run.pid, math.inf)), -1)]
        count = most = 0
        for _, step in sorted(moments):
            count += step
            most = max(most, count)
        return most

    def account(
        self,
        enqueued: Iterable[str],
        *,
        killed: Collection[int] = (),
        excused: Callable[[Run], bool] = lambda _: False,
    ) -> Account:
        """Account for every task.

        One run of each task needs no reason. Each other run must have one: its process was
        killed, its handler failed or was cancelled, or the server itself said that it had lost
        the lease.

        Args:
            enqueued: The ids of all tasks.
            killed: The processes that were killed.
            excused: Further runs after which another one is in order.
        """
        by_task = self.runs()
        given_up = {
            (entry.pid, entry.id)
            for entry in self.entries()
            if entry.phase == "log" and entry.detail in _GIVEN_UP
        }

        def is_explained(run: Run) -> bool:
            return (
                run.pid in killed
                or run.outcome in {"failed", "cancelled"}
                or (run.pid, run.id) in given_up
                or excused(run)
            )

        unexplained: list[Run] = []
        for runs in by_task.values():
            unexplained += [run for run in runs if not is_explained(run)][1:]
        return Account(set(enqueued) - self.ended(), unexplained, by_task)

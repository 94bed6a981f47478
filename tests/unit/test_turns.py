"""Tests run side by side, and one that measures time runs alone."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.turns import Turns
from tests.support.waiting import wait_until_sync

_HOLDER = """
import sys
from pathlib import Path
from tests.support.turns import Turns
with Turns(Path(sys.argv[1])).turn(alone=True):
    print("held", flush=True)
    sys.stdin.read()
"""


class Visitor:
    """Somebody in a thread who takes a turn and keeps it until told to go."""

    def __init__(self, turns: Turns, *, alone: bool) -> None:
        self._turns, self._alone = turns, alone
        self.entered, self._leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._visit)
        self._thread.start()

    def _visit(self) -> None:
        with self._turns.turn(alone=self._alone):
            self.entered.set()
            self._leave.wait(20.0)

    def go(self) -> None:
        """Give the turn back."""
        self._leave.set()
        self._thread.join()


@pytest.fixture
def turns(tmp_path: Path) -> Turns:
    """Nobody's turn yet."""
    return Turns(tmp_path)


@pytest.fixture
def visitors() -> Iterator[ExitStack]:
    """Whoever is still there at the end is sent away."""
    with ExitStack() as stack:
        yield stack


def _waits(path: Path, what: str) -> None:
    """Wait until somebody waits for a lock of a file, as the kernel tells."""
    inode = f":{path.stat().st_ino} "

    def is_so() -> bool:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
        return any("->" in line and inode in line for line in lines)

    wait_until_sync(is_so, what)


def test_tests_run_side_by_side(turns: Turns, visitors: ExitStack) -> None:
    """The common case costs nobody a wait."""
    for _ in range(3):
        visitor = Visitor(turns, alone=False)
        visitors.callback(visitor.go)
        assert visitor.entered.wait(20.0)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells who waits for a lock")
def test_alone_waits_for_all_others_and_is_not_passed_by(
    turns: Turns, tmp_path: Path, visitors: ExitStack
) -> None:
    """With others coming and going all the time it would never have its turn."""
    first = Visitor(turns, alone=False)
    visitors.callback(first.go)
    assert first.entered.wait(20.0)
    alone = Visitor(turns, alone=True)
    visitors.callback(alone.go)
    _waits(tmp_path / "turns-room", "the one that wants to be alone to wait")
    late = Visitor(turns, alone=False)
    visitors.callback(late.go)
    _waits(tmp_path / "turns-entrance", "the late one to wait behind it")
    assert not alone.entered.is_set()
    assert not late.entered.is_set()
    first.go()
    assert alone.entered.wait(20.0)
    assert not late.entered.is_set()
    alone.go()
    assert late.entered.wait(20.0)


def test_a_turn_ends_with_its_process(turns: Turns, tmp_path: Path) -> None:
    """A worker that crashed must not hold up the others for ever."""
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    with turns.turn(alone=True):
        pass

"""Tests of several workers share the machine, and a few of them have it to themselves.

A test that measures time says so with `@pytest.mark.alone`. It waits until no other test of this run is
under way, and the others wait for it. Files with locks tell the workers of each other: a lock ends with its
process, however that ended.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["SHARED_FOLDER", "Turns"]

SHARED_FOLDER = pytest.StashKey[Path]()
"""Of the run's configuration: a folder that all workers of this run share."""


class Turns:
    """Whose turn it is, among all processes that use the same folder.

    Args:
        folder: Of this run alone.
    """

    def __init__(self, folder: Path) -> None:
        self._entrance = folder / "turns-entrance"
        self._room = folder / "turns-room"

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """Wait for this test's turn, and hold it for the block."""
        with _opened(self._room) as room:
            # Who wants to be alone waits in the entrance, so that nobody passes by while the others leave.
            with _opened(self._entrance) as entrance:
                fcntl.flock(entrance, fcntl.LOCK_EX)
                fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
                fcntl.flock(entrance, fcntl.LOCK_UN)
            try:
                yield
            finally:
                # By word: a child that was forked and lives on has the file open, too.
                fcntl.flock(room, fcntl.LOCK_UN)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

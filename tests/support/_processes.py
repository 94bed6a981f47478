"""Child processes that never outlive the test run, whatever ends it."""

from __future__ import annotations

import concurrent.futures
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

__all__ = ["spawn"]

_PR_SET_PDEATHSIG = 1


def spawn(arguments: Sequence[str | Path], *, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a program that is killed by the kernel when this process dies."""
    return _spawner().submit(_popen, arguments, cwd, log).result()


@cache
def _spawner() -> concurrent.futures.ThreadPoolExecutor:
    """Make the thread that starts every child, and lives as long as the process.

    Linux sends the death signal when the *thread* that made the child ends, so a child
    made in some short-lived thread of a test would die with it.
    """
    return concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="spawner")


def _popen(arguments: Sequence[str | Path], cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    # Loaded before the fork: between fork and exec only the bare system call is safe.
    die_with_parent = None
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        die_with_parent = partial(prctl, _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    with log.open("ab") as output:
        return subprocess.Popen(
            [os.fspath(argument) for argument in arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - nothing but a system call in it
        )

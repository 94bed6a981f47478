"""Handlers at the top level of a module, as worker processes need them."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from asyncq.logs import task_fields
from asyncq.task import Task


def tell_pid(task: Task) -> int:
    """Return where it ran."""
    return os.getpid()


def die(task: Task) -> None:
    """End as the kernel ends what takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang(task: Task) -> None:
    """Say who it is, and never come back."""
    Path(task.payload).write_text(str(os.getpid()), encoding="ascii")
    threading.Event().wait()


def fail(task: Task) -> None:
    """Raise what has to travel back."""
    raise ValueError(task.payload)


def leave(task: Task) -> None:
    """Raise what ends programs."""
    raise SystemExit(3)


def say_fields(task: Task) -> dict[str, object]:
    """Return what a log record that is made here would say."""
    return dict(task_fields() or {})

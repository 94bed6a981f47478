"""Handlers at the top level of a module, as worker processes need them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from asyncq.definitions import task

if TYPE_CHECKING:
    from asyncq.context import Context
    from asyncq.task import Task


def resize(task: Task) -> str:
    """Stand for CPU work."""
    return task.type


def where_am_i(task: Task) -> tuple[int, int]:
    """Say in which process and thread this runs."""
    return os.getpid(), threading.get_ident()


@task("image:crop", executor="process", max_retry=2)
def crop(width: int, *, height: int = 10) -> int:
    """Stand for CPU work with arguments."""
    return width * height


def resize_with_context(task: Task, ctx: Context) -> str:
    """Ask for what a process cannot be given."""
    return task.type + ctx.id

"""An asyncio task queue on Redis.

The everyday names are here; `asyncq.errors`, `asyncq.retry`, `asyncq.codecs` and `asyncq.sync`
hold what is needed less often.

Each name is imported when it is used first. The command line and its completion import this package
with every key that somebody presses, and Redis' library alone takes longer than both may.
"""

from __future__ import annotations

import importlib
import sys
import types
import typing

if typing.TYPE_CHECKING:
    from asyncq.app import App
    from asyncq.client import Client, Outcome
    from asyncq.codecs import Codecs
    from asyncq.config import Failure, ServerConfig
    from asyncq.connection import ConnectionOptions, Pong
    from asyncq.context import Context, current_context
    from asyncq.definitions import task
    from asyncq.errors import AsyncqError, RetryIn, RevokeTask, SkipRetry
    from asyncq.group_settings import GroupSettings
    from asyncq.inspector import Inspector
    from asyncq.limit import Limit
    from asyncq.mux import Mux
    from asyncq.periodic import PeriodicTask, PeriodicTaskManager
    from asyncq.scheduler import Scheduler
    from asyncq.semaphore import Semaphore, Slot
    from asyncq.server import Server
    from asyncq.shared import Connection
    from asyncq.task import Task
    from asyncq.task_info import TaskInfo

__version__ = "0.1.0"

__all__ = [
    "App",
    "AsyncqError",
    "Client",
    "Codecs",
    "Connection",
    "ConnectionOptions",
    "Context",
    "Failure",
    "GroupSettings",
    "Inspector",
    "Limit",
    "Mux",
    "Outcome",
    "PeriodicTask",
    "PeriodicTaskManager",
    "Pong",
    "RetryIn",
    "RevokeTask",
    "Scheduler",
    "Semaphore",
    "Server",
    "ServerConfig",
    "SkipRetry",
    "Slot",
    "Task",
    "TaskInfo",
    "current_context",
    "task",
]

_HOMES: typing.Final = {
    "app": ("App",),
    "client": ("Client", "Outcome"),
    "codecs": ("Codecs",),
    "config": ("Failure", "ServerConfig"),
    "connection": ("ConnectionOptions", "Pong"),
    "context": ("Context", "current_context"),
    "definitions": ("task",),
    "errors": ("AsyncqError", "RetryIn", "RevokeTask", "SkipRetry"),
    "group_settings": ("GroupSettings",),
    "inspector": ("Inspector",),
    "limit": ("Limit",),
    "mux": ("Mux",),
    "periodic": ("PeriodicTask", "PeriodicTaskManager"),
    "scheduler": ("Scheduler",),
    "semaphore": ("Semaphore", "Slot"),
    "server": ("Server",),
    "shared": ("Connection",),
    "task": ("Task",),
    "task_info": ("TaskInfo",),
}
"""What the block above says to type checkers; a test compares them."""

_HOME_OF: typing.Final = {name: home for home, names in _HOMES.items() for name in names}

_ROOMS: typing.Final = frozenset({*_HOMES, "options", "retry", "schedules"} - {"task"})
"""Modules that can be reached as attributes without an import of their own."""


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is not None:
        found: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        globals()[name] = found
        return found
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Root(types.ModuleType):
    """This module, where `task` is the decorator."""

    def __setattr__(self, name: str, value: object) -> None:
        # Whoever imports the module `asyncq.task` first would put it in the place of the decorator.
        if name != "task" or not isinstance(value, types.ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Root

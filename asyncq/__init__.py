"""An asyncio task queue on Redis.

The everyday names are here; `asyncq.errors`, `asyncq.retry`, `asyncq.codecs` and `asyncq.sync`
hold what is needed less often.
"""

from __future__ import annotations

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

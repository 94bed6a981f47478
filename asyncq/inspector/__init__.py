"""The inspector, a room a file: tasks, servers, and what else there is to look at."""

from __future__ import annotations

from asyncq._broker.findings import Finding, Progress, Report
from asyncq.inspector.door import Inspector
from asyncq.inspector.schedulers import EnqueueEvent, SchedulerEntry, SchedulerInfo, Schedulers
from asyncq.inspector.servers import ServerInfo, Servers
from asyncq.inspector.tasks import Tasks

__all__ = [
    "EnqueueEvent",
    "Finding",
    "Inspector",
    "Progress",
    "Report",
    "SchedulerEntry",
    "SchedulerInfo",
    "Schedulers",
    "ServerInfo",
    "Servers",
    "Tasks",
]

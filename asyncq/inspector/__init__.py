"""The inspector, a room a file: tasks, queues, servers, schedulers, and what else there is to look at."""

from __future__ import annotations

from asyncq._broker.findings import Finding, Progress, Report
from asyncq._broker.nodes import Node, RedisInfo
from asyncq.entry_info import EnqueueEvent, EntryInfo, GoEntryInfo
from asyncq.inspector.bulk import BulkOptions, BulkReport
from asyncq.inspector.cluster import Cluster
from asyncq.inspector.door import Inspector
from asyncq.inspector.editing import TaskChanges
from asyncq.inspector.enqueueing import Outcome
from asyncq.inspector.failures import FailureCause, FailureReport, Failures
from asyncq.inspector.found import Found
from asyncq.inspector.groups import GroupInfo, Groups
from asyncq.inspector.listing import TaskFilters, TaskPage
from asyncq.inspector.measures import Measures
from asyncq.inspector.query import TaskQuery
from asyncq.inspector.queues import DailyStats, QueueInfo, QueueMemory, Queues, QueueSizes
from asyncq.inspector.records import TrailRecord
from asyncq.inspector.rights import RIGHTS, Rights
from asyncq.inspector.schedulers import SchedulerInfo, Schedulers
from asyncq.inspector.schedules import Schedules
from asyncq.inspector.search import ACTIONS, Search, SearchPage, SearchPlace
from asyncq.inspector.servers import ServerInfo, Servers, WorkerInfo
from asyncq.inspector.tasks import Tasks
from asyncq.inspector.trail import Trail, TrailPage
from asyncq.measures import MeasuredPoint, Pulse, Spread, TypeSummary
from asyncq.redaction import HIDDEN, Redactor, Subject, hide_everything, hide_fields
from asyncq.task_info import Attempt

__all__ = [
    "ACTIONS",
    "HIDDEN",
    "RIGHTS",
    "Attempt",
    "BulkOptions",
    "BulkReport",
    "Cluster",
    "DailyStats",
    "EnqueueEvent",
    "EntryInfo",
    "FailureCause",
    "FailureReport",
    "Failures",
    "Finding",
    "Found",
    "GoEntryInfo",
    "GroupInfo",
    "Groups",
    "Inspector",
    "MeasuredPoint",
    "Measures",
    "Node",
    "Outcome",
    "Progress",
    "Pulse",
    "QueueInfo",
    "QueueMemory",
    "QueueSizes",
    "Queues",
    "Redactor",
    "RedisInfo",
    "Report",
    "Rights",
    "SchedulerInfo",
    "Schedulers",
    "Schedules",
    "Search",
    "SearchPage",
    "SearchPlace",
    "ServerInfo",
    "Servers",
    "Spread",
    "Subject",
    "TaskChanges",
    "TaskFilters",
    "TaskPage",
    "TaskQuery",
    "Tasks",
    "Trail",
    "TrailPage",
    "TrailRecord",
    "TypeSummary",
    "WorkerInfo",
    "hide_everything",
    "hide_fields",
]

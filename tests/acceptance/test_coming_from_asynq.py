"""The page for those who know asynq leaves nothing of it out, and names only what is there."""

from __future__ import annotations

import re
from typing import Any, Final

import click
import pytest

import asyncq
from asyncq import errors, options, retry, sync
from asyncq.cli import main
from asyncq.inspector import Cluster, Groups, Queues, Schedulers, Servers, Tasks
from tests.acceptance.pages import DOCS, ROOT, names, section, table

pytestmark = [pytest.mark.acceptance]

PAGE: Final = DOCS / "reference" / "coming-from-asynq.md"

# What asynq 0.26 and its main branch export, package by package; `Config.X` are fields.
EXPORTS: Final = re.findall(
    r"\S+",
    """
NewClient NewClientFromRedisClient Client.Enqueue Client.EnqueueContext Client.BatchEnqueueContext
BatchEnqueueResult Client.Ping Client.Close ErrDuplicateTask ErrTaskIDConflict NewTask NewTaskWithHeaders
Task.Type Task.Payload Task.Headers Task.Options Task.ResultWriter ResultWriter.Write ResultWriter.TaskID
Option OptionType MaxRetry Queue TaskID Timeout Deadline Unique ProcessAt ProcessIn Retention Group
Header TaskInfo TaskState RedisConnOpt RedisClientOpt RedisFailoverClientOpt RedisClusterClientOpt
ParseRedisURI NewServer NewServerFromRedisClient Server.Run Server.Start Server.Stop Server.Shutdown
Server.Ping Config.Concurrency Config.BaseContext Config.TaskCheckInterval Config.RetryDelayFunc
Config.IsFailure Config.Queues Config.StrictPriority Config.ErrorHandler Config.Logger Config.LogLevel
Config.ShutdownTimeout Config.HealthCheckFunc Config.HealthCheckInterval Config.DelayedTaskCheckInterval
Config.GroupGracePeriod Config.GroupMaxDelay Config.GroupMaxSize Config.GroupAggregator
Config.JanitorInterval Config.JanitorBatchSize Handler HandlerFunc ErrorHandler ErrorHandlerFunc
GroupAggregator GroupAggregatorFunc RetryDelayFunc DefaultRetryDelayFunc Logger LogLevel SkipRetry
RevokeTask ErrServerClosed ErrLeaseExpired IsPanicError NewServeMux ServeMux.Handle ServeMux.HandleFunc
ServeMux.Handler ServeMux.ProcessTask ServeMux.Use MiddlewareFunc NotFound NotFoundHandler
ErrHandlerNotFound GetTaskID GetRetryCount GetMaxRetry GetQueueName NewScheduler
NewSchedulerFromRedisClient Scheduler.Register Scheduler.Unregister Scheduler.Start Scheduler.Run
Scheduler.Shutdown Scheduler.Ping SchedulerOpts.HeartbeatInterval SchedulerOpts.Logger
SchedulerOpts.LogLevel SchedulerOpts.Location SchedulerOpts.PreEnqueueFunc SchedulerOpts.PostEnqueueFunc
SchedulerOpts.EnqueueErrorHandler NewPeriodicTaskManager PeriodicTaskManager.Start
PeriodicTaskManager.Run PeriodicTaskManager.Shutdown PeriodicTaskManagerOpts PeriodicTaskConfigProvider
PeriodicTaskConfig NewInspector NewInspectorFromRedisClient Inspector.Close Queues GetQueueInfo History
DeleteQueue PauseQueue UnpauseQueue Groups GetTaskInfo ListPendingTasks ListActiveTasks
ListScheduledTasks ListRetryTasks ListArchivedTasks ListCompletedTasks ListAggregatingTasks RunTask
ArchiveTask DeleteTask UpdateTaskPayload CancelProcessing RunAllScheduledTasks RunAllRetryTasks
RunAllArchivedTasks RunAllAggregatingTasks ArchiveAllPendingTasks ArchiveAllScheduledTasks
ArchiveAllRetryTasks ArchiveAllAggregatingTasks DeleteAllPendingTasks DeleteAllScheduledTasks
DeleteAllRetryTasks DeleteAllArchivedTasks DeleteAllCompletedTasks DeleteAllAggregatingTasks Servers
SchedulerEntries ListSchedulerEnqueueEvents ClusterKeySlot ClusterNodes PageSize Page QueueInfo GroupInfo
DailyStats ServerInfo WorkerInfo SchedulerEntry SchedulerEnqueueEvent ClusterNode ErrQueueNotFound
ErrQueueNotEmpty ErrTaskNotFound rate.NewSemaphore Semaphore.Acquire Semaphore.Release Semaphore.Close
metrics.NewQueueMetricsCollector
""",
)

DEFECTS: Final = 19

CLI: Final = "The CLI and asynqmon"

_ROOMS: Final[dict[str, Any]] = {
    "Inspector.tasks": Tasks,
    "Inspector.queues": Queues,
    "Inspector.groups": Groups,
    "Inspector.servers": Servers,
    "Inspector.schedulers": Schedulers,
    "Inspector.cluster": Cluster,
}


def _rows(title: str) -> list[list[str]]:
    return table(section(PAGE, title))


def _exports() -> list[list[str]]:
    text = PAGE.read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    return [row for title in titles if "defect" not in title and title != CLI for row in _rows(title)]


def test_every_export_of_asynq_has_a_line() -> None:
    """Somebody who knows asynq looks for each name; a missing one is a missing answer."""
    told = [name for row in _exports() for name in names(row[0])]
    assert sorted(told) == sorted(EXPORTS)


def test_every_line_says_what_to_use() -> None:
    """An empty cell is no answer."""
    assert [row[0] for row in _exports() if not row[1].strip(" -")] == []


def _is_there(name: str) -> bool:
    """Whether a name of the second column can be used as it is written."""
    name = name.split("(", maxsplit=1)[0].removeprefix("await ")
    for room, kind in _ROOMS.items():
        if name.startswith(f"{room}."):
            return hasattr(kind, name.removeprefix(f"{room}."))
    for home in (asyncq, asyncq.inspector, errors, options, retry, sync):
        found: Any = home
        for part in name.removeprefix("asyncq.").split("."):
            found = getattr(found, part, None)
        if found is not None:
            return True
    return False


def test_what_it_names_is_there() -> None:
    """A renamed method must be renamed on the page."""
    named = [name for row in _exports() for name in names(row[1]) if name[:1].isupper()]
    assert len(named) > 50
    assert [name for name in named if not _is_there(name)] == []


def test_commands_that_it_names_are_there() -> None:
    """With the words that are written there."""
    named = [name.split() for row in _rows(CLI) for name in names(row[1]) if not name.startswith("-")]
    assert len(named) > 20
    for words in named:
        command: click.Command | None = main
        for word in words:
            assert isinstance(command, click.Group), words
            command = command.get_command(click.Context(command), word)
        assert command is not None, words


def test_every_defect_has_a_test_that_exists() -> None:
    """What is said not to exist here is shown not to."""
    rows = _rows("Its defects, and the tests that they are not here")
    assert [int(row[0]) for row in rows] == list(range(1, DEFECTS + 1))
    missing = []
    for number, _, tests in rows:
        for name in names(tests):
            file, _, function = name.partition("::")
            source = ROOT / file
            if not source.is_file() or f"def {function}(" not in source.read_text(encoding="utf-8"):
                missing.append((number, name))
        assert names(tests), number
    assert missing == []

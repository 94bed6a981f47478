"""The options of a server: frozen, checked together, reported together."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, cast

from asyncq._checks import whole_problem
from asyncq._clock import seconds
from asyncq._http import LISTEN, read_listen
from asyncq._logs import LoggerLike, level_of, logging_problems
from asyncq.codecs import Codecs
from asyncq.context import Context
from asyncq.errors import AsyncqError, ConfigError, Problem
from asyncq.group_settings import GroupSettings, no_settings, settings_problems, size_problems
from asyncq.options import is_queue_name
from asyncq.retry import RetryFunction, RetryPolicies, RetryPolicy
from asyncq.task import Task

__all__ = [
    "ErrorHandler",
    "Failure",
    "GroupAggregator",
    "HealthCheck",
    "Lifespan",
    "LoggerLike",
    "ServerConfig",
    "TaskLifespan",
    "Waking",
]

Waking = Literal["push", "poll"]


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error handler is told about a failed attempt."""

    task: Task
    error: BaseException
    retried: int  #: retries used before this failure
    max_retry: int
    will_retry: bool  #: `False`: the task is archived or dropped
    delay: float  #: seconds until the next attempt, 0 when there is none


ErrorHandler = Callable[[Failure], Awaitable[None] | None]
GroupAggregator = Callable[[str, list[Task]], Task | Awaitable[Task]]
"""Given the name of a group and its tasks, the oldest first, it makes one task of them.

`async def` runs on the event loop, `def` in a thread."""

HealthCheck = Callable[[AsyncqError | None], Awaitable[None] | None]
"""Is told every now and then that Redis answers, by `None`, or why it does not."""

Lifespan = Callable[[], AbstractAsyncContextManager[Any]]
"""Makes what a server lives inside of; what it gives is `ctx.state` of every handler."""

TaskLifespan = Callable[[Task, Context], AbstractAsyncContextManager[Any] | AbstractContextManager[Any]]
"""Makes what one attempt at a task lives inside of; what it gives is its `ctx.local`."""


def _no_policies() -> dict[str, RetryPolicy | RetryFunction]:
    return {}


def _default_queues() -> Mapping[str, int]:
    return MappingProxyType({"default": 1})


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Everything that can be set on a `Server`."""

    concurrency: int = field(default_factory=lambda: os.cpu_count() or 1)
    """How many tasks run at the same time. The number of processors; for handlers that mostly
    wait for the network, tens to hundreds are usual."""

    queues: Mapping[str, int] = field(default_factory=_default_queues)
    """Queues to serve, with weights. With 6, 3 and 1, and work in all, tasks are taken 60/30/10."""

    strict_priority: bool = False
    """Take from a queue only when those of higher weight are empty."""

    lease: float = 30.0
    """Seconds after which the tasks of a server that vanished are taken back.

    Prolonged every third of it while the server lives, however long a task runs. Shorter recovers
    sooner and costs more calls; at least 1."""

    shutdown_timeout: float = 8.0
    """Seconds to let running tasks finish after a stop.

    What is still running then is cancelled and put back in its queue, at the front. 0 cancels at
    once; `math.inf` waits for ever. Keep it below what your process manager allows between SIGTERM
    and SIGKILL."""

    retry: RetryPolicy | RetryFunction | None = None
    """When a failed task runs again. Default: asynq's, 15 to 45 s at first and growing with the
    fourth power of the number of retries."""

    retry_policies: Mapping[str, RetryPolicy | RetryFunction] = field(default_factory=_no_policies)
    """Policies that tasks ask for by name with `retry=`."""

    is_failure: Callable[[BaseException], bool] | None = None
    """Whether an error counts. When it says no, the task runs again and the retry is not counted."""

    on_error: ErrorHandler | None = None
    """Called after each failed attempt, before the outcome is written. May be async."""

    on_expired: Callable[[Task], Awaitable[None] | None] | None = None
    """Called for each task that was dropped because nobody started it before its `expires_at`."""

    on_dropped: Callable[[str, list[str]], Awaitable[None] | None] | None = None
    """Called with a queue and the ids of archived tasks that were removed by age or number."""

    max_lost: int = 5
    """A task whose server vanished so often while it ran is archived, with the reason `lost`."""

    unknown_delay: float = 5.0
    """Seconds after which a task of a type without a handler here is offered again, to any server."""

    archive_max_age: float = 90 * 86400.0
    """Seconds that archived tasks are kept."""

    archive_max_count: int = 10_000
    """How many archived tasks each queue keeps; the oldest go first."""

    group_aggregator: GroupAggregator | None = None
    """Makes one task of those that have gathered in a group. Without it tasks wait in their groups."""

    group_grace_period: float = 60.0
    """A group is aggregated when no task has joined it for so many seconds."""

    group_max_delay: float | None = None
    """It is aggregated when its oldest task has waited for so many seconds, though others keep coming.
    None or 0: no limit."""

    group_max_size: int | None = None
    """It is aggregated when it has so many tasks, and no more of them at once.
    None or 0: as many as one call can do, 10,000."""

    group_settings: Mapping[str, GroupSettings] = field(default_factory=no_settings)
    """Settings of their own for groups whose names begin with one of these; of several the longest counts."""

    unlock_archived: bool = False
    """Whether a unique task that is archived gives up its lock, so that another one may be enqueued.

    Without it, as in asynq, the lock is held until its time is over or the task is deleted. What is
    cancelled gives it up in any case."""

    keep_attempts: int = 10
    """Of how many deliveries that did not succeed a task keeps a record: when, where, the error and its
    traceback. Together at most 8 KiB for a task, the latest come first. 0 keeps none."""

    codecs: Codecs = field(default_factory=Codecs)
    """Payload codecs that tasks may have been written with, and the one for results."""

    cancel_grace: float = 5.0
    """Seconds that a cancelled handler has to end before its task is settled without it.

    The slot stays taken until the handler does end; the server says so."""

    threads: int | None = None
    """Threads for `def` handlers. As many as `concurrency`, 32 at the most, when not given."""

    processes: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Processes for handlers with `executor="process"`."""

    waking: Waking = "push"
    """How an idle server learns of work: `push` by a message; `poll` asks every `task_check_interval`,
    for proxies that do not let subscriptions through."""

    task_check_interval: float | None = None
    """Seconds after which an idle server asks for tasks although no message came. When not given, 5, as
    messages are hardly ever missed; and 1 with `waking="poll"`, where there are none."""

    delayed_check_interval: float = 15.0
    """Seconds after which to look for tasks that have become due although none is known to be.

    They are forwarded at their time in any case; this is for messages that were missed. With
    `waking="poll"` it is not longer than `task_check_interval`."""

    janitor_interval: float = 30.0
    """Seconds between looks for completed tasks whose retention is over and for archived ones that are
    too old or too many."""

    janitor_batch_size: int = 200
    """How many of each the janitor removes in one call, for which everybody else waits; at most 1,000.
    When there are more it goes on at once."""

    start_patience: float = 10.0
    """Seconds to wait for a Redis that does not answer yet when the server starts."""

    name: str = ""
    """Shown by tools beside host and process id."""

    lifespan: Lifespan | None = None
    """Makes an asynchronous context manager, entered before the first task is taken and left behind the
    last outcome. What it gives is `ctx.state`. When entering fails the server does not start."""

    task_lifespan: TaskLifespan | None = None
    """Makes a context manager, asynchronous or not, around each attempt at a task, middleware included.

    Called with the task and its context; what it gives is `ctx.local`. Its time is the task's time, and its
    failure the task's failure."""

    measured_types: int = 200
    """Types of tasks that have numbers of their own (`Server.measures`), in all queues together; the others
    share those of `other`. 0: they all do."""

    history: bool = True
    """Whether the numbers go to Redis every five seconds, where `Inspector.measures` reads them."""

    health_check: HealthCheck | None = None
    """Called at the start and then every `health_check_interval` with `None` when Redis answers, otherwise
    with the error: a `PartlyUnavailableError` when only some nodes of a cluster do not. May be async."""

    health_check_interval: float = 15.0
    """Seconds between two health checks."""

    probes: str | None = None
    """Where to answer an orchestrator that asks for `/healthz` and `/readyz`, such as `"0.0.0.0:8081"`; port
    0 takes a free one. Nowhere when not given. It asks for no password: let only those reach it who may."""

    ready_within: float = 30.0
    """Seconds without an answer to its question for tasks after which a server is not ready, and is to be
    started again when Redis is there. Longer than twice `task_check_interval`."""

    logger: LoggerLike | None = None
    """Where this server logs, `logging.getLogger("asyncq.server")` when not given: another logger, an adapter
    of one, or any object with `debug`, `info`, `warning` and `error`."""

    log_level: int | str | None = None
    """Log nothing below this: `"debug"`, `"info"`, `"warning"`, `"error"`, `"critical"` or a number. When not
    given the logger decides."""

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        for name in _DURATIONS:
            self._check_duration(name, problems)
        for name, least in _COUNTS.items():
            value = getattr(self, name)
            problem = None if value is None and name == "threads" else whole_problem(name, value, least=least)
            problems += [problem] if problem is not None else []
        self._check_queues(problems)
        self._check_groups(problems)
        self._check_relations(problems)
        self._check_callables(problems)
        problems += logging_problems(self.logger, self.log_level)
        if problems:
            raise ConfigError.of(problems)

    def _check_relations(self, problems: list[Problem]) -> None:
        if not problems and not 1 <= self.lease < math.inf:
            problems.append(Problem("lease", self.lease, "at least 1 second, and an end"))
        if self.waking not in ("push", "poll"):
            problems.append(Problem("waking", self.waking, "'push' or 'poll'"))
        for name in _INTERVALS:
            value = getattr(self, name)
            if not problems and value is not None and value < MIN_INTERVAL:
                problems.append(Problem(name, value, f"at least {MIN_INTERVAL} seconds"))
        if not problems and self.janitor_batch_size > LARGEST_BATCH:
            expected = f"at most {LARGEST_BATCH:,}: everybody waits while so many are removed"
            problems.append(Problem("janitor_batch_size", self.janitor_batch_size, expected))
        if self.probes is not None and read_listen(self.probes) is None:
            problems.append(Problem("probes", self.probes, LISTEN))
        if not problems and self.probes is not None and self.ready_within <= 2 * self.check_interval:
            expected = "longer than twice task_check_interval: an idle server asks no sooner"
            problems.append(Problem("ready_within", self.ready_within, expected))
        try:
            RetryPolicies(self.retry, self.retry_policies)
        except ConfigError as error:
            problems += error.problems

    def _check_callables(self, problems: list[Problem]) -> None:
        for name in _CALLABLES:
            value = getattr(self, name)
            if value is not None and not callable(value):
                problems.append(Problem(name, value, "a function"))
        for name in ("lifespan", "task_lifespan"):
            value = getattr(self, name)
            if inspect.isasyncgenfunction(value) or inspect.isgeneratorfunction(value):
                kind = "asynccontextmanager" if inspect.isasyncgenfunction(value) else "contextmanager"
                problems.append(
                    Problem(name, value, f"a context manager: decorate it with contextlib.{kind}")
                )
            elif inspect.iscoroutinefunction(value):
                problems.append(Problem(name, value, "a plain call that returns a context manager"))

    @property
    def check_interval(self) -> float:
        """`task_check_interval`, or what it is when it is not given."""
        if self.task_check_interval is not None:
            return self.task_check_interval
        return POLLING if self.waking == "poll" else LISTENING

    @property
    def least_level(self) -> int | None:
        """`log_level` as a number."""
        return level_of(self.log_level)

    def _check_duration(self, name: str, problems: list[Problem]) -> None:
        value = getattr(self, name)
        if (name == "shutdown_timeout" and value == math.inf) or (
            name == "task_check_interval" and value is None
        ):
            return
        try:
            object.__setattr__(self, name, seconds(value, name=name))
        except ConfigError as error:
            problems += error.problems

    def _check_groups(self, problems: list[Problem]) -> None:
        if self.group_max_delay is not None:
            self._check_duration("group_max_delay", problems)
        problems += size_problems("group_max_size", self.group_max_size)
        unsound = settings_problems(self.group_settings)
        problems += unsound
        if not unsound:
            object.__setattr__(self, "group_settings", MappingProxyType(dict(self.group_settings)))

    def _check_queues(self, problems: list[Problem]) -> None:
        queues = cast("object", self.queues)
        if isinstance(queues, Mapping):
            given = dict(cast("Mapping[str, int]", queues))
        else:
            # A name, or several, without weights.
            names = cast("str | Iterable[str]", queues)
            given = dict.fromkeys([names] if isinstance(names, str) else names, 1)
        if not given:
            problems.append(Problem("queues", given, "at least one queue"))
        for name, weight in given.items():
            if not is_queue_name(name):
                problems.append(Problem("queues", name, "names that are not blank and have no braces"))
            problem = whole_problem(f"queues[{name!r}]", weight, least=1)
            problems += [problem] if problem is not None else []
        object.__setattr__(self, "queues", MappingProxyType(given))


MIN_INTERVAL = 0.01
LISTENING = 5.0
POLLING = 1.0
LARGEST_BATCH = 1000
_INTERVALS = (
    "task_check_interval",
    "delayed_check_interval",
    "janitor_interval",
    "health_check_interval",
    "group_grace_period",
)
_CALLABLES = (
    "group_aggregator",
    "is_failure",
    "on_error",
    "on_expired",
    "on_dropped",
    "lifespan",
    "task_lifespan",
    "health_check",
)
_DURATIONS = (
    "lease",
    "shutdown_timeout",
    "unknown_delay",
    "archive_max_age",
    "cancel_grace",
    "start_patience",
    "ready_within",
    *_INTERVALS,
)
_COUNTS = {
    "measured_types": 0,
    "concurrency": 1,
    "max_lost": 1,
    "archive_max_count": 0,
    "keep_attempts": 0,
    "threads": 1,
    "processes": 1,
    "janitor_batch_size": 1,
}

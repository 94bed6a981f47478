"""The options of schedulers."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Final, Literal, TypedDict, cast

from asyncq._checks import refuse_unknown
from asyncq._clock import seconds
from asyncq._cron import time_zone
from asyncq._enqueue_middleware import EnqueueMiddleware, checked
from asyncq._http import LISTEN, read_listen
from asyncq._logs import LoggerLike, level_of, logging_problems
from asyncq.codecs import Codecs
from asyncq.entries import Entry
from asyncq.errors import AsyncqError, ConfigError, Problem
from asyncq.options import TaskOptions, is_text
from asyncq.task import Task
from asyncq.task_info import TaskInfo

PreEnqueue = Callable[[Task, TaskOptions], Awaitable[object] | object]
PostEnqueue = Callable[[TaskInfo | Exception], Awaitable[object] | object]
OnEntryError = Callable[[Entry, Exception], Awaitable[object] | object]
HealthCheck = Callable[[AsyncqError | None], Awaitable[object] | object]
OnSyncError = Callable[[AsyncqError], Awaitable[object] | object]


_AT_LEAST_A_SECOND: Final = ("enqueue_timeout", "stalled_after", "health_check_interval")


class SchedulerOptions(TypedDict, total=False):
    """The fields of `SchedulerConfig` as keyword arguments."""

    timezone: str | tzinfo
    codecs: Codecs
    middleware: Sequence[EnqueueMiddleware]
    pre_enqueue: PreEnqueue | None
    post_enqueue: PostEnqueue | None
    on_error: OnEntryError | None
    enqueue_timeout: float
    stalled_after: float
    health_check: HealthCheck | None
    health_check_interval: float
    heartbeat_interval: float
    start_patience: float
    application: str
    orphans: Literal["report", "remove"]
    look_interval: float
    waking: Literal["push", "poll"]
    probes: str | None
    logger: LoggerLike | None
    log_level: int | str | None
    name: str


class ManagerOptions(SchedulerOptions, total=False):
    """The fields of `ManagerConfig` as keyword arguments."""

    sync_interval: float
    provider_timeout: float
    on_sync_error: OnSyncError | None


@dataclass(frozen=True, kw_only=True)
class SchedulerConfig:
    """The options of a scheduler. Wrong ones are reported all at once."""

    timezone: str | tzinfo = UTC
    """Zone in which cron fields are read, unless an entry says otherwise."""

    codecs: Codecs = field(default_factory=Codecs)
    """How payloads are encoded."""

    middleware: Sequence[EnqueueMiddleware] = ()
    """What to wrap around enqueueing, the first outermost; as for a client. What it raises is why the
    entry was not enqueued."""

    pre_enqueue: PreEnqueue | None = None
    """Called with the task and the options of its entry each time before it is enqueued. Like the
    other callbacks it may be async, is stopped after ten seconds then, and changes nothing when it
    raises: that is logged as `callback_failed`."""

    post_enqueue: PostEnqueue | None = None
    """Called each time afterwards, with the `TaskInfo`, or with the error that prevented it: an
    `AsyncqError`, or what middleware raised."""

    on_error: OnEntryError | None = None
    """Called with the entry and the error each time a task could not be enqueued."""

    enqueue_timeout: float = 15.0
    """Seconds for enqueueing one task, with all middleware. At least 1. What takes longer has failed; whether
    it is in Redis all the same is looked up, so that it is neither lost nor had twice."""

    stalled_after: float = 60.0
    """Seconds after which a scheduler is `stalled` when a time was due and none was enqueued since. At least
    1. It is logged as `scheduler_stalled`, and shown by `health` and the inspector."""

    health_check: HealthCheck | None = None
    """Called at the start and then every `health_check_interval` with `None` when all is well, otherwise with
    the error: that Redis does not answer, or a `SchedulerStalledError`, at once when that begins or ends."""

    health_check_interval: float = 15.0
    """Seconds between two health checks. At least 1."""

    heartbeat_interval: float = 10.0
    """Seconds between two announcements of the scheduler, besides those of changes. At least 1. One that
    says nothing for two of them is no longer shown."""

    start_patience: float = 10.0
    """Seconds to wait for a Redis that does not answer yet when the scheduler starts."""

    application: str = ""
    """Whose code the registered entries are. Give each program a name of its own that shares a Redis with
    others: by it a scheduler knows which stored entries its code has ceased to declare."""

    orphans: Literal["report", "remove"] = "report"
    """What becomes of stored entries of this application that no running scheduler of it declares any more.
    They are not enqueued in any case. `"report"`: the log and the inspector say so. `"remove"`: they are
    removed; needs an `application`."""

    look_interval: float = 10.0
    """Seconds between two looks whether stored entries have changed, behind the messages that say so.
    At least 1."""

    waking: Literal["push", "poll"] = "push"
    """How the scheduler learns of changed entries: `"push"` by a message, `"poll"` by looking alone, for
    proxies that do not let subscriptions through."""

    probes: str | None = None
    """Where to answer an orchestrator that asks for `/healthz` and `/readyz`. As for a server."""

    logger: LoggerLike | None = None
    """Where this scheduler logs, `logging.getLogger("asyncq.scheduler")` when not given. As for a server."""

    log_level: int | str | None = None
    """Log nothing below this level."""

    name: str = ""
    """Shown by tools beside host and process id."""

    def __post_init__(self) -> None:
        problems = self._zone_problems() + self._duration_problems()
        for name in self._callbacks():
            value = getattr(self, name)
            if value is not None and not callable(value):
                problems.append(Problem(name, value, "a function"))
        if not isinstance(cast("object", self.codecs), Codecs):
            problems.append(Problem("codecs", self.codecs, "Codecs"))
        problems += self._middleware_problems()
        problems += self._application_problems()
        if self.waking not in ("push", "poll"):
            problems.append(Problem("waking", self.waking, "'push' or 'poll'"))
        if self.probes is not None and read_listen(self.probes) is None:
            problems.append(Problem("probes", self.probes, LISTEN))
        problems += logging_problems(self.logger, self.log_level)
        if problems:
            raise ConfigError.of(problems)

    def _middleware_problems(self) -> list[Problem]:
        try:
            object.__setattr__(self, "middleware", tuple(checked(self.middleware)))
        except ConfigError as error:
            return [*error.problems]
        return []

    def _application_problems(self) -> list[Problem]:
        if self.application and not is_text(cast("object", self.application)):
            return [Problem("application", self.application, "text that is not blank")]
        if self.orphans not in ("report", "remove"):
            return [Problem("orphans", self.orphans, "'report' or 'remove'")]
        if self.orphans == "remove" and not self.application:
            return [Problem("orphans", self.orphans, "an application, so that those of others stay")]
        return []

    def _zone_problems(self) -> list[Problem]:
        try:
            object.__setattr__(self, "timezone", time_zone(self.timezone))
        except ConfigError as error:
            return [*error.problems]
        return []

    def _duration_problems(self) -> list[Problem]:
        problems: list[Problem] = []
        for name in self._durations():
            try:
                value = seconds(getattr(self, name), name=name)
            except ConfigError as error:
                problems += error.problems
                continue
            object.__setattr__(self, name, value)
            if (name.endswith("_interval") or name in _AT_LEAST_A_SECOND) and value < 1.0:
                problems.append(Problem(name, value, "at least 1 second"))
        for name in ("heartbeat_interval", "look_interval", "health_check_interval"):
            if getattr(self, name) == math.inf:
                problems.append(Problem(name, math.inf, "an interval with an end"))
        return problems

    @property
    def least_level(self) -> int | None:
        """`log_level` as a number."""
        return level_of(self.log_level)

    @property
    def zone(self) -> tzinfo:
        """The time zone."""
        return cast("tzinfo", self.timezone)

    def _durations(self) -> tuple[str, ...]:
        return ("start_patience", "heartbeat_interval", "look_interval", *_AT_LEAST_A_SECOND)

    def _callbacks(self) -> tuple[str, ...]:
        return ("pre_enqueue", "post_enqueue", "on_error", "health_check")


@dataclass(frozen=True, kw_only=True)
class ManagerConfig(SchedulerConfig):
    """The options of a manager of periodic tasks, which are those of a scheduler and three more."""

    sync_interval: float = 180.0
    """Seconds between two questions to the provider. At least 1; `math.inf` asks on demand only."""

    provider_timeout: float = 30.0
    """Seconds that the provider may take."""

    on_sync_error: OnSyncError | None = None
    """Called with a `ProviderError` each time the entries of the provider could not be taken over."""

    def _durations(self) -> tuple[str, ...]:
        return (*super()._durations(), "sync_interval", "provider_timeout")

    def _callbacks(self) -> tuple[str, ...]:
        return (*super()._callbacks(), "on_sync_error")


def options_of(config: type[SchedulerConfig], given: object, what: str) -> dict[str, Any]:
    """Return typed keyword arguments as a plain dictionary.

    Raises:
        ConfigError: One of them is no option of `what`.
    """
    options = dict(cast("dict[str, Any]", given))
    refuse_unknown(config, options, what)
    return options

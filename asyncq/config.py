"""The options of a server: frozen, checked together, reported together."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from types import MappingProxyType
from typing import Literal, cast

from asyncq._checks import whole_problem
from asyncq._clock import seconds
from asyncq.codecs import Codecs
from asyncq.errors import ConfigError, Problem
from asyncq.options import is_queue_name
from asyncq.retry import RetryFunction, RetryPolicies, RetryPolicy
from asyncq.task import Task

__all__ = ["ErrorHandler", "Failure", "ServerConfig", "Waking"]

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
Duration = float | timedelta


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
    """How an idle server learns of work: `push` by a message; `poll` asks every `poll_interval`,
    for proxies that do not let subscriptions through."""

    poll_interval: float = 1.0
    """Seconds between two questions with `waking="poll"`."""

    safety_interval: float = 5.0
    """Seconds after which an idle server asks although no message came: messages can be missed."""

    start_patience: float = 10.0
    """Seconds to wait for a Redis that does not answer yet when the server starts."""

    name: str = ""
    """Shown by tools beside host and process id."""

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        for name in _DURATIONS:
            self._check_duration(name, problems)
        for name, least in _COUNTS.items():
            value = getattr(self, name)
            problem = None if value is None and name == "threads" else whole_problem(name, value, least=least)
            problems += [problem] if problem is not None else []
        self._check_queues(problems)
        self._check_relations(problems)
        if problems:
            raise ConfigError.of(problems)

    def _check_relations(self, problems: list[Problem]) -> None:
        if not problems and not 1 <= self.lease < math.inf:
            problems.append(Problem("lease", self.lease, "at least 1 second, and an end"))
        if self.waking not in ("push", "poll"):
            problems.append(Problem("waking", self.waking, "'push' or 'poll'"))
        for name in ("poll_interval", "safety_interval"):
            if not problems and getattr(self, name) < MIN_INTERVAL:
                problems.append(Problem(name, getattr(self, name), f"at least {MIN_INTERVAL} seconds"))
        try:
            RetryPolicies(self.retry, self.retry_policies)
        except ConfigError as error:
            problems += error.problems

    def _check_duration(self, name: str, problems: list[Problem]) -> None:
        value = getattr(self, name)
        if name == "shutdown_timeout" and value == math.inf:
            return
        try:
            object.__setattr__(self, name, seconds(value, name=name))
        except ConfigError as error:
            problems += error.problems

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


def refuse_unknown(options: Iterable[str]) -> None:
    """Refuse names that are no options of a server, with the one that was probably meant.

    Raises:
        ConfigError: At least one name is not known; all of them are reported.
    """
    known = [f.name for f in fields(ServerConfig)]
    problems: list[Problem] = []
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known))}"
            problems.append(Problem("option", name, f"an option of the server{hint}"))
    if problems:
        raise ConfigError.of(problems)


MIN_INTERVAL = 0.01
_DURATIONS = (
    "lease",
    "shutdown_timeout",
    "unknown_delay",
    "archive_max_age",
    "cancel_grace",
    "poll_interval",
    "start_patience",
    "safety_interval",
)
_COUNTS = {"concurrency": 1, "max_lost": 1, "archive_max_count": 0, "threads": 1, "processes": 1}

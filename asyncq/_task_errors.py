"""Why tasks did not succeed, and what handlers raise to steer. Users find everything in `errors`."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from asyncq._error_base import AsyncqError, ConfigError


class TaskFailure(AsyncqError):
    """Why a task did not succeed, where it was not the handler that said so."""


class HandlerNotFoundError(TaskFailure):
    """The mux has no handler for this type of task."""

    _text = "no handler for tasks of type {type!r}"

    def __init__(self, type: str) -> None:  # noqa: A002 - the word of the API
        super().__init__(type)
        self.type = type


class TaskTimedOutError(TaskFailure):
    """The handler was still running at its timeout, or the deadline of the task passed."""

    _text = "stopped after {seconds:.3f} s by the {limit} of the task"

    def __init__(self, seconds: float, limit: Literal["timeout", "deadline"] = "timeout") -> None:
        super().__init__(seconds, limit)
        self.seconds, self.limit = seconds, limit


class LeaseExpiredError(TaskFailure):
    """The server that ran the task did not keep its lease: it died, hung, or lost Redis."""

    _text = "the lease of the task ran out (delivery {deliveries})"

    def __init__(self, deliveries: int) -> None:
        super().__init__(deliveries)
        self.deliveries = deliveries


class TaskCancelledError(TaskFailure):
    """Somebody asked for the running task to be cancelled."""

    _text = "cancelled: {reason}"

    def __init__(self, reason: str = "on request") -> None:
        super().__init__(reason)
        self.reason = reason


class AttemptCancelledError(TaskFailure):
    """Somebody cancelled the attempt in Go's way, through `asynq:cancel`. It has failed like any other."""

    _text = "the attempt was cancelled, through asynq:cancel"


class TaskArchivedError(TaskFailure):
    """The task that somebody waited for failed for good: `error` says why it failed last.

    `reason` is why it is not tried again: `exhausted`, `skip_retry`, `cancelled`, `lost`, `unreadable` …
    """

    _text = "task {task_id!r} of queue {queue!r} is archived ({reason}): {error}"

    def __init__(self, queue: str, task_id: str, reason: str, error: str) -> None:
        super().__init__(queue, task_id, reason, error)
        self.queue, self.task_id, self.reason, self.error = queue, task_id, reason, error


class HandlerCrashedError(TaskFailure):
    """A handler raised no `Exception` but, say, `SystemExit`. Its `__cause__`, if it could be kept."""

    _text = "the handler crashed: {error}"

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class WorkerProcessDiedError(TaskFailure):
    """The process that ran the handler ended without an answer, killed or crashed."""

    def __init__(self, pid: int, exit_code: int | None = None) -> None:
        super().__init__(pid, exit_code)
        self.pid, self.exit_code = pid, exit_code

    def __str__(self) -> str:
        code = self.exit_code
        how = "died" if code is None else f"ended by signal {-code}" if code < 0 else f"exited with {code}"
        return f"worker process {self.pid} {how}"


class TaskControl(Exception):
    """Raised by a handler to steer. Deliberately not an `AsyncqError`: nothing went wrong in here."""


class SkipRetry(TaskControl):
    """Archive the task now, whatever retries it has left. Counts as a failure."""


class RevokeTask(TaskControl):
    """Forget the task: no retry, no archive, no retention. Counts as processed."""


class RetryIn(TaskControl):
    """Run the task again after `delay`, instead of what the retry policy says.

    Args:
        delay: Seconds or a `timedelta`.
        counts: False if this is no failure, only "not yet": then neither the retry
            count nor the daily numbers move, and the task can come back for ever.
    """

    def __init__(self, delay: float | timedelta, *, counts: bool = True) -> None:
        super().__init__(delay)
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        if not 0.0 <= seconds < float("inf"):
            raise ConfigError("delay", delay, "zero or a positive number of seconds")
        self.delay, self.counts = seconds, counts

    def __str__(self) -> str:
        return f"run again in {self.delay:g} s"

"""Every error that asyncq raises, in one tree by what the caller should do.

    AsyncqError                      everything the library raises on its own account
    ├─ ConfigError                   a value is wrong; raised before any I/O: fix the call
    │  ├─ PayloadError               the payload cannot be encoded, or is too large
    │  └─ EmbeddedUnavailableError   no server binary for this platform
    ├─ LifecycleError                right call, wrong moment
    │  ├─ NotStartedError
    │  ├─ AlreadyRunningError
    │  └─ ClosedError
    ├─ EnqueueRefusedError           Redis answered, and the answer was no: accept it
    │  ├─ DuplicateTaskError         the unique lock is held
    │  └─ TaskIdConflictError        a task with this id is there already
    ├─ NotFoundError                 what was asked for is not there
    │  ├─ QueueNotFoundError
    │  └─ TaskNotFoundError
    ├─ WrongStateError               it exists, but not in a state that allows this
    │  ├─ TaskNotActiveError         the lease was lost; somebody else owns the task
    │  ├─ TaskStateError
    │  └─ QueueNotEmptyError
    ├─ BrokerError                   talking to Redis went wrong
    │  ├─ BrokerUnavailableError     unreachable, timed out, loading, failing over: try again
    │  ├─ AuthenticationError        wrong password, unknown user, or no permission
    │  ├─ ServerTooOldError          this server cannot do what asyncq needs
    │  ├─ UnsafeServerError          this server may lose tasks: it evicts, or is a replica
    │  └─ BrokerReplyError           an answer we do not know: a bug, please report
    ├─ WireError                     bytes in Redis that we cannot read
    └─ TaskFailure                   why a task did not succeed; handed to error handlers
       ├─ HandlerNotFoundError
       ├─ TaskTimedOutError
       ├─ LeaseExpiredError
       ├─ TaskCancelledError
       ├─ HandlerCrashedError
       └─ WorkerProcessDiedError

    TaskControl                      raised by handlers to steer; not a failure of anything
    ├─ SkipRetry
    ├─ RevokeTask
    └─ RetryIn

The attributes are the data and the text is made from them. `args` are what the constructor
was given, which lets the errors survive pickling on their way out of a worker process.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Literal, NamedTuple

__all__ = [
    "AlreadyRunningError", "AsyncqError", "AuthenticationError", "BrokerError", "BrokerReplyError",
    "BrokerUnavailableError", "ClosedError", "ConfigError", "DuplicateTaskError",
    "EmbeddedUnavailableError", "EnqueueRefusedError", "HandlerCrashedError", "HandlerNotFoundError",
    "LeaseExpiredError", "LifecycleError", "NotFoundError", "NotStartedError", "PayloadError", "Problem",
    "QueueNotEmptyError", "QueueNotFoundError", "RetryIn", "RevokeTask", "ServerTooOldError", "SkipRetry",
    "TaskCancelledError", "TaskControl", "TaskFailure", "TaskIdConflictError", "TaskNotActiveError",
    "TaskNotFoundError", "TaskStateError", "TaskTimedOutError", "UnsafeServerError", "WireError",
    "WorkerProcessDiedError", "WrongStateError",
]  # fmt: skip

# Enough of a value to recognise it; a payload given by mistake does not flood the log.
_SHOWN_CHARACTERS = 80


class AsyncqError(Exception):
    """Everything the library raises on its own account."""

    _text: ClassVar[str] = ""
    """The text of the error, its attributes in braces. Empty: what Python makes of the arguments."""

    def __str__(self) -> str:
        if not self._text:
            return super().__str__()
        advice = getattr(self, "advice", "")
        return self._text.format_map(vars(self)) + (f" ({advice})" if advice else "")


class Problem(NamedTuple):
    """One thing that is wrong with one value."""

    option: str  #: name of the option or argument
    value: object  #: what was given
    expected: str  #: what would have been right: the end of a sentence that begins "expected"

    def __str__(self) -> str:
        return f"{self.option}={_shown(self.value)}: expected {self.expected}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


class ConfigError(AsyncqError, ValueError):
    """An option or argument is wrong. Raised before any I/O: fix the call.

    `option`, `value` and `expected` are those of the first problem; `problems` has all of the call.
    """

    def __init__(self, option: str, value: object, expected: str, more: Sequence[Problem] = ()) -> None:
        super().__init__(option, value, expected, tuple(more))
        self.option, self.value, self.expected = option, value, expected
        self.problems: tuple[Problem, ...] = (Problem(option, value, expected), *more)

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> ConfigError:
        """Make one error of all `problems`, of which there is at least one."""
        return ConfigError(*problems[0], problems[1:])

    def __str__(self) -> str:
        if self._text:
            return super().__str__()
        if len(self.problems) == 1:
            return str(self.problems[0])
        return "\n- ".join([f"{len(self.problems)} values are wrong:", *map(str, self.problems)])


class PayloadError(ConfigError):
    """The payload cannot be encoded, or has more bytes than allowed: then `size` and `limit` say it."""

    _text = "payload of task {type!r}: {reason}"

    def __init__(self, type: str, reason: str, size: int = 0, limit: int = 0) -> None:  # noqa: A002 - the word of the API
        super().__init__("payload", None, reason)
        self.args = self.type, self.reason, self.size, self.limit = type, reason, size, limit


class EmbeddedUnavailableError(ConfigError):
    """There is no embedded server to start: not installed, or not for this platform."""

    _text = "no embedded server: {why}"

    def __init__(self, why: str, advice: str = "") -> None:
        super().__init__("url", None, why)
        self.args = self.why, self.advice = why, advice


class LifecycleError(AsyncqError, RuntimeError):
    """The right call at the wrong moment."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class NotStartedError(LifecycleError):
    """It has to be started, or entered with `async with`, first."""

    _text = "{what} has not been started"


class AlreadyRunningError(LifecycleError):
    """It runs already. One object runs once; make another one."""

    _text = "{what} is running already"


class ClosedError(LifecycleError):
    """You closed it, and it stays closed; make another one."""

    _text = "{what} is closed"


class EnqueueRefusedError(AsyncqError):
    """Redis answered an enqueue, and the answer was no. Trying again will not help."""


class DuplicateTaskError(EnqueueRefusedError):
    """Another task holds the unique lock of this type, payload and queue."""

    _text = "queue {queue!r} has a unique task {type!r} with this payload already"

    def __init__(self, queue: str, type: str) -> None:  # noqa: A002 - the word of the API
        super().__init__(queue, type)
        self.queue, self.type = queue, type


class TaskIdConflictError(EnqueueRefusedError):
    """A different task has this id already."""

    _text = "queue {queue!r} has a task with the id {task_id!r} already"

    def __init__(self, queue: str, task_id: str) -> None:
        super().__init__(queue, task_id)
        self.queue, self.task_id = queue, task_id


class NotFoundError(AsyncqError, LookupError):
    """What was asked for is not in Redis, or not there any more."""


class QueueNotFoundError(NotFoundError):
    """No task has ever been put in this queue, or it was deleted."""

    _text = "there is no queue {queue!r}"

    def __init__(self, queue: str) -> None:
        super().__init__(queue)
        self.queue = queue


class TaskNotFoundError(NotFoundError):
    """The task is not there: finished without retention, expired, or deleted."""

    _text = "queue {queue!r} has no task {task_id!r}"

    def __init__(self, queue: str, task_id: str) -> None:
        super().__init__(queue, task_id)
        self.queue, self.task_id = queue, task_id


class WrongStateError(AsyncqError):
    """It exists, but it is not in a state that allows this."""


class TaskNotActiveError(WrongStateError):
    """The lease on the task was lost, and somebody else owns the task now.

    Drop what you wanted to write: the new owner will write its own outcome.
    """

    _text = "task {task_id!r} of queue {queue!r} is no longer ours"

    def __init__(self, queue: str, task_id: str) -> None:
        super().__init__(queue, task_id)
        self.queue, self.task_id = queue, task_id


class TaskStateError(WrongStateError):
    """The task is in a state in which this cannot be done to it."""

    def __init__(self, queue: str, task_id: str, state: str, allowed: Sequence[str]) -> None:
        super().__init__(queue, task_id, state, tuple(allowed))
        self.queue, self.task_id, self.state = queue, task_id, state
        self.allowed: tuple[str, ...] = tuple(allowed)

    def __str__(self) -> str:
        allowed = " or ".join(self.allowed)
        return (
            f"task {self.task_id!r} of queue {self.queue!r} is {self.state}, and would have to be {allowed}"
        )


class QueueNotEmptyError(WrongStateError):
    """The queue still holds tasks, and was to be deleted without force."""

    _text = "queue {queue!r} still holds {size} tasks"

    def __init__(self, queue: str, size: int) -> None:
        super().__init__(queue, size)
        self.queue, self.size = queue, size


class BrokerError(AsyncqError):
    """Talking to Redis went wrong."""

    _text = "{where}: {why}"

    def __init__(self, where: str, why: str, advice: str = "") -> None:
        super().__init__(where, why, advice)
        self.where, self.why, self.advice = where, why, advice


class BrokerUnavailableError(BrokerError):
    """Redis was not reached, or went away before it answered. Trying again is safe.

    An unreachable address, a time-out, a server that loads its data or fails over,
    a cluster that is down. It does *not* say that nothing happened: the call may have
    been carried out and only the answer lost. What asyncq sends can be sent again.
    """


class AuthenticationError(BrokerError):
    """Redis refused the password or the user, or the user may not run a command."""


class ServerTooOldError(BrokerError):
    """The server lacks what asyncq needs: Redis 6.2, or any Valkey."""


class UnsafeServerError(BrokerError):
    """The server works, but tasks would get lost on it: it evicts keys, or is a replica."""


class BrokerReplyError(BrokerError):
    """A script or command answered something we do not know. A bug: please report it."""

    def __init__(self, script: str, reply: object) -> None:
        super().__init__(script, f"unexpected reply {_shown(reply)}")
        self.args = self.script, self.reply = script, reply


class WireError(AsyncqError, ValueError):
    """Bytes in Redis that we cannot read: damaged, or written by something newer."""

    _text = "cannot read {key}: {reason}"

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason


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

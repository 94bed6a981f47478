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
    │  ├─ GroupNotFoundError
    │  ├─ TaskNotFoundError
    │  │  └─ ResultNotKeptError      the task ended while somebody waited, and left no result
    │  ├─ ServerNotFoundError
    │  └─ EntryNotFoundError         of schedulers
    ├─ WrongStateError               it exists, but not in a state that allows this
    │  ├─ TaskNotActiveError         the lease was lost; somebody else owns the task
    │  ├─ TaskStateError
    │  ├─ TaskChangedError           somebody else was faster: look again
    │  ├─ EntryChangedError          the same with an entry of schedulers
    │  ├─ EntryExistsError           this id has another definition
    │  ├─ EntryDeclaredError         code declares it: change it there
    │  ├─ QueueNotEmptyError
    │  ├─ NoSlotError                no slot of a semaphore became free in time
    │  └─ SlotLostError              a slot was held for longer than its lease could be prolonged
    ├─ NotAllowedError               a right is missing: ask somebody who has it
    ├─ BrokerError                   talking to Redis went wrong
    │  ├─ BrokerUnavailableError     unreachable, timed out, loading, failing over: try again
    │  │  └─ PartlyUnavailableError  so it is with some nodes of a cluster; the others answered
    │  ├─ AuthenticationError        wrong password, unknown user, or no permission
    │  ├─ ServerTooOldError          this server cannot do what asyncq needs
    │  ├─ UnsafeServerError          this server may lose tasks: it evicts, or is a replica
    │  └─ BrokerReplyError           an answer we do not know: a bug, please report
    ├─ ResultTimeoutError            the task was not over in the time given
    ├─ WireError                     bytes in Redis that we cannot read
    ├─ SchedulerStalledError         nothing is enqueued though it is due; handed to health checks
    ├─ ProviderError                 where periodic tasks come from failed: the last good set stays
    └─ TaskFailure                   why a task did not succeed; handed to error handlers
       ├─ HandlerNotFoundError
       ├─ TaskTimedOutError
       ├─ LeaseExpiredError
       ├─ TaskCancelledError
       ├─ AttemptCancelledError      in Go's way: the task is tried again
       ├─ TaskArchivedError          it failed for good, says who waited for its result
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

from collections.abc import Mapping, Sequence

from asyncq._broker_errors import (
    AuthenticationError,
    BrokerError,
    BrokerReplyError,
    BrokerUnavailableError,
    Missing,
    PartlyUnavailableError,
    ServerTooOldError,
    UnsafeServerError,
)
from asyncq._entry_errors import (
    EntryChangedError,
    EntryDeclaredError,
    EntryExistsError,
    EntryNotFoundError,
    ProviderError,
    SchedulerStalledError,
)
from asyncq._error_base import AsyncqError, ConfigError, NotFoundError, Problem, WrongStateError
from asyncq._task_errors import (
    AttemptCancelledError,
    HandlerCrashedError,
    HandlerNotFoundError,
    LeaseExpiredError,
    RetryIn,
    RevokeTask,
    SkipRetry,
    TaskArchivedError,
    TaskCancelledError,
    TaskControl,
    TaskFailure,
    TaskTimedOutError,
    WorkerProcessDiedError,
)

__all__ = [
    "AlreadyRunningError", "AsyncqError", "AttemptCancelledError", "AuthenticationError", "BrokerError",
    "BrokerReplyError",
    "BrokerUnavailableError", "ClosedError", "ConfigError", "DuplicateTaskError", "EmbeddedUnavailableError",
    "EnqueueRefusedError", "EntryChangedError", "EntryDeclaredError", "EntryExistsError",
    "EntryNotFoundError", "GroupNotFoundError", "HandlerCrashedError", "HandlerNotFoundError",
    "LeaseExpiredError", "LifecycleError", "Missing", "NoSlotError", "NotAllowedError", "NotFoundError",
    "NotStartedError",
    "PartlyUnavailableError", "PayloadError", "Problem", "ProviderError", "QueueNotEmptyError",
    "QueueNotFoundError", "ResultNotKeptError", "ResultTimeoutError", "RetryIn", "RevokeTask",
    "SchedulerStalledError", "ServerNotFoundError", "ServerTooOldError", "SkipRetry", "SlotLostError",
    "TaskArchivedError", "TaskCancelledError", "TaskChangedError", "TaskControl", "TaskFailure",
    "TaskIdConflictError", "TaskNotActiveError", "TaskNotFoundError", "TaskStateError", "TaskTimedOutError",
    "UnsafeServerError",
    "WireError", "WorkerProcessDiedError", "WrongStateError",
]  # fmt: skip


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


class QueueNotFoundError(NotFoundError):
    """No task has ever been put in this queue, or it was removed."""

    _text = "there is no queue {queue!r}"

    def __init__(self, queue: str, near: Sequence[str] = ()) -> None:
        super().__init__(queue, tuple(near))
        self.queue, self.near = queue, tuple(near)


class GroupNotFoundError(NotFoundError):
    """No task waits in this group."""

    _text = "queue {queue!r} has no group {group!r}"

    def __init__(self, queue: str, group: str, near: Sequence[str] = ()) -> None:
        super().__init__(queue, group, tuple(near))
        self.queue, self.group, self.near = queue, group, tuple(near)


class TaskNotFoundError(NotFoundError):
    """The task is not there: finished without retention, expired, or deleted.

    `elsewhere` names queues that do have a task with this id.
    """

    _text = "queue {queue!r} has no task {task_id!r}"

    def __init__(self, queue: str, task_id: str, elsewhere: Sequence[str] = ()) -> None:
        super().__init__(queue, task_id, tuple(elsewhere))
        self.queue, self.task_id, self.elsewhere = queue, task_id, tuple(elsewhere)

    def __str__(self) -> str:
        hint = f"; there is one in {' and '.join(map(repr, self.elsewhere))}" if self.elsewhere else ""
        return super().__str__() + hint


class ResultNotKeptError(TaskNotFoundError):
    """The task is gone, and its result with it: nothing is kept of a task without `retention`.

    `how` is what became of it: `done`, `revoked`, `expired`, `deleted`, `removed`, `aggregated`. It is
    empty where the message was missed.
    """

    def __init__(self, queue: str, task_id: str, how: str = "") -> None:
        super().__init__(queue, task_id)
        self.args = self.queue, self.task_id, self.how = queue, task_id, how

    def __str__(self) -> str:
        ended = f"it ended as {self.how}" if self.how else "it is gone"
        return f"queue {self.queue!r} kept no result of task {self.task_id!r}: {ended} (give it `retention`)"


class ServerNotFoundError(NotFoundError):
    """There is no such server, or it left, or it says nothing any more."""

    _text = "there is no server {server_id!r}"

    def __init__(self, server_id: str, near: Sequence[str] = ()) -> None:
        super().__init__(server_id, tuple(near))
        self.server_id, self.near = server_id, tuple(near)


class NotAllowedError(AsyncqError):
    """Somebody who acts through an inspector lacks the right to do this, or to do it in this queue."""

    def __init__(self, actor: str, right: str, queue: str | None = None, why: str = "") -> None:
        super().__init__(actor, right, queue, why)
        self.actor, self.right, self.queue, self.why = actor, right, queue, why

    def __str__(self) -> str:
        who = repr(self.actor) if self.actor else "this inspector"
        where = "" if self.queue is None else f" in queue {self.queue!r}"
        return f"{who} lacks the right {self.right!r}{where}" + (f": {self.why}" if self.why else "")


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


class TaskChangedError(WrongStateError):
    """The task is not what it was when it was looked at. Look again, and decide again."""

    _text = "task {task_id!r} of queue {queue!r} has changed since it was looked at"

    def __init__(self, queue: str, task_id: str) -> None:
        super().__init__(queue, task_id)
        self.queue, self.task_id = queue, task_id


class QueueNotEmptyError(WrongStateError):
    """The queue still holds tasks, and was to be removed without force. `contents` counts them by state."""

    def __init__(self, queue: str, contents: Mapping[str, int]) -> None:
        super().__init__(queue, dict(contents))
        self.queue, self.contents = queue, dict(contents)

    @property
    def size(self) -> int:
        """How many tasks it holds."""
        return sum(self.contents.values())

    def __str__(self) -> str:
        held = ", ".join(f"{count} {state}" for state, count in self.contents.items() if count)
        return f"queue {self.queue!r} still holds {held}"


class NoSlotError(WrongStateError):
    """All slots of a semaphore were taken, for as long as you wanted to wait. Nothing is held."""

    _text = "no slot of semaphore {scope!r} became free within {seconds:g} s"

    def __init__(self, scope: str, seconds: float) -> None:
        super().__init__(scope, seconds)
        self.scope, self.seconds = scope, seconds


class SlotLostError(WrongStateError):
    """A slot of a semaphore ran out, as Redis was away or we were frozen, and somebody else has it."""

    _text = "the slot of semaphore {scope!r} was lost while it was held"

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


class ResultTimeoutError(AsyncqError, TimeoutError):
    """The task was not over in the time that was given to wait for it. It goes on; you may wait again."""

    _text = "task {task_id!r} of queue {queue!r} was not over after {seconds:g} s"

    def __init__(self, queue: str, task_id: str, seconds: float) -> None:
        super().__init__(queue, task_id)
        self.args = self.queue, self.task_id, self.seconds = queue, task_id, seconds


class WireError(AsyncqError, ValueError):
    """Bytes in Redis that we cannot read: damaged, or written by something newer."""

    _text = "cannot read {key}: {reason}"

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason


for _name in __all__:
    # Tracebacks and pickles name the module that users know.
    globals()[_name].__module__ = __name__

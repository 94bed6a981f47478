"""From what a caller says to what is written: a task and options become a `NewTask`.

Nothing in here does I/O. Whatever is wrong is found here, before anything is sent.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final, cast

from asyncq._clock import from_unix, now
from asyncq._wire.messages import Envelope, NewTask
from asyncq._wire.states import State
from asyncq.codecs import DEFAULT_CODECS, Codecs
from asyncq.definitions import TaskDefinition
from asyncq.errors import (
    BrokerReplyError,
    ConfigError,
    DuplicateTaskError,
    PayloadError,
    Problem,
    TaskIdConflictError,
)
from asyncq.options import (
    DEFAULT_MAX_RETRY,
    DEFAULT_QUEUE,
    DEFAULT_TIMEOUT,
    CheckedOptions,
    TaskOptions,
    check_options,
    merge_options,
)
from asyncq.task import Task
from asyncq.task_info import TaskInfo

__all__ = ["DEFAULT_MAX_PAYLOAD", "compose", "info_of", "new_id", "require_task", "unique_key"]

DEFAULT_MAX_PAYLOAD: Final = 1024 * 1024
"""Bytes. Redis blocks everybody while it copies a large value: such data belongs elsewhere."""

_ID_LENGTH = 22  # characters base62: 131 random bits
_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# 248 = 4 * 62 byte values stand for a character, the other eight are thrown away, so
# that every character is as likely as any other.
_CHARACTER_OF_BYTE = _ALPHABET * 4 + b"\0" * 8
_NO_CHARACTER = bytes(range(248, 256))
_POOL_BYTES = 8192

_pool: list[str] = []
# A child must not hand out the ids that its parent will hand out.
os.register_at_fork(after_in_child=_pool.clear)


def new_id() -> str:
    """Return a new task id: 22 random characters out of 0-9, A-Z, a-z.

    Safe in threads and after a fork. Ids are cut from one large read of the system's
    random numbers, as one system call for each would cost as much as all the rest of
    composing a task.
    """
    while True:
        try:
            # One bytecode of C: two threads never get the same id.
            return _pool.pop()
        except IndexError:
            random = os.urandom(_POOL_BYTES).translate(_CHARACTER_OF_BYTE, _NO_CHARACTER).decode()
            last = len(random) - _ID_LENGTH
            _pool.extend(random[i : i + _ID_LENGTH] for i in range(0, last, _ID_LENGTH))


_NOTHING: Final[CheckedOptions] = {}


def compose(
    task: Task,
    options: TaskOptions = cast("TaskOptions", _NOTHING),  # noqa: B008 - never changed
    *,
    codecs: Codecs = DEFAULT_CODECS,
    defaults: CheckedOptions = _NOTHING,
    max_payload: int = DEFAULT_MAX_PAYLOAD,
) -> NewTask:
    """Return what has to be written to enqueue `task`.

    Args:
        task: The task, with options of its own.
        options: What `enqueue` was given; wins over those of the task.
        codecs: How the payload is encoded.
        defaults: The client's options, checked; the task's own win over them.
        max_payload: How many bytes the encoded payload may have.

    Raises:
        ConfigError: It is no task, an option is wrong, or options contradict each other.
        PayloadError: The payload cannot be encoded, or is too large.
    """
    require_task(task)
    checked = task.checked_options
    if defaults:
        checked = merge_options(defaults, checked)
    if options:
        checked = merge_options(checked, check_options(cast("dict[str, object]", options)))
    codec, payload = task.encoded(codecs)
    if len(payload) > max_payload:
        raise _too_large(task.type, len(payload), max_payload)
    # The clock of this machine: it is shown, and it is what relative expiry counts from.
    enqueued_at = now()
    if not checked:
        envelope = Envelope(task.type, payload, codec, enqueued_at=enqueued_at)
        return NewTask(DEFAULT_QUEUE, new_id(), envelope)
    return _composed(task, checked, Envelope(task.type, payload, codec, enqueued_at=enqueued_at))


def require_task(given: object) -> None:
    """Refuse what is no task.

    Raises:
        ConfigError: With what was probably meant.
    """
    if not isinstance(given, Task):
        raise ConfigError("task", given, _expected_task(given))


def _expected_task(given: object) -> str:
    """Say what to give instead of what is no task."""
    if given is Task:
        return 'a Task and not the class: Task("type", payload)'
    if isinstance(given, str):
        return f"a Task and not its type: Task({given!r}, payload)"
    if isinstance(given, TaskDefinition):
        return "a Task and not its definition: what its `task(...)` returns, called with the arguments"
    return "a Task, or what `task` of a typed definition returns"


def _too_large(type: str, size: int, limit: int) -> PayloadError:  # noqa: A002 - the word of the API
    reason = (
        f"it has {size:,} bytes and the limit is {limit:,}; "
        "store the data elsewhere and enqueue where it is, or raise max_payload"
    )
    return PayloadError(type, reason, size, limit)


def _composed(task: Task, checked: CheckedOptions, envelope: Envelope) -> NewTask:
    """Put the options where they belong in `envelope`, and around it."""
    deadline = checked.get("deadline", 0.0)
    timeout = checked.get("timeout")
    envelope.max_retry = checked.get("max_retry", DEFAULT_MAX_RETRY)
    envelope.deadline = deadline
    # As asynq: the default timeout is for tasks that have no limit at all. Unlike
    # asynq, a timeout of 0 that was asked for is no limit, and fractions are kept.
    envelope.timeout = (0.0 if deadline else DEFAULT_TIMEOUT) if timeout is None else timeout
    envelope.retention = checked.get("retention", 0.0)
    envelope.group = checked.get("group", "")
    envelope.retry_policy = checked.get("retry", "")
    envelope.expires_at = checked.get("expires_at", 0.0)
    if "expires_in" in checked:
        envelope.expires_at = envelope.enqueued_at + checked["expires_in"]
    if "headers" in checked:
        envelope.headers = dict(checked["headers"])
    new = NewTask(checked.get("queue", DEFAULT_QUEUE), checked.get("task_id") or new_id(), envelope)
    new.at = checked.get("at", 0.0)
    new.delay = checked.get("delay", 0.0)
    if "task_id" in checked:
        envelope.nonce = new_id()
    if "unique" in checked:
        new.unique_ttl = checked["unique"]
        envelope.unique_key = unique_key(task.type, task.payload, envelope.payload)
    if new.at or new.delay:
        _check_relations(new)
    return new


def unique_key(type: str, payload: object, raw: bytes) -> str:  # noqa: A002 - the word of the API
    """Return what makes a task unique, as asynq does: an absent payload is not hashed."""
    if payload is None:
        return f"{type}:"
    return f"{type}:{hashlib.md5(raw, usedforsecurity=False).hexdigest()}"


def _check_relations(new: NewTask) -> None:
    """Refuse a delayed task that would be too late whenever it starts."""
    due = new.at or new.envelope.enqueued_at + new.delay
    problems = [
        Problem(option, from_unix(limit), f"an instant after the task is due, {from_unix(due)}")
        for option, limit in (("deadline", new.envelope.deadline), ("expires_at", new.envelope.expires_at))
        if limit and limit <= due and due > new.envelope.enqueued_at
    ]
    if problems:
        raise ConfigError.of(problems)


def info_of(new: NewTask, word: str, now: float, codecs: Codecs = DEFAULT_CODECS) -> TaskInfo:
    """Return what a client is told of the task that it has just enqueued.

    Args:
        new: The task as it was written.
        word: What Redis said of it.
        now: When Redis said so, in Unix seconds. A pending task is due then.
        codecs: To decode the payload with, if somebody asks for it.

    Raises:
        DuplicateTaskError: It is unique, and another one holds the lock.
        TaskIdConflictError: There is a task with this id.
        BrokerReplyError: There is no such word.
    """
    if word == "pending":
        return TaskInfo(new.queue, new.id, new.envelope, State.PENDING, next_at=now, codecs=codecs)
    if word == "already":  # this very task: where it was put when it was sent before
        word = _place_of(new, now)
    if word in _PLACES:
        due = 0.0 if word == "aggregating" else new.at or now + new.delay
        return TaskInfo(new.queue, new.id, new.envelope, State(word), next_at=due, codecs=codecs)
    if word == "duplicate":
        raise DuplicateTaskError(new.queue, new.envelope.type)
    if word == "conflict":
        raise TaskIdConflictError(new.queue, new.id)
    raise BrokerReplyError("enqueue", word)


_PLACES: Final = ("pending", "scheduled", "aggregating")


def _place_of(new: NewTask, now: float) -> str:
    if new.at > now or new.delay:
        return "scheduled"
    return "aggregating" if new.envelope.group else "pending"

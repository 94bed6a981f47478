"""Changing a task that waits, if it is still what somebody has seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict, cast

from asyncq._broker.actions import Change
from asyncq._broker.browse import Seen
from asyncq._clock import from_unix, now
from asyncq._compose import DEFAULT_MAX_PAYLOAD, unique_key
from asyncq._wire.messages import Envelope
from asyncq._wire.states import State
from asyncq.codecs import Codecs
from asyncq.errors import (
    BrokerReplyError,
    ConfigError,
    DuplicateTaskError,
    NotAllowedError,
    PayloadError,
    Problem,
    TaskChangedError,
    TaskStateError,
    WireError,
)
from asyncq.inspector.guard import Change as Noted
from asyncq.inspector.listing import info_of
from asyncq.inspector.reach import Reach
from asyncq.options import TaskOptions, check_options
from asyncq.redaction import unhidden
from asyncq.task_info import TaskInfo

_EDITABLE: Final = ("scheduled", "pending", "retry", "archived", "aggregating")
_MOVABLE: Final = ("scheduled", "pending", "retry", "archived")
_ATTEMPTS: Final = 10
"""Of a change that names no version, while others change the same task."""


class TaskChanges(TypedDict, total=False):
    """What can be changed of a task that waits. What is not named stays as it is."""

    payload: Any
    """The new payload, written with the codec of the old one where that is known here."""

    headers: dict[str, str]
    """The new headers, all of them."""

    max_retry: int
    """How often it is tried again at most."""

    timeout: float | timedelta
    """Time for one attempt; 0 and `math.inf` are no limit."""

    deadline: datetime
    """Instant after which it is not worth running."""

    expires_at: datetime
    """Drop it if it has not been started by this instant."""

    retention: float | timedelta
    """Keep it for so long after it succeeded."""

    retry: str
    """Name of its retry policy."""


_CHANGES: Final = tuple(TaskChanges.__annotations__)


def check_changes(changes: TaskChanges) -> dict[str, Any]:
    """Check what is to be changed, and convert it.

    Raises:
        ConfigError: With all that is wrong.
    """
    if not changes:
        raise ConfigError("changes", {}, f"something to change: {', '.join(_CHANGES)}")
    alien = [
        Problem(name, value, f"something that can be changed: {', '.join(_CHANGES)}")
        for name, value in changes.items()
        if name not in _CHANGES
    ]
    if alien:
        raise ConfigError.of(alien)
    options = {name: value for name, value in changes.items() if name != "payload"}
    return dict(check_options(cast("TaskOptions", options)))


def changed(envelope: Envelope, changes: TaskChanges, checked: dict[str, Any], codecs: Codecs) -> Envelope:
    """Return the envelope as it is to be.

    Raises:
        PayloadError: The payload cannot be encoded, or is too large.
    """
    if "retry" in checked:
        checked = {**checked, "retry_policy": checked["retry"]}
        del checked["retry"]
    new = replace(envelope, **checked)
    if "payload" not in changes:
        return new
    payload = changes["payload"]
    writer = Codecs(envelope.codec, *codecs.all) if envelope.codec in codecs.names else codecs
    new.codec, new.payload = writer.encode(payload, type=envelope.type)
    if len(new.payload) > DEFAULT_MAX_PAYLOAD:
        size, limit = len(new.payload), DEFAULT_MAX_PAYLOAD
        raise PayloadError(envelope.type, f"it has {size:,} bytes and the limit is {limit:,}", size, limit)
    if envelope.unique_key:
        new.unique_key = unique_key(envelope.type, payload, new.payload)
    return new


class Editing:
    """One change of one task: read it, change it here, and write it if nobody was faster."""

    def __init__(self, reach: Reach, queue: str, task_id: str, version: str | None, noted: Noted) -> None:
        self._reach = reach
        self._noted = noted
        self._queue = queue
        self._id = task_id
        self._version = version

    async def edit(self, changes: TaskChanges) -> TaskInfo:
        """Change the message."""
        checked = check_changes(changes)

        def change(seen: Seen) -> tuple[Envelope, float | None, float | None]:
            unhidden = self._unhidden(seen, changes)
            full = checked | {"headers": unhidden["headers"]} if "headers" in unhidden else checked
            return changed(seen.envelope, unhidden, full, self._reach.codecs), None, None

        return await self._change(change, _EDITABLE, (*changes,))

    async def reschedule(self, at: float | None, delay: float | None) -> TaskInfo:
        """Change when it is due."""

        def change(seen: Seen) -> tuple[Envelope, float | None, float | None]:
            due = at if at is not None else now() + (delay or 0.0)
            _refuse_too_late(seen.envelope, due)
            return seen.envelope, at, delay

        return await self._change(change, _MOVABLE, ("next_process_at",))

    def _unhidden(self, seen: Seen, changes: TaskChanges) -> TaskChanges:
        """The changes of somebody who sees the task through a redactor: what is hidden stays as it is."""
        info = info_of(self._queue, seen, self._reach)
        found: dict[str, Any] = {**changes}
        for name in ("payload", "headers"):
            if name in found and info.is_redacted:
                found[name] = self._with_hidden(seen.envelope, info, name, found[name])
        return cast("TaskChanges", found)

    def _with_hidden(self, envelope: Envelope, info: TaskInfo, name: str, wanted: Any) -> Any:
        try:
            is_now: Any = envelope.headers
            if name == "payload":
                is_now = self._reach.codecs.decode(envelope.codec, envelope.payload)
            return unhidden(wanted, getattr(info, name), is_now)
        except (ValueError, WireError):
            why = f"parts of its {name} are hidden, and would be overwritten"
            raise NotAllowedError(self._reach.who.actor, "task.edit", self._queue, why) from None

    async def _change(self, change: Any, allowed: tuple[str, ...], names: tuple[str, ...]) -> TaskInfo:
        word = ""
        for _ in range(_ATTEMPTS):
            seen = await self._look()
            version = info_of(self._queue, seen, self._reach).version
            if seen.state not in allowed:
                word = seen.state.value
                break
            if self._version is not None and self._version != version:
                word = "changed"
                break
            envelope, at, delay = change(seen)
            word = await self._write(seen, version, envelope, at, delay)
            if word == "done":
                written = _written(seen, envelope, at, delay)
                is_now = await self._reach.broker().browse.look(self._queue, self._id)
                self._compare(seen, written, names)
                # It may have run since, and be forgotten.
                return info_of(self._queue, is_now or written, self._reach)
            if word != "changed" or self._version is not None:
                break
        await self._refuse(word, allowed)
        raise BrokerReplyError("edit", word)

    def _compare(self, before: Seen, after: Seen, names: tuple[str, ...]) -> None:
        """Note what was changed."""
        infos = [info_of(self._queue, seen, self._reach) for seen in (before, after)]
        for name in names:
            attribute = "retry_policy" if name == "retry" else name
            self._noted.compare(name, *(_said(info, attribute) for info in infos))

    async def _look(self) -> Seen:
        seen = await self._reach.broker().browse.look(self._queue, self._id)
        if seen is None:
            await self._reach.refuse_missing(self._queue, self._id)
        return seen

    async def _write(
        self, seen: Seen, version: str, envelope: Envelope, at: float | None, delay: float | None
    ) -> str:
        sender = self._reach.broker().actions.sender(self._queue)
        self._type = envelope.type
        message = b"" if envelope is seen.envelope else sender.encode(self._id, envelope)
        return await sender.edit(
            self._id,
            Change(
                version=version,
                message=message,
                at=at,
                delay=delay,
                lock=seen.text("unique"),
                new_lock=envelope.unique_key or seen.text("unique"),
            ),
        )

    async def _refuse(self, word: str, allowed: tuple[str, ...]) -> None:
        if word == "missing":
            await self._reach.refuse_missing(self._queue, self._id)
        if word == "changed":
            raise TaskChangedError(self._queue, self._id)
        if word == "duplicate":
            raise DuplicateTaskError(self._queue, self._type)
        refuse_state(self._queue, self._id, word, allowed)

    _type: str = ""


def _said(info: TaskInfo, name: str) -> Any:
    try:
        return getattr(info, name)
    except WireError:
        return info.raw


def _written(seen: Seen, envelope: Envelope, at: float | None, delay: float | None) -> Seen:
    """Return the task as edit.lua leaves it."""
    if at is None and delay is None:
        return replace(seen, envelope=envelope)
    due = at if at is not None else seen.now + (delay or 0.0)
    state = State.RETRY if seen.state is State.RETRY else State.SCHEDULED
    return replace(seen, envelope=envelope, state=state, due=repr(due).encode())


def refuse_state(queue: str, task_id: str, word: str, allowed: tuple[str, ...]) -> None:
    """Raise what a word of a script means, if it is about where the task is."""
    told = {
        "gathered": "being aggregated",
        "displaced": "in no place (`asyncq doctor` says more)",
        "newer": "newer than asked for",
    }
    states = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")
    if word in told or word in states:
        raise TaskStateError(queue, task_id, told.get(word, word), allowed)


def _refuse_too_late(envelope: Envelope, due: float) -> None:
    problems = [
        Problem(option, from_unix(limit), f"an instant after the task is due, {from_unix(due)}")
        for option, limit in (("deadline", envelope.deadline), ("expires_at", envelope.expires_at))
        if limit and limit <= due and due > now()
    ]
    if problems:
        raise ConfigError.of(problems)

"""A task as others see it: what is in Redis at one moment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, cast

import msgpack

from asyncq._clock import from_unix
from asyncq._wire.messages import Envelope
from asyncq._wire.native import decode_result
from asyncq._wire.states import State
from asyncq.codecs import DEFAULT_CODECS, Codecs
from asyncq.errors import WireError
from asyncq.redaction import HIDDEN, Part, Redactor, Subject, redacted

__all__ = ["Attempt", "Progress", "TaskHistory", "TaskInfo"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is, as its handler said last."""

    done: float
    total: float | None = None
    note: str = ""

    def encode(self) -> bytes:
        """The bytes of the hash field `progress`."""
        encoded: bytes = msgpack.packb((self.done, self.total, self.note), use_bin_type=True)
        return encoded

    @classmethod
    def decode(cls, field: bytes) -> Progress:
        """Read the hash field `progress`.

        Raises:
            WireError: These bytes are no progress report of ours.
        """
        try:
            done, total, note = cast("tuple[Any, Any, Any]", msgpack.unpackb(field))
        except Exception as error:  # as with envelopes, msgpack raises whatever it likes
            raise WireError("progress", f"not three values: {error}") from error
        return cls(done, total, note)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A delivery of a task that did not succeed."""

    number: int  #: which of its deliveries it was, from 1
    started_at: datetime | None  #: when a server took it
    ended_at: datetime | None
    server_id: str  #: empty for a server of Go's
    outcome: str  #: `retry`, `lost` with its server, or why it was archived: exhausted, cancelled ...
    error: str
    traceback: str  #: empty where there is none, or no room for it any more


def _read_attempts(packed: bytes) -> tuple[Attempt, ...]:
    """Read the hash field `attempts`. It is there to be shown: what nobody can read is left out."""
    try:
        rows = cast("list[Any]", msgpack.unpackb(packed, raw=True, strict_map_key=False))
        found = [
            Attempt(
                int(number),
                _instant(float(started)),
                _instant(float(ended)),
                *(cast("bytes", text).decode("utf-8", "replace") for text in texts),
            )
            for number, started, ended, *texts in rows
        ]
    except (ValueError, TypeError, AttributeError, OverflowError):  # as whoever wrote it by hand wrote it
        return ()
    return tuple(found)


@dataclass(slots=True, kw_only=True)
class TaskHistory:
    """What happened to a task since it was enqueued. Instants in Unix seconds, 0 for never."""

    retried: int = 0
    last_error: str = ""
    last_failed_at: float = 0.0
    completed_at: float = 0.0
    result: bytes | None = None  #: as it is stored, with its codec
    progress: bytes | None = None  #: as it is stored
    deliveries: int = 0  #: how often it was handed to a server
    lost: int = 0  #: how often its lease ran out, since the server died or hung
    is_orphaned: bool = False  #: active, but its lease has run out
    reason: str = ""  #: why it is archived
    delivered_at: float = 0.0  #: when it was handed to a server last
    server_id: str = ""  #: which server has it now
    attempts: bytes = field(
        default=b"", compare=False
    )  #: what became of deliveries that did not succeed, as it is stored
    unreadable: str = ""  #: why its message cannot be read
    seal: tuple[bytes, ...] = field(default=(), compare=False)  #: what its version is made of
    redact: Redactor | None = field(default=None, compare=False)  #: what stands between it and who looks


_NO_HISTORY: Final = TaskHistory()


class TaskInfo:
    """A task as it is in Redis at one moment. A snapshot: it does not follow the task.

    Instants are aware datetimes in UTC, or None where there is none; durations are seconds.
    """

    # Made once per enqueue: so it keeps references and floats, and whoever looks at a
    # datetime pays for it then.
    __slots__ = ("_codecs", "_envelope", "_history", "_next_at", "id", "queue", "state")

    id: str
    queue: str
    state: State

    def __init__(  # noqa: PLR0913 - the record is what this class puts a face on
        self,
        queue: str,
        task_id: str,
        envelope: Envelope,
        state: State,
        *,
        next_at: float = 0.0,
        history: TaskHistory = _NO_HISTORY,
        codecs: Codecs = DEFAULT_CODECS,
    ) -> None:
        """Keep the parts; `next_at` is in Unix seconds, 0 for none."""
        self.queue = queue
        self.id = task_id
        self.state = state
        self._envelope = envelope
        self._next_at = next_at
        self._history = history
        self._codecs = codecs

    @property
    def type(self) -> str:
        """What kind of work it is."""
        return self._envelope.type

    @property
    def payload(self) -> Any:
        """The payload, decoded at each call.

        Raises:
            WireError: It cannot be decoded, or by no codec that is known here.
        """
        where = f"the payload of task {self.id!r} ({self.type})"
        return self._decoded("payload", self._envelope.codec, self._envelope.payload, where)

    @property
    def raw(self) -> bytes:
        """The bytes of the payload; none where a redactor stands before them."""
        return b"" if self.is_redacted else self._envelope.payload

    @property
    def is_redacted(self) -> bool:
        """Whether a redactor decides what is seen of the payload, headers, result, errors and progress.

        So it is with what comes from an `Inspector(..., redact=...)`.
        """
        return self._history.redact is not None

    def _behind(self, redact: Redactor | None) -> TaskInfo:
        """The same task as it is seen behind a redactor."""
        if redact is None:
            return self
        return TaskInfo(
            self.queue,
            self.id,
            self._envelope,
            self.state,
            next_at=self._next_at,
            history=replace(self._history, redact=redact),
            codecs=self._codecs,
        )

    def _shown(self, part: Part, value: Any) -> Any:
        redact = self._history.redact
        if redact is None:
            return value
        return redacted(redact, value, Subject(part, self.queue, self.type, self.id))

    def _decoded(self, part: Part, codec: str, raw: bytes, where: str) -> Any:
        try:
            value = self._codecs.decode(codec, raw, where=where)
        except WireError:
            if self.is_redacted:
                raise WireError(where, HIDDEN) from None  # its text may hold some of it
            raise
        return self._shown(part, value)

    @property
    def codec(self) -> str:
        """Name of the codec the payload is written with; empty for bytes."""
        return self._envelope.codec

    @property
    def headers(self) -> Mapping[str, str]:
        """Text that travels with the task."""
        headers = self._envelope.headers
        return cast("Mapping[str, str]", self._shown("headers", {**headers})) if headers else headers

    @property
    def max_retry(self) -> int:
        """How often it is tried again at most."""
        return self._envelope.max_retry

    @property
    def timeout(self) -> float:
        """Seconds for one attempt; 0 is no limit."""
        return self._envelope.timeout

    @property
    def deadline(self) -> datetime | None:
        """When it is not worth running any more."""
        return _instant(self._envelope.deadline)

    @property
    def retention(self) -> float:
        """Seconds for which it is kept after success."""
        return self._envelope.retention

    @property
    def expires_at(self) -> datetime | None:
        """When it is dropped if it was not started by then."""
        return _instant(self._envelope.expires_at)

    @property
    def unique_key(self) -> str:
        """What makes it unique, `type:md5`; empty for a task that need not be."""
        key = self._envelope.unique_key
        # The hash of a payload with few possible values is as good as the payload.
        return f"{self.type}:{HIDDEN}" if key and self.is_redacted else key

    @property
    def group(self) -> str:
        """The group it is gathered in; empty for none."""
        return self._envelope.group

    @property
    def retry_policy(self) -> str:
        """Name of its retry policy; empty for the server's own."""
        return self._envelope.retry_policy

    @property
    def enqueued_at(self) -> datetime | None:
        """When it was enqueued, by the clock of the client."""
        return _instant(self._envelope.enqueued_at)

    @property
    def next_process_at(self) -> datetime | None:
        """When it is due; None if it is active, finished, or waits for its group."""
        return _instant(self._next_at)

    @property
    def retried(self) -> int:
        """How many of its retries are used."""
        return self._history.retried

    @property
    def last_error(self) -> str:
        """Why it failed last; empty if it never did."""
        error = self._history.last_error
        return str(self._shown("error", error)) if error else ""

    @property
    def last_failed_at(self) -> datetime | None:
        """When it failed last."""
        return _instant(self._history.last_failed_at)

    @property
    def completed_at(self) -> datetime | None:
        """When it succeeded."""
        return _instant(self._history.completed_at)

    @property
    def result(self) -> Any:
        """What the handler returned or wrote as its result, decoded at each call; None if it is none.

        Raises:
            WireError: It cannot be decoded, or by no codec that is known here.
        """
        if self._history.result is None:
            return None
        codec, raw = decode_result(self._history.result)
        return self._decoded("result", codec, raw, f"the result of task {self.id!r} ({self.type})")

    @property
    def progress(self) -> Progress | None:
        """What the handler reported last; None if it reported nothing.

        Raises:
            WireError: It cannot be read.
        """
        if self._history.progress is None:
            return None
        progress = Progress.decode(self._history.progress)
        return (
            replace(progress, note=str(self._shown("progress", progress.note))) if progress.note else progress
        )

    @property
    def raw_result(self) -> bytes | None:
        """The bytes of the result; None if it is none, and where a redactor stands before them."""
        if self._history.result is None or self.is_redacted:
            return None
        return decode_result(self._history.result)[1]

    @property
    def deliveries(self) -> int:
        """How often it was handed to a server."""
        return self._history.deliveries

    @property
    def lost(self) -> int:
        """How often its lease ran out, because the server died or hung."""
        return self._history.lost

    @property
    def reason(self) -> str:
        """Why it is archived: exhausted, skip_retry, cancelled, lost, unreadable or requested. Else empty."""
        return self._history.reason

    @property
    def delivered_at(self) -> datetime | None:
        """When it was handed to a server last; None if it never was."""
        return _instant(self._history.delivered_at)

    @property
    def server_id(self) -> str:
        """Which server works on it; `asynq` for one of Go's, and empty while nobody does."""
        return self._history.server_id

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The last deliveries that did not succeed, the oldest first; servers keep `keep_attempts` of them.

        Only `inspector.tasks.get` reads them: in lists there are none.
        """
        attempts = _read_attempts(self._history.attempts) if self._history.attempts else ()
        if not self.is_redacted:
            return attempts
        return tuple(
            replace(
                attempt,
                error=self._shown("error", attempt.error) if attempt.error else "",
                traceback=self._shown("traceback", attempt.traceback) if attempt.traceback else "",
            )
            for attempt in attempts
        )

    @property
    def is_orphaned(self) -> bool:
        """True if it is active and its lease has run out: it is about to be recovered."""
        return self._history.is_orphaned

    @property
    def unreadable(self) -> str:
        """Why its message cannot be read; empty if it can. Only lists show such tasks."""
        return self._history.unreadable

    @property
    def version(self) -> str:
        """What it was like when it was seen, for `inspector.tasks.edit` and `reschedule`.

        Changes with its message, state, due time and deliveries. Empty for what `enqueue` returned.
        """
        seal = self._history.seal
        return hashlib.sha1(b"\0".join(seal), usedforsecurity=False).hexdigest() if seal else ""

    def _key(self) -> tuple[object, ...]:
        return self.queue, self.id, self.state, self._envelope, self._next_at, self._history

    def __eq__(self, other: object) -> bool:
        """Compare by all that is known about the task."""
        return self._key() == other._key() if isinstance(other, TaskInfo) else NotImplemented

    # An envelope holds a dictionary of headers.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show what it is and where, and not the payload, which may hold secrets."""
        return f"<TaskInfo {self.type!r} id={self.id!r} queue={self.queue!r} state={self.state.value}>"


def _instant(value: float) -> datetime | None:
    return from_unix(value) if value else None

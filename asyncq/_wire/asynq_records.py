"""What servers and schedulers of the asynq wire say of themselves, for the inspectors of both languages.

Each record is one protobuf message. Instants are exact, in nanoseconds as in Go; `Timestamp.of` makes one of
Unix seconds. One that is not set is `NEVER`, and has to be said: left out it would be 1970 for Go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from asyncq._wire.protobuf import (
    BYTES,
    NEVER,
    NUMBER,
    Timestamp,
    bytes_field,
    entry_field,
    int32,
    message_field,
    number_field,
    scan,
    text,
    text_field,
    time_field,
    timestamp,
    utf8,
)

__all__ = ["NEVER", "EnqueueEvent", "SchedulerEntry", "ServerInfo", "Timestamp", "WorkerInfo", "excerpt"]

_KEY: Final = 1 << 3 | BYTES
_WEIGHT: Final = 2 << 3 | NUMBER


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """A server: `servers:{host:pid:id}`."""

    host: str
    pid: int
    server_id: str
    concurrency: int
    queues: dict[str, int] = field(default_factory=dict[str, int])  #: name and weight, as configured
    is_strict: bool = False  #: whether weights are an order
    status: str = "active"  #: new, active, stopped or closed
    started: Timestamp = NEVER
    active: int = 0  #: tasks it works on

    def encode(self) -> bytes:
        """The bytes that Go would write, but for the order of the queues, which is by chance there."""
        return b"".join(
            (
                text_field(1, self.host),
                number_field(2, self.pid),
                text_field(3, self.server_id),
                number_field(4, self.concurrency),
                *(entry_field(5, name, weight) for name, weight in self.queues.items()),
                number_field(6, int(self.is_strict)),
                text_field(7, self.status),
                time_field(8, self.started),
                number_field(9, self.active),
            )
        )

    @classmethod
    def decode(cls, raw: bytes) -> ServerInfo:
        """Read one.

        Raises:
            WireError: These bytes are none.
        """
        found = _Fields(raw, "server")
        return cls(
            host=found.text(1),
            pid=found.number(2),
            server_id=found.text(3),
            concurrency=found.number(4),
            queues=dict(_weight(entry) for entry in found.several(5)),
            is_strict=found.number(6) != 0,
            status=found.text(7),
            started=found.instant(8),
            active=found.number(9),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A task that a server works on: one field of the hash `workers:{host:pid:id}`, under the task's id."""

    host: str
    pid: int
    server_id: str
    task_id: str
    task_type: str
    payload: bytes
    queue: str
    started: Timestamp = NEVER
    deadline: Timestamp = NEVER

    def encode(self) -> bytes:
        """The bytes that Go would write."""
        return b"".join(
            (
                text_field(1, self.host),
                number_field(2, self.pid),
                text_field(3, self.server_id),
                text_field(4, self.task_id),
                text_field(5, self.task_type),
                bytes_field(6, self.payload),
                text_field(7, self.queue),
                time_field(8, self.started),
                time_field(9, self.deadline),
            )
        )

    @classmethod
    def decode(cls, raw: bytes) -> WorkerInfo:
        """Read one.

        Raises:
            WireError: These bytes are none.
        """
        found = _Fields(raw, "worker")
        return cls(
            host=found.text(1),
            pid=found.number(2),
            server_id=found.text(3),
            task_id=found.text(4),
            task_type=found.text(5),
            payload=found.blob(6),
            queue=found.text(7),
            started=found.instant(8),
            deadline=found.instant(9),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerEntry:
    """An entry of a scheduler: one item of the list `schedulers:{host:pid:id}`."""

    entry_id: str
    spec: str
    task_type: str
    payload: bytes = b""
    options: tuple[str, ...] = ()  #: as text: `go_text.write_options`
    next: Timestamp = NEVER
    prev: Timestamp = NEVER  #: `NEVER` for an entry that never ran

    def encode(self) -> bytes:
        """The bytes that Go would write."""
        return b"".join(
            (
                text_field(1, self.entry_id),
                text_field(2, self.spec),
                text_field(3, self.task_type),
                bytes_field(4, self.payload),
                *(message_field(5, utf8(option)) for option in self.options),
                time_field(6, self.next),
                time_field(7, self.prev),
            )
        )

    @classmethod
    def decode(cls, raw: bytes) -> SchedulerEntry:
        """Read one.

        Raises:
            WireError: These bytes are none.
        """
        found = _Fields(raw, "entry")
        return cls(
            entry_id=found.text(1),
            spec=found.text(2),
            task_type=found.text(3),
            payload=found.blob(4),
            options=tuple(text(option, "entry") for option in found.several(5)),
            next=found.instant(6),
            prev=found.instant(7),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueEvent:
    """A time of an entry: one member of the sorted set `scheduler_history:<entry id>`."""

    task_id: str
    enqueued_at: Timestamp

    def encode(self) -> bytes:
        """The bytes that Go would write."""
        return text_field(1, self.task_id) + time_field(2, self.enqueued_at)

    @classmethod
    def decode(cls, raw: bytes) -> EnqueueEvent:
        """Read one.

        Raises:
            WireError: These bytes are none.
        """
        found = _Fields(raw, "event")
        return cls(task_id=found.text(1), enqueued_at=found.instant(2))


def excerpt(payload: bytes, most: int) -> bytes:
    """The beginning of a payload. It ends with a whole character: tools do not show what is no text."""
    if len(payload) <= most:
        return payload
    end = most
    while end > most - _LONGEST_CHARACTER and end and payload[end] & 0xC0 == 0x80:
        end -= 1
    return payload[:end]


_LONGEST_CHARACTER: Final = 4
"""Bytes of one in UTF-8. What has more of those that go on is no text."""

_SEVERAL: Final = frozenset(number << 3 | BYTES for number in (2, 5, 6, 7, 8, 9))
"""Of all records: fields that come several times, or are messages, which may come in parts."""


class _Fields:
    """The fields of one record, by number; those that are not there are zero."""

    __slots__ = ("_found", "_where")

    def __init__(self, raw: bytes, where: str) -> None:
        self._found: Final[dict[int, Any]] = scan(raw, _SEVERAL, where)
        self._where: Final = where

    def blob(self, number: int) -> bytes:
        found: bytes | list[bytes] = self._found.get(number << 3 | BYTES, b"")
        return found[-1] if isinstance(found, list) else found

    def text(self, number: int) -> str:
        return text(self.blob(number), self._where)

    def number(self, number: int) -> int:
        return int32(self._found.get(number << 3 | NUMBER, 0))

    def several(self, number: int) -> list[bytes]:
        found: list[bytes] = self._found.get(number << 3 | BYTES, [])
        return found

    def instant(self, number: int) -> Timestamp:
        return timestamp(self.several(number), self._where)


def _weight(entry: bytes) -> tuple[str, int]:
    found = scan(entry, (), "server")
    return text(found.get(_KEY, b""), "server"), int32(found.get(_WEIGHT, 0))

"""What we code by hand against protobuf's own run-time, both ways."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from asyncq._wire import asynq
from asyncq._wire.asynq_records import EnqueueEvent, SchedulerEntry, ServerInfo, Timestamp, WorkerInfo
from asyncq._wire.messages import Envelope, Past
from asyncq._wire.protobuf import scan
from asyncq.errors import WireError
from tests.support.asynq_messages import queue_and_id

_INT32 = descriptor_pb2.FieldDescriptorProto.TYPE_INT32
_INT64 = descriptor_pb2.FieldDescriptorProto.TYPE_INT64
_TEXT = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_BYTES = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
_BOOL = descriptor_pb2.FieldDescriptorProto.TYPE_BOOL
_OF = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
_INSTANT = "google.protobuf.Timestamp"

# Of each message: the fields, name by number, with a type; a map has the type of its values, too.
_MESSAGES: Final[dict[str, dict[int, tuple[Any, ...]]]] = {
    "TaskMessage": {
        1: ("type", _TEXT), 2: ("payload", _BYTES), 3: ("id", _TEXT), 4: ("queue", _TEXT),
        5: ("retry", _INT32),
        6: ("retried", _INT32), 7: ("error_msg", _TEXT), 8: ("timeout", _INT64), 9: ("deadline", _INT64),
        10: ("unique_key", _TEXT), 11: ("last_failed_at", _INT64), 12: ("retention", _INT64),
        13: ("completed_at", _INT64), 14: ("group_key", _TEXT), 15: ("headers", "map", _TEXT),
    },
    # The same with fields that asynq does not have, of every kind, to be passed over.
    "Future": {
        1: ("type", _TEXT), 15: ("headers", "map", _TEXT), 16: ("number", _INT64), 100: ("text", _TEXT),
        2000: ("instant", _OF), 3000: ("fixed32", descriptor_pb2.FieldDescriptorProto.TYPE_FIXED32),
        536870911: ("fixed64", descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE), 17: ("pairs", "map", _INT32),
    },
    "ServerInfo": {
        1: ("host", _TEXT), 2: ("pid", _INT32), 3: ("server_id", _TEXT), 4: ("concurrency", _INT32),
        5: ("queues", "map", _INT32), 6: ("strict_priority", _BOOL), 7: ("status", _TEXT),
        8: ("start_time", _OF),
        9: ("active_worker_count", _INT32),
    },
    "WorkerInfo": {
        1: ("host", _TEXT), 2: ("pid", _INT32), 3: ("server_id", _TEXT), 4: ("task_id", _TEXT),
        5: ("task_type", _TEXT), 6: ("task_payload", _BYTES), 7: ("queue", _TEXT), 8: ("start_time", _OF),
        9: ("deadline", _OF),
    },
    "SchedulerEntry": {
        1: ("id", _TEXT), 2: ("spec", _TEXT), 3: ("task_type", _TEXT), 4: ("task_payload", _BYTES),
        5: ("enqueue_options", "many", _TEXT), 6: ("next_enqueue_time", _OF), 7: ("prev_enqueue_time", _OF),
    },
    "SchedulerEnqueueEvent": {1: ("task_id", _TEXT), 2: ("enqueue_time", _OF)},
}  # fmt: skip


def _add(
    message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: Any, *, several: str = ""
) -> None:
    field = message.field.add(name=name, number=number, type=kind)
    field.label = field.LABEL_REPEATED if several else field.LABEL_OPTIONAL
    if kind == _OF:
        field.type_name = several or f".{_INSTANT}"


def _classes() -> dict[str, Any]:
    """Classes for the messages, as its compiler would make them."""
    file = descriptor_pb2.FileDescriptorProto(name="asynq.proto", package="asynq", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    for title, fields in _MESSAGES.items():
        message = file.message_type.add(name=title)
        for number, (name, kind, *of) in fields.items():
            if kind == "map":
                entry = message.nested_type.add(name=f"{name.title()}Entry")
                entry.options.map_entry = True
                _add(entry, "key", 1, _TEXT)
                _add(entry, "value", 2, of[0])
                _add(message, name, number, _OF, several=f".asynq.{title}.{entry.name}")
            elif kind == "many":
                _add(message, name, number, of[0], several="texts")
            else:
                _add(message, name, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {
        title: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"asynq.{title}"))
        for title in _MESSAGES
    }


_OTHERS: Final = _classes()

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_int32 = st.integers(-(2**31), 2**31 - 1)
_int64 = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5)
_headers = st.dictionaries(_text, _text, max_size=30)
_instants = st.builds(Timestamp, st.integers(-62_135_596_800, 253_402_300_799), st.integers(0, 999_999_999))


@given(
    st.builds(
        Envelope,
        type=_text,
        payload=st.binary(max_size=300),
        codec=st.sampled_from(["", "json", "ours"]),
        max_retry=st.integers(0, 2**31 - 1),
        timeout=st.floats(0, 1e9),
        deadline=st.floats(0, 1e10),
        retention=st.floats(0, 1e9),
        expires_at=st.floats(0, 1e10),
        unique_key=_text,
        group=_text,
        headers=_headers,
        enqueued_at=st.floats(0, 1e10),
        past=st.builds(Past, st.integers(0, 2**31 - 1), _text, st.integers(0, 2**40), st.integers(0, 2**40))
        | st.none(),
    ),
    _text,
    _text,
)
def test_others_read_what_we_write(envelope: Envelope, queue: str, task_id: str) -> None:
    """With what is ours behind it, as without: they pass it over."""
    message, extra = asynq.encode("asynq:", queue, task_id, envelope)
    past = envelope.past or Past()
    for raw in (message, message + extra):
        read = _OTHERS["TaskMessage"].FromString(raw)
        assert (read.type, read.payload, read.id, read.queue) == (
            envelope.type, envelope.payload, task_id, queue
        )  # fmt: skip
        assert (read.retry, read.group_key, dict(read.headers)) == (
            envelope.max_retry, envelope.group, envelope.headers
        )  # fmt: skip
        limit = envelope.timeout or envelope.deadline
        assert read.timeout == (math.ceil(envelope.timeout) if limit else asynq.NO_TIMEOUT)
        assert read.deadline == math.ceil(envelope.deadline)
        assert read.retention == math.ceil(envelope.retention)
        assert read.unique_key == (envelope.unique_key and f"asynq:{{{queue}}}:unique:{envelope.unique_key}")
        assert (read.retried, read.error_msg, read.last_failed_at, read.completed_at) == (
            past.retried, past.error, past.failed_at, past.completed_at
        )  # fmt: skip
    if len(envelope.headers) <= 1:
        assert _OTHERS["TaskMessage"].FromString(message).SerializeToString(deterministic=True) == message


_messages = st.fixed_dictionaries(
    {},
    optional={
        name: {_TEXT: _text, _BYTES: st.binary(max_size=300), _INT32: _int32, _INT64: _int64}.get(
            kind, _headers
        )
        for name, kind, *_ in _MESSAGES["TaskMessage"].values()
    },
)
_futures = st.fixed_dictionaries(
    {
        "number": _int64,
        "text": _text,
        "fixed32": st.integers(0, 2**32 - 1),
        "fixed64": st.floats(),
        "pairs": st.dictionaries(_text, _int32, max_size=3),
    }
)


@given(_messages, _futures)
def test_we_read_what_others_write(values: dict[str, Any], future: dict[str, Any]) -> None:
    """Any number, many headers, and fields of a future asynq in front and behind."""
    message, more = _OTHERS["TaskMessage"](**values), _OTHERS["Future"](**future)
    more.instant.seconds = -1
    known, unknown = message.SerializeToString(), more.SerializeToString()
    read = asynq.decode(known)
    assert asynq.decode(unknown + known) == asynq.decode(known + unknown) == read
    assert (read.type, read.payload, read.group) == (message.type, message.payload, message.group_key)
    assert read.headers == dict(message.headers)
    assert read.max_retry == max(message.retry, 0)
    if 0 <= message.timeout < 10**10 and 0 <= message.deadline < 10**11:
        limit = message.timeout or message.deadline
        assert (read.timeout, read.deadline) == (message.timeout if limit else 1800, message.deadline)
    assert read.past is not None
    assert (read.past.retried, read.past.error) == (max(message.retried, 0), message.error_msg)
    assert queue_and_id(known) == (message.queue, message.id)


@given(_messages, _messages)
def test_what_is_appended_replaces(first: dict[str, Any], second: dict[str, Any]) -> None:
    """The last value counts, headers are joined: two messages in a row are one."""
    raws = [_OTHERS["TaskMessage"](**values).SerializeToString() for values in (first, second)]
    joined = _OTHERS["TaskMessage"].FromString(b"".join(raws))
    assert asynq.decode(b"".join(raws)) == asynq.decode(joined.SerializeToString())


@given(_messages, st.integers(0, 10**6), st.binary(max_size=3), st.integers(0, 3))
def test_we_refuse_what_others_refuse(values: dict[str, Any], where: int, what: bytes, removed: int) -> None:
    """Of damaged messages: what we read they read, so Go can work on whatever task we work on."""
    raw = _OTHERS["TaskMessage"](**values).SerializeToString()
    where %= len(raw) + 1
    raw = raw[:where] + what + raw[where + removed :]
    try:
        read = asynq.decode(raw)
    except WireError:
        return
    try:
        other = _OTHERS["TaskMessage"].FromString(raw)
    except DecodeError:
        # Text that something later replaces is not looked at by us.
        assert _has_twice(raw)
        return
    assert (read.type, read.payload, read.headers) == (other.type, other.payload, dict(other.headers))


def _has_twice(raw: bytes) -> bool:
    """Whether a field that may come once comes again, in the message or in a header."""
    found = scan(raw, range(2**32), "msg")
    headers = found.pop(15 << 3 | 2, [])
    return any(len(values) > 1 for values in found.values()) or any(map(_has_twice, headers))


# --- records ---------------------------------------------------------------------

_names: Final = {
    "is_strict": "strict_priority", "started": "start_time", "active": "active_worker_count",
    "payload": "task_payload", "entry_id": "id", "options": "enqueue_options",
    "next": "next_enqueue_time", "prev": "prev_enqueue_time", "enqueued_at": "enqueue_time",
}  # fmt: skip


def _plain(value: Any) -> Any:
    """What a field of the run-time's message holds, as our records have it."""
    if isinstance(value, (str, bytes, int)):
        return value
    if value.__class__.__name__ == "Timestamp":
        return Timestamp(value.seconds, value.nanos)
    return dict(value) if hasattr(value, "items") else tuple(value)


_records = {
    "ServerInfo": st.builds(
        ServerInfo, host=_text, pid=_int32, server_id=_text, concurrency=_int32,
        queues=st.dictionaries(_text, _int32, max_size=5), is_strict=st.booleans(), status=_text,
        started=_instants, active=_int32,
    ),
    "WorkerInfo": st.builds(
        WorkerInfo, host=_text, pid=_int32, server_id=_text, task_id=_text, task_type=_text,
        payload=st.binary(max_size=300), queue=_text, started=_instants, deadline=_instants,
    ),
    "SchedulerEntry": st.builds(
        SchedulerEntry, entry_id=_text, spec=_text, task_type=_text, payload=st.binary(max_size=300),
        options=st.lists(_text, max_size=4).map(tuple), next=_instants, prev=_instants,
    ),
    "SchedulerEnqueueEvent": st.builds(EnqueueEvent, task_id=_text, enqueued_at=_instants),
}  # fmt: skip


@pytest.mark.parametrize("title", _records)
@given(data=st.data())
def test_records_are_the_same_for_others(title: str, data: st.DataObject) -> None:
    """Read and written, with fields of the future, and changed by appending another."""
    record, later = data.draw(_records[title]), data.draw(_records[title])
    other = _OTHERS[title].FromString(record.encode())
    fields = {name: _plain(getattr(other, _names.get(name, name))) for name in record.__dataclass_fields__}
    assert type(record)(**fields) == record
    future = _OTHERS["Future"](**data.draw(_futures)).SerializeToString()
    assert type(record).decode(future + other.SerializeToString()) == record
    if title not in {"ServerInfo", "SchedulerEntry"}:
        assert type(record).decode(record.encode() + later.encode()) == _joined(record, later)


def _joined(first: Any, second: Any) -> Any:
    """Protobuf's rule: zeros are not written, so they replace nothing; instants are joined by halves."""
    changes: dict[str, Any] = {}
    for name in first.__dataclass_fields__:
        old, new = getattr(first, name), getattr(second, name)
        if isinstance(new, Timestamp):
            changes[name] = Timestamp(new.seconds or old.seconds, new.nanos or old.nanos)
        elif new:
            changes[name] = new
    return replace(first, **changes)


@given(st.binary(max_size=100), st.sampled_from([ServerInfo, WorkerInfo, SchedulerEntry, EnqueueEvent]))
def test_any_bytes_are_a_record_or_an_error_of_ours(raw: bytes, kind: Any) -> None:
    """One damaged record must not hide the others."""
    try:
        assert isinstance(kind.decode(raw), kind)
    except WireError as error:
        assert error.reason  # noqa: PT017 - either is right

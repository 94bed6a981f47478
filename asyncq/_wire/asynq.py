"""The envelope of the asynq wire: the `TaskMessage` of Go's asynq, and beside it what has no place there.

A task has two hash fields. `msg` is for both languages: byte for byte what Go would write. `extra` is ours:
Go leaves it alone, but would drop it if it were part of `msg`, which it writes anew now and then. Both
together are one protobuf message, for `extra` is one field of a number that asynq does not use; so a script
that hands out a task puts `extra` in front of `msg`, and we read both in one go.

Whole seconds are all that `TaskMessage` has. They are rounded up, so that a Go server never stops a task
earlier than it should, and `extra` has the exact value. It holds for as long as it agrees with the rounded
one: if Go has changed that since, what Go wrote is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import ceil
from typing import Any, Final, cast

import msgpack

from asyncq._wire.messages import Envelope, Past
from asyncq._wire.protobuf import (
    BYTES,
    NUMBER,
    entry_field,
    int32,
    int64,
    number_field,
    scan,
    tag,
    text,
    text_field,
    varint,
)
from asyncq.errors import WireError

DEFAULT_TIMEOUT: Final = 1800
"""What Go takes where a message has neither timeout nor deadline."""

NO_TIMEOUT: Final = 10 * 365 * 86400
"""Stands for no timeout, which Go can say only together with a deadline."""

GO_CODEC: Final = "json"
"""By which a payload is read when nothing tells its codec: Go's tasks do not."""

# The fields of TaskMessage, and `extra`.
_TYPE, _PAYLOAD, _ID, _QUEUE = (number << 3 | BYTES for number in (1, 2, 3, 4))
_RETRY, _RETRIED = (number << 3 | NUMBER for number in (5, 6))
_ERROR = 7 << 3 | BYTES
_TIMEOUT, _DEADLINE = (number << 3 | NUMBER for number in (8, 9))
_UNIQUE_KEY = 10 << 3 | BYTES
_FAILED_AT, _RETENTION, _COMPLETED_AT = (number << 3 | NUMBER for number in (11, 12, 13))
_GROUP, _HEADERS = (number << 3 | BYTES for number in (14, 15))
EXTRA_NUMBER: Final = 1000
_EXTRA = EXTRA_NUMBER << 3 | BYTES
_EXTRA_TAG: Final = tag(EXTRA_NUMBER, BYTES)

_REPEATED: Final = frozenset({_HEADERS})
_PAST: Final = frozenset({_RETRIED, _ERROR, _FAILED_AT, _COMPLETED_AT})
_KEY: Final = 1 << 3 | BYTES
_VALUE: Final = 2 << 3 | BYTES

# What `extra` holds: never given another meaning, and unknown ones are passed over.
(
    X_CODEC,
    X_ENQUEUED_AT,
    X_EXPIRES_AT,
    X_RETRY_POLICY,
    X_NONCE,
    X_TIMEOUT,
    X_DEADLINE,
    X_RETENTION,
) = range(1, 9)
_X_TEXTS: Final = frozenset({X_CODEC, X_RETRY_POLICY, X_NONCE})
_X_NAMES: Final = {
    X_CODEC: "codec",
    X_ENQUEUED_AT: "enqueued_at",
    X_EXPIRES_AT: "expires_at",
    X_RETRY_POLICY: "retry_policy",
    X_NONCE: "nonce",
    X_TIMEOUT: "timeout",
    X_DEADLINE: "deadline",
    X_RETENTION: "retention",
}

_NOTHING_YET: Final = Past()
_NUMBERS: Final = (float, int)
_TOO_LARGE: Final = 2**53
"""Numbers from here on are not exact as floats, which is what Redis and Lua have."""

_INT32_MAX: Final = 2**31 - 1
_LONGEST: Final = 10_000_000_000
"""Seconds: more than the 292 years that a duration of Go can be."""

_LATEST: Final = 253_402_300_799
"""The last second of the year 9999, the last that a date of ours can show."""

_pack: Final = msgpack.Packer(use_bin_type=True).pack


# --- writing ---------------------------------------------------------------------


def encode(  # noqa: C901 - a row for each field
    prefix: str, queue: str, task_id: str, envelope: Envelope
) -> tuple[bytes, bytes]:
    """Encode an envelope for the hash fields `msg` and `extra`.

    Args:
        prefix: Of all keys; the message holds the full name of the unique lock.
        queue: The queue of the task.
        task_id: Its id.
        envelope: What else is to be said. Where it has a past, that is written, too.

    Returns:
        The bytes for both fields; none for `extra` where everything has a place in `msg`.
    """
    e = envelope
    extra: dict[int, Any] = {}
    timeout, deadline, retention = ceil(e.timeout), ceil(e.deadline), ceil(e.retention)
    if e.codec != (GO_CODEC if e.payload else ""):
        extra[X_CODEC] = e.codec
    if e.enqueued_at:
        extra[X_ENQUEUED_AT] = e.enqueued_at
    if e.expires_at:
        extra[X_EXPIRES_AT] = e.expires_at
    if e.retry_policy:
        extra[X_RETRY_POLICY] = e.retry_policy
    if e.nonce:
        extra[X_NONCE] = e.nonce
    if not timeout and not deadline:
        timeout = NO_TIMEOUT
    if timeout != e.timeout:
        extra[X_TIMEOUT] = e.timeout
    if deadline != e.deadline:
        extra[X_DEADLINE] = e.deadline
    if retention != e.retention:
        extra[X_RETENTION] = e.retention
    message = _message(prefix, queue, task_id, envelope, (timeout, deadline, retention))
    if not extra:
        return message, b""
    body: bytes = _pack(extra)
    return message, _EXTRA_TAG + varint(len(body)) + body


def _message(prefix: str, queue: str, task_id: str, e: Envelope, times: tuple[int, int, int]) -> bytes:
    """The fields of TaskMessage, in the order of their numbers as Go writes them."""
    timeout, deadline, retention = times
    payload, past = e.payload, e.past
    parts = [_short(1, e.type)]
    if payload:
        parts += (b"\x12", varint(len(payload)), payload)
    parts.append(text_field(3, task_id))
    parts.append(_short(4, queue))
    parts.append(_number(5, e.max_retry))
    if past is not None:
        parts += (number_field(6, past.retried), text_field(7, past.error))
    parts.append(_number(8, timeout))
    if deadline:
        parts.append(number_field(9, deadline))
    if e.unique_key:
        parts.append(text_field(10, f"{prefix}{{{queue}}}:unique:{e.unique_key}"))
    if past is not None and past.failed_at:
        parts.append(number_field(11, int(past.failed_at)))
    if retention:
        parts.append(_number(12, retention))
    if past is not None and past.completed_at:
        parts.append(number_field(13, int(past.completed_at)))
    if e.group:
        parts.append(text_field(14, e.group))
    for name, value in e.headers.items():
        parts.append(entry_field(15, name, value))
    return b"".join(parts)


_short: Final = lru_cache(maxsize=256)(text_field)
_number: Final = lru_cache(maxsize=256)(number_field)


# --- reading ---------------------------------------------------------------------


def decode(raw: bytes) -> Envelope:
    """Decode the hash field `msg`, with `extra` in front of it if there is one.

    Numbers that cannot be meant are brought to the nearest one that can: Go never refuses a number, and
    the two must agree on which tasks can be run.

    Raises:
        WireError: This is no message of asynq. The task cannot be run; archive it with the reason and go
            on with the others.
    """
    found = scan(raw, _REPEATED, "msg")
    get = found.get
    payload: bytes = get(_PAYLOAD, b"")
    retries: int = get(_RETRY, 0)
    if retries > _INT32_MAX:
        retries = max(int32(retries), 0)
    timeout, deadline = get(_TIMEOUT, 0), get(_DEADLINE, 0)
    if deadline or not 0 < timeout <= _LONGEST:
        timeout, deadline = _times(int64(timeout), int64(deadline))
    try:
        # The id is told by the key of the task; here it is only to be text.
        get(_ID, b"").decode()
        queue = get(_QUEUE, b"").decode()
        type_name = get(_TYPE, b"").decode()
        envelope = Envelope(type_name, payload, GO_CODEC if payload else "", retries, timeout, deadline)
        if _GROUP in found:
            envelope.group = found[_GROUP].decode()
        if _UNIQUE_KEY in found:
            envelope.unique_key = _suffix(found[_UNIQUE_KEY].decode(), queue)
    except UnicodeDecodeError as error:
        raise WireError("msg", f"text that is not UTF-8: {error.reason}") from None
    if _RETENTION in found:
        envelope.retention = min(max(int64(found[_RETENTION]), 0), _LONGEST)
    envelope.past = _NOTHING_YET if found.keys().isdisjoint(_PAST) else _past(get)
    if _HEADERS in found:
        envelope.headers = dict(_header(entry) for entry in found[_HEADERS])
    if _EXTRA in found:
        _fill(envelope, found[_EXTRA])
    return envelope


def _times(timeout: int, deadline: int) -> tuple[int, int]:
    """The timeout and the deadline that Go would go by."""
    if timeout < 0 or deadline < 0:
        # There was no time for it from the beginning: Go lets such a task fail at once.
        return min(max(timeout, 0), _LONGEST), 1
    if not timeout and not deadline:
        return DEFAULT_TIMEOUT, 0
    return min(timeout, _LONGEST), min(deadline, _LATEST)


def _past(get: Callable[..., Any]) -> Past:
    """What became of the task so far."""
    return Past(
        max(int32(get(_RETRIED, 0)), 0),
        text(get(_ERROR, b""), "msg"),
        _instant(get(_FAILED_AT, 0)),
        _instant(get(_COMPLETED_AT, 0)),
    )


def _instant(value: int) -> float:
    return float(min(max(int64(value), 0), _LATEST))


def _suffix(key: str, queue: str) -> str:
    """What of the name of a lock is not said by the queue; nothing if the lock is not one of this queue."""
    _, found, suffix = key.partition(f"{{{queue}}}:unique:")
    return suffix if found else ""


def _header(entry: bytes) -> tuple[str, str]:
    found = scan(entry, (), "msg")
    return text(found.get(_KEY, b""), "msg"), text(found.get(_VALUE, b""), "msg")


def _fill(envelope: Envelope, packed: bytes) -> None:
    """Put in what only we know."""
    try:
        extra: object = msgpack.unpackb(packed, strict_map_key=False)
    except Exception as error:  # msgpack raises half a dozen unrelated classes for bad bytes
        raise WireError("extra", f"not msgpack: {error}") from error
    if not isinstance(extra, dict):
        raise WireError("extra", "not a map")
    for number, value in cast("dict[object, object]", extra).items():
        if number == X_ENQUEUED_AT and isinstance(value, float) and 0 <= value < _TOO_LARGE:
            envelope.enqueued_at = value
            continue
        name = _X_NAMES.get(cast("int", number))
        if name is None:
            continue
        if number in _X_TEXTS:
            sound = isinstance(value, str)
        else:
            sound = isinstance(value, _NUMBERS) and 0 <= value < _TOO_LARGE
        if not sound:
            raise WireError("extra", f"{name} is the {type(value).__name__} {repr(value)[:80]}")
        if cast("int", number) < X_TIMEOUT or _agrees(cast("float", value), getattr(envelope, name), number):
            setattr(envelope, name, value)


def _agrees(exact: float, rounded: float, number: object) -> bool:
    """Whether this is what was rounded, or somebody has changed it since."""
    if not exact:
        return number == X_TIMEOUT and rounded == NO_TIMEOUT
    return ceil(exact) == rounded

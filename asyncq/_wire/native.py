"""The native envelope: one msgpack array, version first.

    [1, type, payload, enqueued_at, {field number: value, ...}]

The four leading items are in every envelope; the map holds only what differs from the default
and is left out when it is empty. Numbers in the map are never used again for another meaning,
and a reader ignores numbers it does not know: an older server can run a newer client's tasks.
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgpack

from asyncq._wire.messages import Envelope
from asyncq.errors import WireError

VERSION: Final = 1
_LEADING: Final = 4
(
    CODEC,
    MAX_RETRY,
    TIMEOUT,
    DEADLINE,
    RETENTION,
    EXPIRES_AT,
    UNIQUE_KEY,
    GROUP,
    RETRY_POLICY,
    HEADERS,
    NONCE,
) = range(1, 12)

_FIELDS: Final = (
    (CODEC, "codec", ""),
    (MAX_RETRY, "max_retry", 25),
    (TIMEOUT, "timeout", 1800.0),
    (DEADLINE, "deadline", 0.0),
    (RETENTION, "retention", 0.0),
    (EXPIRES_AT, "expires_at", 0.0),
    (UNIQUE_KEY, "unique_key", ""),
    (GROUP, "group", ""),
    (RETRY_POLICY, "retry_policy", ""),
    (HEADERS, "headers", None),
    (NONCE, "nonce", ""),
)
_NAMES: Final = {number: name for number, name, _ in _FIELDS}
_TYPES: Final[dict[int, tuple[type, ...]]] = {
    CODEC: (str,),
    MAX_RETRY: (int,),
    TIMEOUT: (float, int),
    DEADLINE: (float, int),
    RETENTION: (float, int),
    EXPIRES_AT: (float, int),
    UNIQUE_KEY: (str,),
    GROUP: (str,),
    RETRY_POLICY: (str,),
    HEADERS: (dict,),
    NONCE: (str,),
}

_NUMBER: Final = (float, int)
"""Named once: `float | int` inside a function makes a new object at each call."""

_TOO_LARGE: Final = 2**53
"""Numbers from here on are not exact as floats, which is what Redis and Lua have."""

_pack: Final = msgpack.Packer(use_bin_type=True).pack


def encode(envelope: Envelope) -> bytes:  # noqa: C901 - a row for each field
    """Encode an envelope for the hash field `msg`."""
    extra: dict[int, Any] = {}
    e = envelope
    # Written out, not looped over _FIELDS: this runs once for every task enqueued.
    if e.codec:
        extra[CODEC] = e.codec
    if e.max_retry != 25:
        extra[MAX_RETRY] = e.max_retry
    if e.timeout != 1800.0:
        extra[TIMEOUT] = e.timeout
    if e.deadline:
        extra[DEADLINE] = e.deadline
    if e.retention:
        extra[RETENTION] = e.retention
    if e.expires_at:
        extra[EXPIRES_AT] = e.expires_at
    if e.unique_key:
        extra[UNIQUE_KEY] = e.unique_key
    if e.group:
        extra[GROUP] = e.group
    if e.retry_policy:
        extra[RETRY_POLICY] = e.retry_policy
    if e.headers:
        extra[HEADERS] = e.headers
    if e.nonce:
        extra[NONCE] = e.nonce
    body: tuple[Any, ...] = (VERSION, e.type, e.payload, e.enqueued_at)
    encoded: bytes = _pack((*body, extra) if extra else body)
    return encoded


def decode(raw: bytes) -> Envelope:
    """Decode the hash field `msg`.

    Raises:
        WireError: These bytes are no envelope of ours. The task cannot be run; archive it with
            the reason and go on with the others.
    """
    try:
        items: object = msgpack.unpackb(raw, strict_map_key=False)
    except Exception as error:  # msgpack raises half a dozen unrelated classes for bad bytes
        raise WireError("msg", f"not msgpack: {error}") from error
    body = cast("list[object]", items) if isinstance(items, list) else []
    if len(body) < _LEADING:
        raise WireError("msg", "not an array of at least four items")
    if body[0] != VERSION:
        raise WireError("msg", f"envelope version {body[0]!r}; this asyncq reads version {VERSION}")
    type_name, payload, enqueued_at = body[1], body[2], body[3]
    if (
        not isinstance(type_name, str)
        or not isinstance(payload, bytes)
        or not isinstance(enqueued_at, _NUMBER)
        or not 0 <= enqueued_at < _TOO_LARGE
    ):
        raise WireError("msg", "type, payload or time of enqueueing is not what it should be")
    envelope = Envelope(type_name, payload, enqueued_at=enqueued_at)
    if len(body) > _LEADING:
        _fill(envelope, body[_LEADING])
    return envelope


def _is_sound(value: object) -> bool:
    """Refuse numbers that would spoil the call they end up in, and with it the outcomes of other tasks."""
    if isinstance(value, _NUMBER):
        return 0 <= value < _TOO_LARGE
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return all(isinstance(key, str) and isinstance(text, str) for key, text in items)
    return True


def encode_result(codec: str, raw: bytes) -> bytes:
    """Encode a result for the hash field `result`: with the name of its codec, for whoever reads it."""
    encoded: bytes = _pack((codec, raw))
    return encoded


def decode_result(field: bytes) -> tuple[str, bytes]:
    """Return the codec and the bytes of a result.

    Raises:
        WireError: These bytes are no result of ours.
    """
    try:
        codec, raw = cast("tuple[object, object]", msgpack.unpackb(field))
    except Exception as error:  # as in `decode`
        raise WireError("result", f"not a codec and bytes: {error}") from error
    if not isinstance(codec, str) or not isinstance(raw, bytes):
        raise WireError("result", "not a codec and bytes")
    return codec, raw


def _fill(envelope: Envelope, extra: object) -> None:
    if not isinstance(extra, dict):
        raise WireError("msg", "the fifth item is not a map")
    for number, value in cast("dict[int, object]", extra).items():
        name = _NAMES.get(number)
        if name is None:
            continue
        if not isinstance(value, _TYPES[number]) or not _is_sound(value):
            raise WireError("msg", f"{name} is the {type(value).__name__} {repr(value)[:80]}")
        setattr(envelope, name, value)

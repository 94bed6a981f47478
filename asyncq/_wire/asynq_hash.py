"""The hash of a task in the asynq wire, as the native wire would have it.

Go keeps in its message what the native wire has in fields beside it. Whoever reads a hash gets the fields,
so that nobody above needs to know which wire it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import floor
from typing import Final

from asyncq._wire import asynq, native
from asyncq.errors import WireError

_OTHER_CODEC: Final = b"\x00asyncq:"
"""What begins a result that is neither JSON nor bytes; behind it, up to the next zero, its codec."""

GO_DELIVERY: Final = b"asynq:0"
"""The delivery of a task that a Go server holds; the scripts call it the same."""


def encode_result(codec: str, raw: bytes) -> bytes:
    """A result as Go's tools show it: JSON and bytes as they are."""
    if codec in ("", asynq.GO_CODEC):
        return raw
    return _OTHER_CODEC + codec.encode() + b"\x00" + raw


def read_result(field: bytes) -> bytes:
    """A result as the native wire has it. Go does not say what its bytes are: what can be JSON is JSON."""
    if field.startswith(_OTHER_CODEC):
        codec, _, raw = field[len(_OTHER_CODEC) :].partition(b"\x00")
        return native.encode_result(codec.decode("utf-8", "replace"), raw)
    try:
        json.loads(field)
    except ValueError:
        return native.encode_result("", field)
    return native.encode_result(asynq.GO_CODEC, field)


def read_fields(found: Mapping[str, bytes]) -> dict[str, bytes]:
    """All fields of a hash under the names, and with the contents, that they have in the native wire."""
    fields = dict(found)
    message, extra = fields.get("msg"), fields.pop("extra", b"")
    since = fields.pop("pending_since", b"")
    state = fields.get("state", b"")
    if state in (b"pending", b""):
        fields.pop("state", None)
        if since.isdigit():
            fields["ready_at"] = b"%.6f" % (int(since) / 1e9)
    if state == b"active" and not since:
        fields["delivery"] = GO_DELIVERY
    elif state != b"active":
        fields.pop("delivery", None)
    if not fields.get("group"):
        fields.pop("group", None)
    lock = fields.pop("unique_key", b"")
    if b"}:unique:" in lock:
        fields["unique"] = lock.partition(b"}:unique:")[2]
    if fields.get("result"):
        fields["result"] = read_result(fields["result"])
    if message is not None:
        _tell_past(fields, message)
        fields["msg"] = extra + message
    return fields


def _tell_past(fields: dict[str, bytes], message: bytes) -> None:
    try:
        past = asynq.decode(message).past
    except WireError:
        # Whoever reads the message is told so; what stands beside it may still say something.
        return
    if past is None:
        return
    if past.retried:
        fields["retried"] = b"%d" % past.retried
    if past.error:
        fields["error"] = past.error.encode()
    for name, second in (("failed_at", past.failed_at), ("completed_at", past.completed_at)):
        if not second:
            fields.pop(name, None)
        elif not _is_within(fields.get(name, b""), second):
            fields[name] = b"%d" % second


def _is_within(exact: bytes, second: float) -> bool:
    """Whether a time of ours has the second of the message: if not, Go has written another one since."""
    try:
        return floor(float(exact)) == second
    except (ValueError, OverflowError):
        return False

"""What a message of the asynq wire says that our decoder leaves out, since the key of the task has it."""

from __future__ import annotations

from asyncq._wire.protobuf import BYTES, scan, text

__all__ = ["queue_and_id"]


def queue_and_id(raw: bytes) -> tuple[str, str]:
    """Return the queue and the id in a message."""
    found = scan(raw, (), "msg")
    return text(found.get(4 << 3 | BYTES, b""), "msg"), text(found.get(3 << 3 | BYTES, b""), "msg")

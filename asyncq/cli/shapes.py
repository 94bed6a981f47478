"""Things of the inspector as JSON: the shapes that scripts may rely on.

Names stay as they are and new ones may come. Instants are text in UTC, durations are seconds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from asyncq.cli.later import Later

if TYPE_CHECKING:
    import base64

    from asyncq import errors
    from asyncq.entry_info import EntryInfo, GoEntryInfo
    from asyncq.inspector import QueueInfo
    from asyncq.task_info import TaskInfo
else:
    base64 = Later("base64")
    errors = Later("asyncq.errors")


def plain(value: Any) -> Any:
    """A value as JSON can say it. Bytes are base64 in an object, and what JSON has no word for is text."""
    if value is None or (isinstance(value, (str, bool, int)) and not isinstance(value, Enum)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return record(value)
    return next((convert(value) for kind, convert in _WORDS if isinstance(value, kind)), str(value))


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


_WORDS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (Enum, lambda value: plain(value.value)),
    (float, lambda value: value if math.isfinite(value) else str(value)),
    (datetime, _instant),
    (date, lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    ((bytes, bytearray, memoryview), lambda value: {"base64": base64.b64encode(value).decode("ascii")}),
    (Mapping, lambda value: {str(name): plain(one) for name, one in value.items()}),
    ((Sequence, AbstractSet), lambda value: [plain(one) for one in value]),
)


def record(thing: Any) -> dict[str, Any]:
    """The public fields of a record."""
    fields = [field.name for field in dataclasses.fields(thing) if not field.name.startswith("_")]
    return {name: plain(getattr(thing, name)) for name in fields}


def queue_shape(info: QueueInfo) -> dict[str, Any]:
    """A queue."""
    found = record(info)
    tasks = found.pop("sizes")
    return {"name": found.pop("name"), "size": info.size, "tasks": tasks, **found}


def readable(read: Callable[[], Any]) -> Any:
    """What a property has that may not be readable; then why."""
    try:
        return plain(read())
    except errors.WireError as error:
        return {"unreadable": error.reason}


_TASK: Final = (
    "queue", "id", "type", "state", "headers", "max_retry", "retried", "timeout", "deadline", "retention",
    "expires_at", "unique_key", "group", "retry_policy", "enqueued_at", "next_process_at", "last_error",
    "last_failed_at", "reason",
    "delivered_at", "completed_at", "deliveries", "lost", "is_orphaned", "unreadable", "codec", "version",
)  # fmt: skip


def task_shape(info: TaskInfo) -> dict[str, Any]:
    """A task."""
    return {
        **{name: plain(getattr(info, name)) for name in _TASK},
        "payload": readable(lambda: info.payload),
        "result": readable(lambda: info.result),
        "progress": readable(lambda: info.progress),
        "attempts": plain(info.attempts),
    }


def entry_shape(info: EntryInfo) -> dict[str, Any]:
    """A stored entry of schedulers."""
    found = record(info)
    del found["raw"]
    kind = "declared" if info.origin == "code" else "stored"
    return {"id": found.pop("id"), "kind": kind, **found, "payload": readable(lambda: info.payload)}


def go_entry_shape(info: GoEntryInfo) -> dict[str, Any]:
    """An entry of a scheduler of Go's."""
    found = record(info)
    del found["raw"]
    payload = readable(lambda: info.payload)
    return {"id": found.pop("id"), "kind": "go", "queue": info.queue, **found, "payload": payload}

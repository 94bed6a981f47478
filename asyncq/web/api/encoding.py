"""What the inspector says, as JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any, Final, cast

from asyncq.errors import WireError
from asyncq.task_info import TaskInfo

_DEEPEST: Final = 50
"""Levels of a payload that are shown."""

_LARGEST_WHOLE: Final = 2**53
"""Whole numbers beyond it are read wrong by most programs, and so are sent as text."""

SUMMARY: Final = (
    "id", "queue", "type", "group", "max_retry", "retried", "timeout", "deadline", "retention", "expires_at",
    "enqueued_at", "next_process_at", "last_failed_at", "completed_at", "deliveries", "lost", "is_orphaned",
    "unreadable", "is_redacted",
)  # fmt: skip
"""What is said of each task of a list, beside its state and its last error."""

WHOLE: Final = (*SUMMARY, "headers", "codec", "unique_key", "retry_policy", "version")


def encode(value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 - a case each
    """A value as JSON can hold it: what it cannot is text, bytes as `{"base64": …}`."""
    if value is None or isinstance(value, bool | str | int | float):
        return _plain(value)
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, TaskInfo):
        return task(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: encode(getattr(value, one.name), depth + 1) for one in fields(value)}
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", cast("object", value)).items()
        return {_sent(str(name)): encode(one, depth + 1) for name, one in items}
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        several = cast("Iterable[Any]", cast("object", value))
        return [encode(one, depth + 1) for one in several]
    return _text(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, str):
        return _sent(value)
    return str(value) if is_whole and abs(value) > _LARGEST_WHOLE else value


def _sent(text: str) -> str:
    """Text as it can be sent: what is no Unicode cannot."""
    return text.encode("utf-8", "replace").decode()


def _text(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return {"base64": base64.b64encode(value).decode()}
    return _sent(str(value))


def task(info: TaskInfo, *, whole: bool = False) -> dict[str, Any]:
    """A task; its payload and result as the redactor of the inspector lets them be seen."""
    found = {name: encode(getattr(info, name)) for name in (WHOLE if whole else SUMMARY)}
    found["state"] = info.state.value
    found["last_error"] = encode(info.last_error)
    if whole:
        found["progress"] = encode(_read(info, "progress"))
        found["payload"] = encode(_read(info, "payload"))
        found["result"] = encode(_read(info, "result"))
    return found


def _read(info: TaskInfo, name: str) -> Any:
    """A part that may be written with a codec that is not known here."""
    try:
        return getattr(info, name)
    except WireError as error:
        return {"unreadable": _sent(str(error))}

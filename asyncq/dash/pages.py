"""The page of a task."""

from __future__ import annotations

import pprint
from collections.abc import Iterator
from datetime import datetime

from asyncq.dash.places import Place
from asyncq.dash.rows import Reading
from asyncq.dash.texts import away, clean, lines, span
from asyncq.errors import AsyncqError
from asyncq.inspector import Inspector
from asyncq.task_info import TaskInfo

MOST_SHOWN = 20_000
"""Characters of a payload or a result. What is larger is for `asyncq task show`."""


async def read_task(inspector: Inspector, place: Place) -> Reading:
    """Everything about one task."""
    info = await inspector.tasks.get(place.queue, place.id)
    return Reading([], page="\n".join(_lines(info)), subject=info)


def _lines(info: TaskInfo) -> Iterator[str]:
    for name, value in _facts(info):
        if value:
            yield f"{name:>12}  {value}"
    yield from _block("payload", _payload(info))
    if info.headers:
        yield from _block("headers", "\n".join(f"{name}: {text}" for name, text in info.headers.items()))
    if info.last_error:
        yield from _block("last error", info.last_error)
    if (result := _result(info)) is not None:
        yield from _block("result", result)


def _facts(info: TaskInfo) -> Iterator[tuple[str, str]]:
    yield "id", clean(info.id)
    yield "type", clean(info.type)
    yield "queue", clean(info.queue)
    yield "state", str(info.state) + (", its lease ran out" if info.is_orphaned else "")
    yield "cannot be", clean(f"read: {info.unreadable}") if info.unreadable else ""
    yield "retried", f"{info.retried} of {info.max_retry}"
    yield "deliveries", f"{info.deliveries}{f', lost {info.lost}' if info.lost else ''}"
    yield "enqueued", _when(info.enqueued_at)
    yield "next run", _when(info.next_process_at)
    yield "failed", _when(info.last_failed_at)
    yield "completed", _when(info.completed_at)
    yield "timeout", span(info.timeout) if info.timeout else ""
    yield "deadline", _when(info.deadline)
    yield "expires", _when(info.expires_at)
    yield "retention", span(info.retention) if info.retention else ""
    yield "unique", clean(info.unique_key)
    yield "group", clean(info.group)
    yield "retry by", clean(info.retry_policy)
    if (progress := info.progress) is not None:
        total = f" of {progress.total:g}" if progress.total else ""
        yield "progress", clean(f"{progress.done:g}{total} {progress.note}")


def _when(moment: datetime | None) -> str:
    if moment is None:
        return ""
    return f"{moment.isoformat(sep=' ', timespec='milliseconds')}  ({away(moment)})"


def _block(title: str, text: str) -> Iterator[str]:
    yield ""
    yield f"── {title} ──"
    yield lines(text[:MOST_SHOWN])
    if len(text) > MOST_SHOWN:
        yield f"… and {len(text) - MOST_SHOWN:,} characters more"


def _payload(info: TaskInfo) -> str:
    try:
        return _shown(info.payload)
    except AsyncqError as error:
        return f"{error}\n{info.raw[:MOST_SHOWN]!r}"


def _result(info: TaskInfo) -> str | None:
    try:
        result = info.result
    except AsyncqError as error:
        return str(error)
    return None if result is None else _shown(result)


def _shown(value: object) -> str:
    return pprint.pformat(value, width=100, sort_dicts=False)

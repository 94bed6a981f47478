"""Entries as they are stored, and as people are told of them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final, cast

from asyncq._broker.broker import Broker
from asyncq._broker.entries import Definition, Stored
from asyncq._clock import from_unix, now
from asyncq._cron import Schedule
from asyncq._entry_form import packed, rhythm, unpacked
from asyncq.codecs import Codecs
from asyncq.entries import Entry
from asyncq.entry_info import EnqueueEvent, EntryInfo
from asyncq.options import public_options

DETAILS: Final = 100
"""Entries whose details are asked for together."""

_LOOKED_THROUGH: Final = 5
"""Events that are looked through for the last one with a task."""


def is_named(entry_id: object) -> bool:
    """Whether this can be the id of an entry at all."""
    return isinstance(entry_id, str) and bool(entry_id)


def definition_of(entry: Entry, codecs: Codecs, *, expected: int | None = None) -> Definition:
    """Return an entry as it is stored."""
    return Definition(
        entry.id,
        entry.queue,
        entry.definition,
        rhythm(entry.schedule),
        packed(entry, codecs),
        expected,
    )


def next_time(schedule: Schedule, *, last: float, since: float, at: datetime) -> datetime | None:
    """Return when an entry is due next that was due `last`, or that counts from `since`."""
    if not schedule.gap:
        return schedule.next(at)
    return schedule.following(from_unix(max(last, since)), at)


async def described(broker: Broker, stored: Stored, codecs: Codecs) -> EntryInfo:
    """Return what can be said about a stored entry, with what came of it.

    Raises:
        WireError: It cannot be read.
    """
    entry = unpacked(stored.id, stored.packed, digest=stored.digest, codecs=codecs)
    schedules = broker.schedules
    last, found = await asyncio.gather(
        schedules.last_tick(stored.queue, stored.id), schedules.events(stored.id, limit=_LOOKED_THROUGH)
    )
    events = [event_of(stored.id, event) for event in found]
    lateness = next((event.lateness for event in events if event.lateness is not None), None)
    is_idle = stored.paused_at or stored.orphaned_at
    next_at = None
    if not is_idle:
        next_at = next_time(entry.schedule, last=last, since=stored.since, at=from_unix(now()))
    codec, raw = entry.task.encoded(codecs)
    return EntryInfo(
        id=stored.id,
        spec=entry.spec,
        timezone=str(entry.schedule.zone),
        type=entry.task.type,
        queue=entry.queue,
        options=public_options(entry.checked),
        rules=entry.rules,
        version=stored.version,
        origin=cast("Any", stored.origin),
        application=stored.application,
        created_at=from_unix(stored.created_at),
        changed_at=from_unix(stored.changed_at),
        paused_at=moment(stored.paused_at),
        pause_reason=stored.reason,
        orphaned_at=moment(stored.orphaned_at),
        next_at=next_at,
        previous_at=moment(last),
        lateness=lateness,
        last_error=next((event.error for event in events if event.count), ""),
        raw=raw,
        _codec=codec,
        _codecs=codecs,
    )


def event_of(entry_id: str, event: dict[str, Any]) -> EnqueueEvent:
    """Return an event of a history."""
    return EnqueueEvent(
        entry_id=entry_id,
        task_id=event.get("task_id", ""),
        queue=event.get("queue", ""),
        enqueued_at=from_unix(event.get("enqueued_at", 0.0)),
        nominal_at=from_unix(event.get("nominal", 0.0)),
        error=event.get("error", ""),
        scheduler_id=event.get("scheduler", ""),
        reason=event.get("reason", ""),
        is_manual=event.get("trigger", "") == "manual",
        count=event.get("count", 1),
        until=moment(event.get("until", 0.0)),
    )


def moment(unix: float) -> datetime | None:
    """Return an instant in Unix seconds; `None` for 0."""
    return from_unix(unix) if unix else None

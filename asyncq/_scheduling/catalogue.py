"""Entries as they are stored, and as people are told of them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial
from typing import Any, Final, cast

from asyncq._broker.broker import Broker
from asyncq._broker.entries import Definition, Stored
from asyncq._broker.rounds import Question, Round
from asyncq._clock import from_unix, now
from asyncq._cron import Schedule
from asyncq._entry_form import packed, rhythm, unpacked
from asyncq.codecs import Codecs
from asyncq.entries import Entry
from asyncq.entry_info import EnqueueEvent, EntryInfo
from asyncq.options import is_queue_name, public_options

DETAILS: Final = 100
"""Entries whose details are asked for together."""

_LOOKED_THROUGH: Final = 5
"""Events that are looked through for the last one with a task."""


def is_named(entry_id: object) -> bool:
    """Whether this can be the id of an entry at all."""
    return is_queue_name(entry_id)


def is_meant(stored: Stored, queue: str | None, paused: bool | None, orphaned: bool | None) -> bool:  # noqa: FBT001 - filters
    """Whether an entry passes filters, of which `None` lets everything pass."""
    return (
        (queue is None or stored.queue == queue)
        and (paused is None or bool(stored.paused_at) == paused)
        and (orphaned is None or bool(stored.orphaned_at) == orphaned)
    )


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


async def described(broker: Broker, stored: Stored, codecs: Codecs, round_: Round) -> EntryInfo:
    """Return what can be said about a stored entry, with what came of it, as far as the round has it.

    Raises:
        WireError: It cannot be read.
        BrokerUnavailableError: What came of it lies on a node that is away, and is wanted.
    """
    entry = unpacked(stored.id, stored.packed, digest=stored.digest, codecs=codecs)
    schedules, name = broker.schedules, stored.id
    place = broker.router.slot_of(broker.wire.keys.history(name))
    last_tick = partial(schedules.last_tick, stored.queue, name)
    last_events = partial(schedules.events, name, limit=_LOOKED_THROUGH)
    last, found = await asyncio.gather(
        round_.one(Question("entry", [name], broker.basis.slot(stored.queue), last_tick)),
        round_.one(Question("entry", [name], place, last_events)),
    )
    events = [event_of(name, event) for event in found or ()]
    lateness = next((event.lateness for event in events if event.lateness is not None), None)
    is_idle = stored.paused_at or stored.orphaned_at
    next_at = None
    if not is_idle and (last is not None or not entry.schedule.gap):
        next_at = next_time(entry.schedule, last=last or 0.0, since=stored.since, at=from_unix(now()))
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
        previous_at=moment(last or 0.0),
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

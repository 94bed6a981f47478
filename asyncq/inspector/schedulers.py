"""The inspector's room for schedulers: what they have, and what became of it."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from asyncq._checks import near_misses, require_whole
from asyncq._clock import from_unix, now
from asyncq.codecs import Codecs
from asyncq.errors import EntryNotFoundError
from asyncq.inspector.reach import Reach
from asyncq.options import TaskOptions, public_options

DEFAULT_LIMIT: Final = 50


@dataclass(frozen=True, slots=True)
class SchedulerInfo:
    """What a scheduler says of itself, at most some seconds old."""

    id: str
    host: str
    pid: int
    name: str
    status: str  #: running or stopped
    started_at: datetime
    timezone: str
    entries: int  #: how many it has
    synced_at: datetime | None  #: when a manager last took over what its provider gave
    sync_error: str  #: why the last attempt of a manager failed; empty when it did not


@dataclass(frozen=True, slots=True)
class SchedulerEntry:
    """One periodic task of one scheduler."""

    id: str
    scheduler_id: str
    spec: str
    timezone: str
    type: str
    queue: str
    options: TaskOptions
    next_at: datetime | None  #: when it is due; `None` for never again
    previous_at: datetime | None  #: the last of its times that this scheduler saw come, whoever enqueued it
    last_error: str  #: why it was not enqueued the last time; empty when it was
    raw: bytes | None = field(repr=False)  #: the payload; `None` when it is too large to be shown
    _codec: str = field(repr=False)
    _codecs: Codecs = field(repr=False, compare=False)

    @property
    def payload(self) -> Any:
        """The payload, decoded; `None` when there is none, or when it is too large to be shown.

        Raises:
            WireError: It cannot be decoded, or by no codec that this inspector knows.
        """
        if self.raw is None:
            return None
        return self._codecs.decode(self._codec, self.raw, where=f"the payload of entry {self.id!r}")


@dataclass(frozen=True, slots=True)
class EnqueueEvent:
    """What became of one time of an entry."""

    entry_id: str
    task_id: str  #: empty when it was not enqueued
    queue: str
    enqueued_at: datetime
    nominal_at: datetime  #: when it was due
    error: str  #: why it was not enqueued; empty when it was
    scheduler_id: str


class Schedulers:
    """The schedulers that are there, their entries, and the history of these."""

    def __init__(self, reach: Reach) -> None:
        self._reach: Final = reach

    async def list(self) -> list[SchedulerInfo]:
        """All schedulers that said something in the time of two heartbeats, the oldest first."""
        found = [_scheduler_info(record) for record in await self._records()]
        return sorted(found, key=lambda info: info.started_at)

    async def entries(self) -> builtins.list[SchedulerEntry]:
        """The entries of all schedulers, by their next time. Each scheduler has its own."""
        found = [
            self._entry(record["id"], entry)
            for record in await self._records()
            for entry in record.get("entries", ())
        ]
        return sorted(
            found, key=lambda entry: (entry.next_at is None, entry.next_at or from_unix(0), entry.id)
        )

    async def events(self, entry_id: str, *, limit: int = DEFAULT_LIMIT) -> builtins.list[EnqueueEvent]:
        """What became of the last times of an entry, the newest first; a thousand are kept.

        Also of an entry that no scheduler has any more, for a month.

        Args:
            entry_id: Which.
            limit: How many at the most.

        Raises:
            ConfigError: The limit is not a positive whole number.
            EntryNotFoundError: No scheduler has such an entry, and there is no history of one.
        """
        require_whole("limit", limit, least=1)
        events = await self._reach.broker().schedules.events(entry_id, limit=limit)
        if not events:
            known = {entry.id for entry in await self.entries()}
            if entry_id not in known:
                raise EntryNotFoundError(entry_id, near_misses(entry_id, sorted(known)))
        return [_event(entry_id, event) for event in events]

    async def _records(self) -> builtins.list[dict[str, Any]]:
        return await self._reach.broker().schedules.schedulers(now=now())

    def _entry(self, scheduler_id: str, entry: dict[str, Any]) -> SchedulerEntry:
        return SchedulerEntry(
            id=entry["id"],
            scheduler_id=scheduler_id,
            spec=entry["spec"],
            timezone=entry["timezone"],
            type=entry["type"],
            queue=entry["queue"],
            options=public_options(entry["options"]),
            next_at=_moment(entry["next"]),
            previous_at=_moment(entry["previous"]),
            last_error=entry["error"],
            raw=entry["payload"],
            _codec=entry["codec"],
            _codecs=self._reach.codecs,
        )


def _scheduler_info(record: dict[str, Any]) -> SchedulerInfo:
    return SchedulerInfo(
        id=record["id"],
        host=record["host"],
        pid=record["pid"],
        name=record["name"],
        status=record["status"],
        started_at=from_unix(record["started_at"]),
        timezone=record["timezone"],
        entries=len(record["entries"]),
        synced_at=_moment(record.get("synced_at", 0.0)),
        sync_error=record.get("sync_error", ""),
    )


def _event(entry_id: str, event: dict[str, Any]) -> EnqueueEvent:
    return EnqueueEvent(
        entry_id=entry_id,
        task_id=event["task_id"],
        queue=event["queue"],
        enqueued_at=from_unix(event["enqueued_at"]),
        nominal_at=from_unix(event["nominal"]),
        error=event["error"],
        scheduler_id=event["scheduler"],
    )


def _moment(unix: float) -> datetime | None:
    return from_unix(unix) if unix else None

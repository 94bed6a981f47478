"""The inspector's room for schedulers: what they have, and what became of it."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from asyncq._clock import from_unix, now
from asyncq._scheduling.catalogue import moment
from asyncq.entry_info import EnqueueEvent, EntryInfo, GoEntryInfo
from asyncq.errors import EntryNotFoundError
from asyncq.inspector.found import Found
from asyncq.inspector.of_go import go_entry, go_event
from asyncq.inspector.reach import Reach
from asyncq.inspector.schedules import Schedules, shown_entry
from asyncq.schedules import DEFAULT_LIMIT
from asyncq.task_info import TaskInfo


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
    entries: int  #: how many it has, those that are paused among them
    synced_at: datetime | None  #: when a manager last took over what its provider gave
    sync_error: str  #: why the last attempt of a manager failed; empty when it did not
    application: str = ""  #: whose code it runs
    health: str = "ok"  #: ok, stalled or stopped
    last_tick_at: datetime | None = None  #: when Redis last said what became of a time; `None` for never
    overdue_since: datetime | None = None  #: when the first time since then was due; `None` if none is late


class Schedulers:
    """The schedulers that are there, the entries of all of them, and the history of these."""

    def __init__(self, reach: Reach, schedules: Schedules) -> None:
        self._reach: Final = reach
        self._schedules: Final = schedules

    @property
    def stored(self) -> Schedules:
        """The same as `inspector.schedules`."""
        return self._schedules

    async def list(self, *, partial: bool = False) -> Found[SchedulerInfo]:
        """All schedulers that said something in the time of two heartbeats, the oldest first.

        Args:
            partial: Return what can be had when a node of a cluster is away; `missing` of the list says what
                cannot.

        Raises:
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        self._reach.see()
        round_ = self._reach.round(partial=partial)
        records = await self._reach.broker().schedules.schedulers(round_, now=now())
        found = sorted((_scheduler_info(record) for record in records), key=lambda info: info.started_at)
        return Found(found, round_.end())

    async def entries(
        self, *, queue: str | None = None, paused: bool | None = None, partial: bool = False
    ) -> Found[EntryInfo]:
        """All entries that are stored, by their next time; also while no scheduler is there.

        Args:
            queue: Those whose tasks go there.
            paused: Those that are paused, or that are not.
            partial: Return what can be had when a node of a cluster is away; `missing` of the list names the
                entries of which it is not known what became of them.

        Raises:
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        self._reach.see(queue)
        round_ = self._reach.round(partial=partial)
        found = await self._schedules._listed(round_, queue=queue, paused=paused)
        return Found(found, dict.fromkeys(round_.end()))

    async def orphans(self, *, partial: bool = False) -> Found[EntryInfo]:
        """Entries that were declared in code, and that no running scheduler declares any more.

        Args:
            partial: As for `entries`.

        Raises:
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        self._reach.see()
        round_ = self._reach.round(partial=partial)
        return Found(await self._schedules._listed(round_, orphaned=True), dict.fromkeys(round_.end()))

    async def go_entries(self, *, partial: bool = False) -> Found[GoEntryInfo]:
        """All entries of Go's schedulers, by their next time; none but in the asynq wire.

        Args:
            partial: As for `list`.

        Raises:
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        self._reach.see()
        round_ = self._reach.round(partial=partial)
        broker, last = self._reach.broker(), datetime.max.replace(tzinfo=UTC)
        said = await broker.go_schedulers.entries(round_, now=now()) if broker.wire.is_shared else []
        found = [go_entry(process, entry, broker.wire.codec, self._reach.codecs) for process, entry in said]
        found = [shown_entry(info, self._reach) for info in found if self._reach.sees(info.queue)]
        return Found(sorted(found, key=lambda info: (info.next_at or last, info.id)), round_.end())

    async def entry(self, entry_id: str) -> EntryInfo:
        """One entry. As `schedules.get`.

        Raises:
            EntryNotFoundError: There is none; with the ids that look like it.
        """
        return await self._schedules.get(entry_id)

    async def events(self, entry_id: str, *, limit: int = DEFAULT_LIMIT) -> builtins.list[EnqueueEvent]:
        """What became of the last times of an entry, the newest first. As `schedules.history`.

        In the asynq wire also of an entry of Go's; it was due when it was enqueued, as far as Go says.

        Args:
            entry_id: Which.
            limit: How many at the most; a thousand are kept.

        Raises:
            ConfigError: The limit is not a positive whole number.
            EntryNotFoundError: There is no such entry, and no history of one.
        """
        self._reach.see()
        try:
            return await self._schedules.history(entry_id, limit=limit)
        except EntryNotFoundError:
            broker, is_limited = self._reach.broker(), self._reach.who.rights.is_limited
            if not broker.wire.is_shared:
                raise
            events = await broker.go_schedulers.events(entry_id, limit=limit)
            # Go does not say of a time in which queue it was: only its entry does, while it is there.
            if (is_limited or not events) and entry_id not in {info.id for info in await self.go_entries()}:
                raise
            return [go_event(entry_id, event) for event in events]

    async def pause(self, entry_id: str, reason: str = "") -> EntryInfo:
        """Let an entry not be enqueued until `resume`. As `schedules.pause`."""
        return await self._schedules.pause(entry_id, reason)

    async def resume(self, entry_id: str) -> EntryInfo:
        """Let a paused entry be enqueued again. As `schedules.resume`."""
        return await self._schedules.resume(entry_id)

    async def run_now(self, entry_id: str) -> TaskInfo:
        """Enqueue the task of an entry at once. As `schedules.run_now`."""
        return await self._schedules.run_now(entry_id)

    async def remove(self, entry_id: str, *, version: int | None = None) -> None:
        """Forget an entry. As `schedules.remove`."""
        await self._schedules.remove(entry_id, version=version)


def _scheduler_info(record: dict[str, Any]) -> SchedulerInfo:
    return SchedulerInfo(
        id=record["id"],
        host=record["host"],
        pid=record["pid"],
        name=record["name"],
        status=record["status"],
        started_at=from_unix(record["started_at"]),
        timezone=record["timezone"],
        entries=record["entries"],
        application=record.get("application", ""),
        health=record.get("health", "ok"),
        last_tick_at=moment(record.get("last_tick_at", 0.0)),
        overdue_since=moment(record.get("overdue_since", 0.0)),
        synced_at=moment(record.get("synced_at", 0.0)),
        sync_error=record.get("sync_error", ""),
    )

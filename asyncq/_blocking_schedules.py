"""The entries of schedulers for blocking code. Users find it in `asyncq.sync.Client.schedules`."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Unpack

from asyncq._loop_thread import LoopThread
from asyncq.entries import Changes, EntryOptions, PeriodicTask
from asyncq.entry_info import EnqueueEvent, EntryInfo
from asyncq.schedules import DEFAULT_LIMIT
from asyncq.schedules import Schedules as AsyncSchedules
from asyncq.task import Task
from asyncq.task_info import TaskInfo

_AT_A_TIME: Final = 100


class Schedules:
    """Entries of schedulers as data, from code that blocks. As `asyncq.schedules.Schedules`.

    client.schedules.upsert("0 9 * * *", Task("report", 42), entry_id="report:42")
    """

    def __init__(self, schedules: AsyncSchedules, thread: LoopThread) -> None:
        """Take the asynchronous one, and the thread of its loop."""
        self._schedules: Final = schedules
        self._thread: Final = thread

    def add(
        self,
        spec: str | timedelta | datetime,
        task: Task,
        *,
        entry_id: str = "",
        timezone: str | tzinfo = UTC,
        replace: bool = False,
        **options: Unpack[EntryOptions],
    ) -> EntryInfo:
        """Add an entry. Adding the same once more changes nothing."""
        return self._thread.call(
            self._schedules.add(spec, task, entry_id=entry_id, timezone=timezone, replace=replace, **options)
        )

    def upsert(
        self,
        spec: str | timedelta | datetime,
        task: Task,
        *,
        entry_id: str,
        timezone: str | tzinfo = UTC,
        version: int | None = None,
        **options: Unpack[EntryOptions],
    ) -> EntryInfo:
        """Add an entry, or change the one of this id; with a version only if it still has that."""
        return self._thread.call(
            self._schedules.upsert(
                spec, task, entry_id=entry_id, timezone=timezone, version=version, **options
            )
        )

    def upsert_many(self, entries: Iterable[PeriodicTask], *, timezone: str | tzinfo = UTC) -> Changes:
        """Add or change any number of entries. The iterable is read in the calling thread."""
        return self._thread.call(self._schedules.upsert_many([*entries], timezone=timezone))

    def get(self, entry_id: str) -> EntryInfo:
        """Look at one entry."""
        return self._thread.call(self._schedules.get(entry_id))

    def iterate(
        self, *, queue: str | None = None, paused: bool | None = None, orphaned: bool | None = None
    ) -> Iterator[EntryInfo]:
        """Go over all entries, or those that are meant; what was changed the longest time ago comes first."""
        found = self._schedules.iterate(queue=queue, paused=paused, orphaned=orphaned)
        while some := self._thread.call(_next(found)):
            yield from some

    def list(
        self, *, queue: str | None = None, paused: bool | None = None, orphaned: bool | None = None
    ) -> builtins.list[EntryInfo]:
        """Return all entries, or those that are meant, by their next time."""
        return self._thread.call(self._schedules.list(queue=queue, paused=paused, orphaned=orphaned))

    def pause(self, entry_id: str, reason: str = "") -> EntryInfo:
        """Let an entry not be enqueued until `resume`."""
        return self._thread.call(self._schedules.pause(entry_id, reason))

    def resume(self, entry_id: str) -> EntryInfo:
        """Let a paused entry be enqueued again. What was due meanwhile is not made up for."""
        return self._thread.call(self._schedules.resume(entry_id))

    def run_now(self, entry_id: str) -> TaskInfo:
        """Enqueue the task of an entry at once, also of a paused one. Its times stay as they are."""
        return self._thread.call(self._schedules.run_now(entry_id))

    def remove(self, entry_id: str, *, version: int | None = None) -> None:
        """Forget an entry. Its history stays for a month."""
        self._thread.call(self._schedules.remove(entry_id, version=version))

    def history(self, entry_id: str, *, limit: int = DEFAULT_LIMIT) -> builtins.list[EnqueueEvent]:
        """What became of the last times of an entry, the newest first."""
        return self._thread.call(self._schedules.history(entry_id, limit=limit))


async def _next(found: AsyncIterator[EntryInfo]) -> builtins.list[EntryInfo]:
    """Return some more, so that not each one takes a way through two threads."""
    some: builtins.list[EntryInfo] = []
    async for info in found:
        some.append(info)
        if len(some) >= _AT_A_TIME:
            break
    return some


Schedules.__module__ = "asyncq.sync"

"""The inspector's room for the entries of schedulers: what `client.schedules` does, for those who may."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, TypeVar, Unpack, cast

from asyncq._broker.rounds import Round
from asyncq._compose import compose, info_of
from asyncq._scheduling.storing import define_all
from asyncq.entries import Changes, EntryOptions, PeriodicTask, define
from asyncq.entry_info import EnqueueEvent, EntryInfo, GoEntryInfo
from asyncq.errors import EntryNotFoundError, PayloadError, WireError
from asyncq.inspector.guard import Change
from asyncq.inspector.reach import Reach
from asyncq.options import TaskOptions
from asyncq.redaction import HIDDEN, Part, Subject, redacted
from asyncq.schedules import DEFAULT_LIMIT
from asyncq.schedules import Schedules as Entries
from asyncq.task import Task
from asyncq.task_info import TaskInfo

_Entry = TypeVar("_Entry", EntryInfo, GoEntryInfo)
_COMPARED: Final = ("spec", "timezone", "type", "queue", "options")


class Schedules:
    """The stored entries of schedulers: to look at, to add, change, pause, run and remove.

    What the methods mean is told at those of `client.schedules`, which have the same names.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach: Final = reach
        self._entries: Final = Entries(reach.broker, reach.codecs, self._enqueue)

    async def add(
        self,
        spec: str | timedelta | datetime,
        task: Task,
        *,
        entry_id: str = "",
        timezone: str | tzinfo = UTC,
        replace: bool = False,
        **options: Unpack[EntryOptions],
    ) -> EntryInfo:
        """Add an entry. As `client.schedules.add`.

        Raises:
            NotAllowedError: The right `entry.put` is missing, or not for its queue.
        """
        wanted = PeriodicTask(spec, task, id=entry_id or None, timezone=timezone, **options)
        entry = define(wanted, timezone=UTC, codecs=self._reach.codecs)
        async with self._reach.change("schedules.add", entry.queue, entry.id) as change:
            before = await self._before(entry.id, change, may_be_new=True)
            info = await self._entries.add(
                spec, task, entry_id=entry_id, timezone=timezone, replace=replace, **options
            )
            return self._compared(change, before, info)

    async def upsert(
        self,
        spec: str | timedelta | datetime,
        task: Task,
        *,
        entry_id: str,
        timezone: str | tzinfo = UTC,
        version: int | None = None,
        **options: Unpack[EntryOptions],
    ) -> EntryInfo:
        """Add an entry, or change the one of this id. As `client.schedules.upsert`.

        Raises:
            NotAllowedError: The right `entry.put` is missing, or not for its queue, the new or the old one.
        """
        wanted = PeriodicTask(spec, task, id=entry_id, timezone=timezone, **options)
        entry = define(wanted, timezone=UTC, codecs=self._reach.codecs)
        async with self._reach.change("schedules.upsert", entry.queue, entry.id) as change:
            before = await self._before(entry.id, change, may_be_new=True)
            if version is None and self._is_limited:
                # It must not have gone to another queue since.
                version = 0 if before is None else before.version
            info = await self._entries.upsert(
                spec, task, entry_id=entry_id, timezone=timezone, version=version, **options
            )
            return self._compared(change, before, info)

    async def upsert_many(self, entries: Iterable[PeriodicTask], *, timezone: str | tzinfo = UTC) -> Changes:
        """Add or change any number of entries. As `client.schedules.upsert_many`.

        Raises:
            NotAllowedError: The right `entry.put` is missing, or not for each queue; nothing was changed.
        """
        wanted = [*entries]
        defined = await define_all(wanted, timezone, self._reach.codecs)
        target = f"{len(defined):,} entries: {' '.join(defined)}"
        queues = {entry.queue for entry in defined.values()}
        async with self._reach.change(
            "schedules.upsert_many", None, target, is_bulk=True, queues=queues
        ) as change:
            if self._is_limited:
                for entry_id in defined:
                    await self._before(entry_id, change, may_be_new=True)
                change.queue = None
            done = await self._entries.upsert_many(wanted, timezone=timezone)
            change.count = len(done.added) + len(done.changed)
            return done

    async def get(self, entry_id: str) -> EntryInfo:
        """Look at one entry.

        Raises:
            EntryNotFoundError: There is none; with the ids that look like it.
            WireError: A newer version of asyncq has written it.
            NotAllowedError: Its queue may not be looked at.
        """
        self._reach.see()
        info = await self._found(entry_id)
        self._reach.see(info.queue)
        return self._shown(info)

    async def iterate(
        self, *, queue: str | None = None, paused: bool | None = None, orphaned: bool | None = None
    ) -> AsyncIterator[EntryInfo]:
        """Go over all entries, or those that are meant. As `client.schedules.iterate`."""
        self._reach.see(queue)
        async for info in self._entries.iterate(queue=queue, paused=paused, orphaned=orphaned):
            if self._reach.sees(info.queue):
                yield self._shown(info)

    async def list(
        self, *, queue: str | None = None, paused: bool | None = None, orphaned: bool | None = None
    ) -> builtins.list[EntryInfo]:
        """Return all entries, or those that are meant, by their next time. As `iterate`."""
        self._reach.see(queue)
        found = await self._entries.list(queue=queue, paused=paused, orphaned=orphaned)
        return [self._shown(info) for info in found if self._reach.sees(info.queue)]

    async def _listed(
        self,
        round_: Round,
        *,
        queue: str | None = None,
        paused: bool | None = None,
        orphaned: bool | None = None,
    ) -> builtins.list[EntryInfo]:
        found = await self._entries._listed(round_, queue=queue, paused=paused, orphaned=orphaned)
        return [self._shown(info) for info in found if self._reach.sees(info.queue)]

    async def history(self, entry_id: str, *, limit: int = DEFAULT_LIMIT) -> builtins.list[EnqueueEvent]:
        """What became of the last times of an entry, the newest first. As `client.schedules.history`.

        Raises:
            ConfigError: The limit is not a positive whole number.
            EntryNotFoundError: There is no such entry, and no history of one.
            NotAllowedError: Its queue may not be looked at.
        """
        self._reach.see()
        try:
            events = await self._entries.history(entry_id, limit=limit)
        except EntryNotFoundError as error:
            raise self._forgetful(error) from None
        if self._is_limited:
            # Also of an entry that is gone, or has moved: each time says in which queue it was.
            queues = {event.queue for event in events if event.queue}
            if not events or not all(map(self._reach.sees, queues)):
                self._reach.see((await self._found(entry_id)).queue)
            events = [event for event in events if not event.queue or self._reach.sees(event.queue)]
        return [self._shown_event(event) for event in events]

    async def pause(self, entry_id: str, reason: str = "") -> EntryInfo:
        """Let an entry not be enqueued until `resume`. As `client.schedules.pause`.

        Raises:
            EntryNotFoundError: There is none; with the ids that look like it.
            NotAllowedError: The right `entry.pause` is missing, or not for its queue.
        """
        async with self._reach.change("schedules.pause", None, str(entry_id)) as change:
            await self._before(entry_id, change)
            if reason:
                change.compare("reason", "", reason)
            return self._shown(await self._entries.pause(entry_id, reason))

    async def resume(self, entry_id: str) -> EntryInfo:
        """Let a paused entry be enqueued again. As `client.schedules.resume`.

        Raises:
            EntryNotFoundError: There is none; with the ids that look like it.
            NotAllowedError: The right `entry.resume` is missing, or not for its queue.
        """
        async with self._reach.change("schedules.resume", None, str(entry_id)) as change:
            await self._before(entry_id, change)
            return self._shown(await self._entries.resume(entry_id))

    async def run_now(self, entry_id: str) -> TaskInfo:
        """Enqueue the task of an entry at once. As `client.schedules.run_now`.

        Raises:
            EntryNotFoundError: There is none; with the ids that look like it.
            EnqueueRefusedError: As for `Client.enqueue`.
            NotAllowedError: The right `entry.run` is missing, or not for its queue.
        """
        async with self._reach.change("schedules.run_now", None, str(entry_id)) as change:
            await self._before(entry_id, change)
            info = await self._entries.run_now(entry_id)
            change.compare("task", "", info.id)
            return info._behind(self._reach.who.redact)

    async def remove(self, entry_id: str, *, version: int | None = None) -> None:
        """Forget an entry. As `client.schedules.remove`.

        Raises:
            EntryNotFoundError: There is none; with the ids that look like it.
            EntryChangedError: It has another version.
            EntryDeclaredError: Code that is running declares it.
            NotAllowedError: The right `entry.remove` is missing, or not for its queue.
        """
        async with self._reach.change("schedules.remove", None, str(entry_id)) as change:
            before = await self._before(entry_id, change)
            if before is not None:
                self._compared(change, before, None)
                if version is None and self._is_limited:
                    version = before.version
            await self._entries.remove(entry_id, version=version)

    @property
    def _is_limited(self) -> bool:
        return self._reach.who.rights.is_limited

    async def _before(self, entry_id: str, change: Change, *, may_be_new: bool = False) -> EntryInfo | None:
        """The entry as it is, if that is needed; refuses when it is in a queue where nothing is allowed."""
        if not (self._is_limited or self._reach.who.actor):
            return None
        try:
            before = await self._found(entry_id)
        except EntryNotFoundError:
            if self._is_limited and not may_be_new:
                raise
            return None
        except WireError:
            if self._is_limited:
                raise
            return None
        change.require(before.queue)
        return before

    async def _found(self, entry_id: str) -> EntryInfo:
        try:
            return await self._entries.get(entry_id)
        except EntryNotFoundError as error:
            raise self._forgetful(error) from None

    def _forgetful(self, error: EntryNotFoundError) -> EntryNotFoundError:
        """The same without hints: they may be of queues that may not be looked at."""
        return EntryNotFoundError(error.entry_id) if self._is_limited else error

    def _compared(self, change: Change, before: EntryInfo | None, after: EntryInfo | None) -> EntryInfo:
        """Note what was changed of an entry, and return it as it may be shown."""
        shown = [None if info is None else self._shown(info) for info in (before, after)]
        for name in _COMPARED:
            change.compare(name, *("" if info is None else getattr(info, name) for info in shown))
        change.compare("payload", *(None if info is None else _payload(info) for info in shown))
        return cast("EntryInfo", shown[1] or shown[0])

    def _shown(self, info: EntryInfo) -> EntryInfo:
        return shown_entry(info, self._reach)

    def _shown_event(self, event: EnqueueEvent) -> EnqueueEvent:
        redact = self._reach.who.redact
        if redact is None or not event.error:
            return event
        subject = Subject("error", event.queue, "", event.entry_id)
        return replace(event, error=redacted(redact, event.error, subject))

    async def _enqueue(self, task: Task, options: TaskOptions) -> TaskInfo:
        new = compose(task, options, codecs=self._reach.codecs)
        placed = await self._reach.broker().enqueue.submit(new)
        return info_of(new, placed.word, placed.now, self._reach.codecs)


def _payload(info: EntryInfo) -> Any:
    try:
        return info.payload
    except WireError:
        return HIDDEN


def shown_entry(info: _Entry, reach: Reach) -> _Entry:
    """Return an entry, of ours or of Go's, as it may be shown."""
    redact = reach.who.redact
    if redact is None:
        return info

    def shown(part: Part, value: Any) -> Any:
        return redacted(redact, value, Subject(part, info.queue, info.type, info.id))

    try:
        payload = shown("payload", info.payload)
    except WireError:
        payload = HIDDEN
    codec, raw = _encoded(payload, info.type, reach)
    options: TaskOptions = {**info.options}
    if "headers" in options:
        options["headers"] = shown("headers", {**options["headers"]})
    info = replace(info, options=options, raw=raw, _codec=codec, is_redacted=True)
    if isinstance(info, EntryInfo):
        return replace(info, last_error=shown("error", info.last_error) if info.last_error else "")
    return info


def _encoded(payload: Any, type_name: str, reach: Reach) -> tuple[str, bytes]:
    try:
        return reach.codecs.encode(payload, type=type_name)
    except PayloadError:  # a redactor may return anything
        return "", HIDDEN.encode()

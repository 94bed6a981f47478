"""The entries of all schedulers, to look at and to change from any process."""

from __future__ import annotations

import asyncio
import builtins
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Final, Unpack, cast

from asyncq._broker.broker import Broker
from asyncq._broker.entries import Put, Stored
from asyncq._broker.rounds import Question, Round
from asyncq._checks import near_misses, require_whole
from asyncq._clock import now
from asyncq._entry_form import unpacked
from asyncq._scheduling.catalogue import (
    DETAILS,
    definition_of,
    described,
    event_of,
    is_meant,
    is_named,
)
from asyncq._scheduling.clerk import attend, end_removal, note_times_before, see_off
from asyncq._scheduling.storing import define_all, live_applications, require_reason, store
from asyncq.codecs import Codecs
from asyncq.entries import Changes, Entry, EntryOptions, PeriodicTask, define
from asyncq.entry_info import EnqueueEvent, EntryInfo
from asyncq.errors import (
    AsyncqError,
    BrokerError,
    ConfigError,
    EntryChangedError,
    EntryDeclaredError,
    EntryExistsError,
    EntryNotFoundError,
    WireError,
)
from asyncq.options import TaskOptions
from asyncq.task import Task
from asyncq.task_info import TaskInfo

__all__ = ["EnqueueEvent", "EntryInfo", "Schedules"]

DEFAULT_LIMIT: Final = 50
_ATTEMPTS: Final = 5

log = logging.getLogger("asyncq.schedules")


class Schedules:
    """Entries of schedulers as data: every running scheduler follows what is changed in here.

        entry = await client.schedules.upsert("0 9 * * mon-fri", Task("report"), entry_id="report:42")
        await client.schedules.pause("report:42", "month's end")

    When a call returns, it holds: nothing is enqueued any more by what was changed, paused or removed.
    """

    def __init__(
        self,
        broker: Callable[[], Broker],
        codecs: Codecs,
        enqueue: Callable[[Task, TaskOptions], Awaitable[TaskInfo]],
    ) -> None:
        """Take the way to Redis. Users find one in `client.schedules`."""
        self._broker: Final = broker
        self._codecs: Final = codecs
        self._enqueue: Final = enqueue

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
        """Add an entry. Adding the same once more changes nothing.

        Args:
            spec: As for `Scheduler.register`.
            task: What to enqueue each time.
            entry_id: Its name; made of the definition when not given.
            timezone: In which the fields of the spec are read.
            replace: Change an entry of this id that is defined otherwise.
            options: As for `Scheduler.register`.

        Raises:
            ConfigError: The spec, the task or an option is wrong; nothing was sent.
            EntryExistsError: There is an entry of this id with another definition.
            EntryDeclaredError: Code that is running declares it.
        """
        wanted = PeriodicTask(spec, task, id=entry_id or None, timezone=timezone, **options)
        return await self._put(wanted, replace=replace)

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
        """Add an entry, or change the one of this id. It stays paused if it is, and keeps its history.

        Args:
            spec: As for `Scheduler.register`.
            task: What to enqueue each time.
            entry_id: Its name.
            timezone: In which the fields of the spec are read.
            version: Only if the entry still has this version; 0: only if there is none.
            options: As for `Scheduler.register`.

        Raises:
            ConfigError: The spec, the task or an option is wrong; nothing was sent.
            EntryChangedError: It has another version.
            EntryDeclaredError: Code that is running declares it.
        """
        if cast("object", entry_id) is None:
            raise ConfigError("entry_id", None, "a name; `add` makes one when none is given")
        if version is not None:
            require_whole("version", version, least=0)
        wanted = PeriodicTask(spec, task, id=entry_id, timezone=timezone, **options)
        return await self._put(wanted, replace=True, version=version)

    async def upsert_many(self, entries: Iterable[PeriodicTask], *, timezone: str | tzinfo = UTC) -> Changes:
        """Add or change any number of entries, each on its own, in few calls.

        Returns:
            What was added, changed, and was so already.

        Raises:
            ConfigError: At least one is wrong; nothing was sent.
            EntryDeclaredError: Code that is running declares one of them; the others are stored.
        """
        defined = await define_all(entries, timezone, self._codecs)
        done = await self._store([*defined.values()], replace=True)
        by_word: dict[str, list[str]] = {}
        for entry_id, put in zip(defined, done, strict=True):
            by_word.setdefault(put.word, []).append(entry_id)
        if "declared" in by_word:
            raise await self._declared(by_word["declared"][0])
        return Changes(
            added=tuple(by_word.get("added", ())),
            changed=tuple(by_word.get("changed", ())),
            kept=tuple(by_word.get("kept", ())),
        )

    async def _put(self, wanted: PeriodicTask, *, replace: bool, version: int | None = None) -> EntryInfo:
        entry = define(wanted, timezone=UTC, codecs=self._codecs)
        (put,) = await self._store([entry], replace=replace, version=version)
        if put.word == "exists":
            raise EntryExistsError(entry.id)
        if put.word == "stale":
            raise EntryChangedError(entry.id, version or 0)
        if put.word == "declared":
            raise await self._declared(entry.id)
        return await self.get(entry.id)

    async def _store(
        self, entries: Sequence[Entry], *, replace: bool, version: int | None = None
    ) -> list[Put]:
        definitions = [definition_of(entry, self._codecs, expected=version) for entry in entries]
        return await store(self._broker(), definitions, replace=replace)

    async def _declared(self, entry_id: str) -> AsyncqError:
        stored = await self._broker().entries.get(entry_id)
        return EntryDeclaredError(entry_id, "" if stored is None else stored.application)

    async def get(self, entry_id: str) -> EntryInfo:
        """Look at one entry.

        Raises:
            EntryNotFoundError: There is none; with the ids that look like it.
            WireError: A newer version of asyncq has written it.
        """
        return await described(self._broker(), await self._required(entry_id), self._codecs, self._round())

    def _round(self) -> Round:
        return Round(self._broker().basis, partial=False)

    async def iterate(
        self,
        *,
        queue: str | None = None,
        paused: bool | None = None,
        orphaned: bool | None = None,
    ) -> AsyncIterator[EntryInfo]:
        """Go over all entries, or those that are meant; what was changed the longest time ago comes first.

        What changes meanwhile may come a second time. What cannot be read is left out.

        Args:
            queue: Those whose tasks go there.
            paused: Those that are paused, or that are not.
            orphaned: Those that no code declares any more, or the others.
        """
        async for info in self._each(self._round(), queue=queue, paused=paused, orphaned=orphaned):
            yield info

    async def _each(
        self, round_: Round, *, queue: str | None, paused: bool | None, orphaned: bool | None
    ) -> AsyncIterator[EntryInfo]:
        broker, after, is_all = self._broker(), 0, False
        area = broker.entries
        while not is_all:
            page = partial(area.news, after, limit=DETAILS)
            news = await round_.one(Question("index", ["entries"], area.slot, page))
            if news is None:
                return
            after, is_all = news.last, news.is_all
            rows = [change.stored for change in news.rows if change.stored is not None]
            meant = [stored for stored in rows if is_meant(stored, queue, paused, orphaned)]
            found = await asyncio.gather(
                *[described(broker, stored, self._codecs, round_) for stored in meant],
                return_exceptions=True,
            )
            for info in found:
                if isinstance(info, WireError):
                    continue
                if isinstance(info, BaseException):
                    raise info
                yield info

    async def list(
        self,
        *,
        queue: str | None = None,
        paused: bool | None = None,
        orphaned: bool | None = None,
    ) -> builtins.list[EntryInfo]:
        """Return all entries, or those that are meant, by their next time. As `iterate`."""
        return await self._listed(self._round(), queue=queue, paused=paused, orphaned=orphaned)

    async def _listed(
        self,
        round_: Round,
        *,
        queue: str | None = None,
        paused: bool | None = None,
        orphaned: bool | None = None,
    ) -> builtins.list[EntryInfo]:
        found: dict[str, EntryInfo] = {}
        async for info in self._each(round_, queue=queue, paused=paused, orphaned=orphaned):
            found[info.id] = info
        last = datetime.max.replace(tzinfo=UTC)
        return sorted(found.values(), key=lambda info: (info.next_at or last, info.id))

    async def pause(self, entry_id: str, reason: str = "") -> EntryInfo:
        """Let an entry not be enqueued until `resume`; also one that is declared in code, over restarts.

        When this returns, no scheduler enqueues any more of its times, not even one that has not heard.

        Args:
            entry_id: Which.
            reason: What people are told who look at it.

        Raises:
            ConfigError: The reason is no text, or very long.
            EntryNotFoundError: There is none; with the ids that look like it.
        """
        require_reason(reason)
        return await self._mark(entry_id, pause=True, reason=reason)

    async def resume(self, entry_id: str) -> EntryInfo:
        """Let a paused entry be enqueued again. What was due meanwhile is not made up for.

        Raises:
            EntryNotFoundError: There is none; with the ids that look like it.
        """
        return await self._mark(entry_id, pause=False)

    async def _mark(self, entry_id: str, *, pause: bool, reason: str = "") -> EntryInfo:
        if not is_named(entry_id):
            raise await self._missing(entry_id)
        marked = await self._broker().entries.mark(entry_id, "pause" if pause else "resume", reason=reason)
        if marked.word == "missing":
            await self._required(entry_id)  # says so if it is there and cannot be read
            raise await self._missing(entry_id)
        if marked.word == "done":
            event = {"reason": "paused" if pause else "resumed", "count": 0, "error": reason}
            await self._note(entry_id, {**event, "task_id": "", "queue": marked.queue})
        if marked.remains is not None:
            stored, known = await self._required(entry_id), marked.remains
            if known.asks_for_more:
                await attend(self._broker(), stored, [(marked.queue, known)], self._codecs, log=log)
            if pause:
                await note_times_before(self._broker(), stored, known, self._codecs, log=log)
        return await self.get(entry_id)

    async def run_now(self, entry_id: str) -> TaskInfo:
        """Enqueue the task of an entry at once, also of a paused one. Its times stay as they are.

        The history counts it as run by hand. What the options of its task refuse, such as a second unique
        one, is refused here, too; what the entry says about overlapping times is for these.

        Raises:
            EntryNotFoundError: There is none; with the ids that look like it.
            EnqueueRefusedError: As for `Client.enqueue`.
        """
        stored = await self._required(entry_id)
        entry = unpacked(entry_id, stored.packed, digest=stored.digest, codecs=self._codecs)
        try:
            info = await self._enqueue(entry.task, cast("TaskOptions", {**entry.options}))
        except AsyncqError as error:
            event = {"task_id": "", "queue": stored.queue, "error": str(error), "reason": "failed"}
            await self._note(entry_id, {**event, "trigger": "manual"})
            raise
        await self._note(
            entry_id, {"task_id": info.id, "queue": info.queue, "error": "", "trigger": "manual"}
        )
        return info

    async def remove(self, entry_id: str, *, version: int | None = None) -> None:
        """Forget an entry. Its history stays for a month.

        Args:
            entry_id: Which.
            version: Only if it still has this version.

        Raises:
            EntryNotFoundError: There is none; with the ids that look like it.
            EntryChangedError: It has another version.
            EntryDeclaredError: Code that is running declares it. Pause it, or remove it there.
        """
        if version is not None:
            require_whole("version", version, least=0)
        broker = self._broker()
        for _ in range(_ATTEMPTS):
            stored = await broker.entries.get(entry_id) if is_named(entry_id) else None
            if stored is None:
                if await end_removal(broker, entry_id, self._codecs, log=log):
                    return
                raise await self._missing(entry_id)
            if version is not None and stored.version != version:
                raise EntryChangedError(entry_id, version)
            force = stored.origin == "code" and stored.application not in await live_applications(broker)
            removed = await broker.entries.remove(stored, force=force)
            if removed.word == "declared":
                raise EntryDeclaredError(entry_id, stored.application)
            if removed.word == "removed":
                await see_off(broker, stored, removed, self._codecs, log=log)
                return
        raise EntryChangedError(entry_id, version or 0)

    async def history(self, entry_id: str, *, limit: int = DEFAULT_LIMIT) -> builtins.list[EnqueueEvent]:
        """What became of the last times of an entry, the newest first; a thousand are kept.

        Also of an entry that is gone, for a month.

        Args:
            entry_id: Which.
            limit: How many at the most.

        Raises:
            ConfigError: The limit is not a positive whole number.
            EntryNotFoundError: There is no such entry, and no history of one.
        """
        require_whole("limit", limit, least=1)
        if not is_named(entry_id):
            raise await self._missing(entry_id)
        events = await self._broker().schedules.events(entry_id, limit=limit)
        if not events:
            await self._required(entry_id)
        return [event_of(entry_id, event) for event in events]

    async def _required(self, entry_id: str) -> Stored:
        stored = await self._broker().entries.get(entry_id) if is_named(entry_id) else None
        if stored is None:
            raise await self._missing(entry_id)
        return stored

    async def _missing(self, entry_id: str) -> EntryNotFoundError:
        known = await self._broker().entries.some_ids()
        return EntryNotFoundError(entry_id, near_misses(str(entry_id), sorted(known)))

    async def _note(self, entry_id: str, event: dict[str, object]) -> None:
        """Write into the history. That it cannot be written does not undo what was done."""
        at = now()
        broker = self._broker()
        noted = {"enqueued_at": at, "nominal": at, "scheduler": broker.owner, **event}
        try:
            await broker.schedules.record(entry_id, noted, at=at, next_at=0.0)
        except BrokerError as error:
            log.warning(
                "what became of entry %r could not be written: %s",
                entry_id,
                error,
                extra={"event": "history_unwritten", "entry": entry_id},
            )

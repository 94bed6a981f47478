"""Does what Redis remembers as left to be done for times of an entry that are over."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from asyncq._broker.broker import Broker
from asyncq._broker.entries import Removed, Stored
from asyncq._broker.ticks import Note, Recalled, Ticks
from asyncq._clock import from_unix
from asyncq._entry_form import unpacked
from asyncq._logs import Log
from asyncq._missed import IN_TIME, is_older_than_memory, measure
from asyncq._scheduling.catalogue import is_named
from asyncq._scheduling.chronicle import Chronicle, Skipped
from asyncq.codecs import Codecs
from asyncq.entries import Entry, PeriodicTask, define
from asyncq.errors import WireError
from asyncq.task import Task

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

Cancel = Callable[[str, str], Awaitable[str]]


class Clerk:
    """Writes notes into the history, and cancels runs. Whoever comes first does it, and twice is once."""

    def __init__(self, ticks: Ticks, chronicle: Chronicle, cancel: Cancel, *, log: Log) -> None:
        self._ticks: Final = ticks
        self._chronicle: Final = chronicle
        self._cancel: Final = cancel
        self._log: Final = log

    async def attend(self, entry: Entry, recalled: Recalled, *, queue: str = "") -> None:
        """Do what is left to be done in a queue, that of the entry if none is named.

        Raises:
            BrokerError: Redis could not be asked. What was not done is still there.
        """
        queue = queue or entry.queue
        done = {note.field: note.text for note in recalled.notes if await self._is_written(entry, note)}
        for task_id, elsewhere in recalled.cancels:
            word = await self._cancel(elsewhere or queue, task_id)
            self._log.info(
                "entry %r: its last run, task %s, is cancelled: %s",
                entry.id,
                task_id,
                word,
                extra={"event": "run_cancelled", "entry": entry.id, "task_id": task_id, "answer": word},
            )
            done[f"cancel:{task_id}"] = elsewhere
        if done:
            await self._ticks.done(queue, entry.id, done)

    async def _is_written(self, entry: Entry, note: Note) -> bool:
        skipped = _skipped(entry, note)
        if not await self._chronicle.skipped(entry, skipped):
            return False
        self._log.log(
            logging.INFO if note.reason == "overlap" else logging.WARNING,
            "entry %r: %d of its times left out: %s",
            entry.id,
            skipped.count,
            skipped.text,
            extra={
                "event": "entry_skipped",
                "entry": entry.id,
                "reason": note.reason,
                "count": skipped.count,
                "nominal": skipped.first,
            },
        )
        return True


async def attend(
    broker: Broker,
    was: Stored | str,
    remains: Sequence[tuple[str, Recalled]],
    codecs: Codecs,
    *,
    log: Log,
) -> None:
    """Do what is left to be done for an entry, in a process that runs none.

    Args:
        broker: The way to Redis.
        was: The entry as it was, or its id when nobody knows more.
        remains: By queue, what is left.
        codecs: How its payload is encoded.
        log: Where to say so.
    """
    chronicle = Chronicle(broker.schedules, scheduler_id=broker.owner, log=log)
    clerk = Clerk(broker.ticks, chronicle, broker.notes.cancel, log=log)
    for queue, known in remains:
        await clerk.attend(_as_it_was(was, queue, codecs), known, queue=queue)


async def note_times_before(
    broker: Broker, paused: Stored, known: Recalled, codecs: Codecs, *, log: Log
) -> None:
    """Note the times that came before an entry was paused, and that nobody will enqueue any more.

    Schedulers were away, or were about to: who resumes it makes up for nothing.
    """
    if known.at is None or not paused.paused_at or paused.orphaned_at:
        return
    until, since = from_unix(paused.paused_at), from_unix(paused.since)
    entry = replace(_as_it_was(paused, paused.queue, codecs), since=since)
    found = measure(entry, from_unix(known.at), until)
    if found is None:
        return
    first, last, count = found
    # Whoever was refused with it notes the same.
    is_refused = count == 1 and until - last < IN_TIME
    skipped = Skipped(first, last, count, *(("paused", last) if is_refused else ("missed", until)))
    await Chronicle(broker.schedules, scheduler_id=broker.owner, log=log).skipped(entry, skipped)


async def see_off(broker: Broker, was: Stored | str, removed: Removed, codecs: Codecs, *, log: Log) -> None:
    """Do what is left to be done for an entry that is gone, and note that all is done."""
    await attend(broker, was, removed.remains, codecs, log=log)
    await broker.entries.settle({was if isinstance(was, str) else was.id: removed.version})


async def end_removal(broker: Broker, entry_id: str, codecs: Codecs, *, log: Log) -> bool:
    """Let a removal hold that was begun by somebody who could not reach the queue; whether there is one."""
    if not is_named(entry_id):
        return False
    removed = await broker.entries.finish_removal(entry_id)
    if removed.word == "removed":
        await see_off(broker, entry_id, removed, codecs, log=log)
    return removed.word == "removed"


def _as_it_was(was: Stored | str, queue: str, codecs: Codecs) -> Entry:
    """Return an entry to count times with; where nothing is known of it, one that has no times at all."""
    if isinstance(was, Stored):
        try:
            return unpacked(was.id, was.packed, digest=was.digest, codecs=codecs)
        except WireError:
            pass
    name = was if isinstance(was, str) else was.id
    return define(PeriodicTask(_NEVER, Task("gone"), id=name, queue=queue), codecs=codecs)


def _skipped(entry: Entry, note: Note) -> Skipped:
    """Return what a note says. It may be of times that the entry does not have any more."""
    last, noted_at = from_unix(note.last), from_unix(note.noted_at)
    if note.after == note.last or (not note.after and is_older_than_memory(entry, noted_at)):
        return Skipped(last, last, 1, note.reason, noted_at, note.detail)
    after = from_unix(note.after) if note.after else None
    # From before it was resumed, or got another rhythm; then they are counted by what it has now.
    found = measure(entry, after, last) or measure(replace(entry, since=None), after, last)
    return Skipped(*(found or (last, last, 1)), note.reason, noted_at, note.detail)

"""What is left to be done after a time of an entry, and stays in Redis until somebody has done it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asyncq._broker.ticks import Note, Recalled, Ticks
from asyncq._clock import from_unix
from asyncq._logs import Log
from asyncq._missed import is_older_than_memory, measure
from asyncq._scheduling.chronicle import Chronicle, Skipped
from asyncq._service import Errands
from asyncq.entries import Entry
from asyncq.errors import AsyncqError

Cancel = Callable[[str, str], Awaitable[str]]
WaitFor = Callable[[str, str], Awaitable[Any]]
Release = Callable[[Entry, datetime], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Means:
    """What is done with."""

    cancel: Cancel  #: queue and task: cancel it
    wait_for: WaitFor  #: queue and task: return when it is over
    release: Release  #: enqueue a time that waits; whether it is settled
    owe: Callable[[Entry], None]  #: look at the entry again, when Redis answers


class Aftermath:
    """Writes notes into the history, cancels runs, and enqueues what waits for the end of a run.

    The script that decides leaves it in Redis, so that it outlives the scheduler that asked. Any
    scheduler may do it, and several at once do no harm.
    """

    def __init__(
        self,
        ticks: Ticks,
        chronicle: Chronicle,
        means: Means,
        *,
        current: Callable[[str], Entry | None],
        log: Log,
    ) -> None:
        self._ticks: Final = ticks
        self._chronicle: Final = chronicle
        self._means: Final = means
        self._current: Final = current
        self._log: Final = log
        self._errands: Final = Errands()
        self._awaited: Final[set[str]] = set()

    async def look(self, entry: Entry) -> None:
        """See what is left to be done, and do it.

        Raises:
            BrokerError: Redis could not be asked. It is still there for the next one who looks.
        """
        (recalled,) = await self._ticks.recall(entry.queue, [entry.id])
        await self.attend(entry, recalled)

    async def attend(self, entry: Entry, recalled: Recalled) -> None:
        """Do what is left to be done.

        Raises:
            BrokerError: Redis could not be asked.
        """
        fields = [note.field for note in recalled.notes if await self._is_written(entry, note)]
        for task_id in recalled.cancels:
            word = await self._means.cancel(entry.queue, task_id)
            self._log.info(
                "entry %r: its last run, task %s, is cancelled: %s",
                entry.id,
                task_id,
                word,
                extra={"event": "run_cancelled", "entry": entry.id, "task_id": task_id, "answer": word},
            )
            fields.append(f"cancel:{task_id}")
        if fields:
            await self._ticks.done(entry.queue, entry.id, fields)
        if recalled.queued and entry.id not in self._awaited:
            self._awaited.add(entry.id)
            self._errands.start(self._await_turn(entry, recalled), name=f"turn of {entry.id}")

    async def _is_written(self, entry: Entry, note: Note) -> bool:
        skipped = _skipped(entry, note)
        if skipped is None:
            return True
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

    async def _await_turn(self, entry: Entry, recalled: Recalled) -> None:
        """Wait until the last run is over, and enqueue what waits behind it."""
        try:
            while recalled.queued:
                if recalled.run:
                    await self._means.wait_for(entry.queue, recalled.run)
                current = self._current(entry.id)
                if current is None:
                    return
                nominal = from_unix(recalled.queued)
                if current.queue != entry.queue:
                    # Its queue is another one now, and this one takes no more of it.
                    left_out = Skipped(nominal, nominal, 1, "changed", nominal)
                    if not await self._chronicle.skipped(entry, left_out):
                        return
                    await self._ticks.done(entry.queue, entry.id, ["queued"])
                elif not await self._means.release(current, nominal):
                    # It was refused, and that was said. Nothing waits any more.
                    await self._ticks.done(entry.queue, entry.id, ["queued"])
                (recalled,) = await self._ticks.recall(entry.queue, [entry.id])
        except AsyncqError as error:
            self._log.debug("entry %r: %s", entry.id, error, extra={"event": "turn_unknown"})
            self._means.owe(entry)
        finally:
            self._awaited.discard(entry.id)

    async def aclose(self) -> None:
        """Wait no longer."""
        await self._errands.cancel()


def _skipped(entry: Entry, note: Note) -> Skipped | None:
    """Return what a note says; `None` when the entry has no such time any more."""
    last, noted_at = from_unix(note.last), from_unix(note.noted_at)
    if note.after == note.last or (not note.after and is_older_than_memory(entry, noted_at)):
        return Skipped(last, last, 1, note.reason, noted_at, note.detail)
    found = measure(entry, from_unix(note.after) if note.after else None, last)
    return None if found is None else Skipped(*found, note.reason, noted_at, note.detail)

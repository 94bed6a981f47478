"""What is left to be done after a time of an entry, and stays in Redis until somebody has done it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asyncq._broker.ticks import Recalled, Ticks
from asyncq._clock import from_unix
from asyncq._logs import Log
from asyncq._scheduling.chronicle import Chronicle
from asyncq._scheduling.clerk import Cancel, Clerk
from asyncq._service import Errands
from asyncq.entries import Entry
from asyncq.errors import AsyncqError

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
        self._means: Final = means
        self._current: Final = current
        self._log: Final = log
        self._clerk: Final = Clerk(ticks, chronicle, means.cancel, log=log)
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
        await self._clerk.attend(entry, recalled)
        if recalled.queued and entry.id not in self._awaited:
            self._awaited.add(entry.id)
            self._errands.start(self._await_turn(entry, recalled), name=f"turn of {entry.id}")

    async def _await_turn(self, entry: Entry, recalled: Recalled) -> None:
        """Wait until the last run is over, and enqueue what waits behind it."""
        try:
            while recalled.queued:
                if recalled.run:
                    await self._means.wait_for(entry.queue, recalled.run)
                current = self._current(entry.id)
                if current is None or current.queue != entry.queue:
                    return  # whoever has paused, removed or moved it has said so of what waits
                if not await self._means.release(current, from_unix(recalled.queued)):
                    # It was refused, and that was said. Nothing waits any more.
                    await self._ticks.done(entry.queue, entry.id, {"queued": recalled.queued_text})
                (recalled,) = await self._ticks.recall(entry.queue, [entry.id])
        except AsyncqError as error:
            self._log.debug("entry %r: %s", entry.id, error, extra={"event": "turn_unknown"})
            self._means.owe(entry)
        finally:
            self._awaited.discard(entry.id)

    async def aclose(self) -> None:
        """Wait no longer."""
        await self._errands.cancel()

"""Shows the entries of this scheduler to Go's tools: in the asynq wire, beside our own record."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from asyncq._broker.go_schedulers import GoSchedulers
from asyncq._clock import now
from asyncq._cron import IntervalSchedule, OnceSchedule
from asyncq._scheduling.herald import say_good_bye
from asyncq._service import Service
from asyncq._timetable import Timetable
from asyncq._wire.asynq_records import NEVER, SchedulerEntry, Timestamp, excerpt
from asyncq._wire.go_text import write_options
from asyncq._wire.keys import go_entry_id, process_name
from asyncq.codecs import Codecs
from asyncq.entries import Entry
from asyncq.errors import PayloadError

MOST_SHOWN: Final = 1000
"""Entries that are shown: those that are due next. Go shows all, and writes all of them each time."""

LONGEST_PAYLOAD: Final = 1024
"""Bytes that are shown of a payload."""

FIRST_INTERVAL: Final = 0.25
"""Seconds between the first two times, and twice as long each time: people look at what has just started."""

_AT_A_TIME: Final = 50
"""Entries that are written down between two turns of the event loop."""


class GoHerald(Service):
    """Announces the entries where Go's tools look, as Go's schedulers do. Nothing depends on it."""

    def __init__(
        self,
        area: GoSchedulers,
        scheduler_id: str,
        timetable: Timetable,
        *,
        codecs: Codecs,
        is_at_rest: Callable[[], bool],
        interval: float,
    ) -> None:
        super().__init__("scheduler heartbeat for Go")
        self._area: Final = area
        self._process: Final = process_name(socket.gethostname(), os.getpid(), scheduler_id)
        self._timetable: Final = timetable
        self._codecs: Final = codecs
        self._is_at_rest: Final = is_at_rest
        self._longest: Final = interval
        self._interval = FIRST_INTERVAL / 2
        self._known: dict[str, tuple[Entry, SchedulerEntry]] = {}

    async def tick(self) -> float:
        entries = [] if self._is_at_rest() else await self._entries()
        await self._area.announce(self._process, entries, now=now(), ttl=2 * self._longest)
        self._interval = min(2 * self._interval, self._longest)
        return self._interval

    async def _entries(self) -> list[bytes]:
        # What does not change is written down once: a payload may be large, and encoding it slow.
        before, self._known, found = self._known, {}, list[bytes]()
        for number, entry in enumerate(self._timetable.upcoming(MOST_SHOWN), 1):
            known = before.get(entry.id)
            shown = known[1] if known is not None and known[0] is entry else record(entry, self._codecs)
            self._known[entry.id] = entry, shown
            timed = replace(shown, next=_instant(entry.next_at), prev=_instant(entry.last_at))
            found.append(timed.encode())
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)
        return found

    async def leave(self) -> None:
        """Say good-bye."""
        await say_good_bye(self._area.leave(self._process), self.log)


def record(entry: Entry, codecs: Codecs) -> SchedulerEntry:
    """Return what an entry is, as Go says it; without its times."""
    try:
        _, payload = entry.task.encoded(codecs)
    except PayloadError:  # by a codec of the user's that has nothing to work with just now
        payload = b""
    return SchedulerEntry(
        entry_id=go_entry_id(entry.id),
        spec=_spec(entry),
        task_type=entry.task.type,
        payload=excerpt(payload, LONGEST_PAYLOAD),
        options=write_options(entry.checked),
    )


def _spec(entry: Entry) -> str:
    """The text of a schedule with its zone: Go's tools show nothing else of it."""
    schedule, text = entry.schedule, entry.spec.strip()
    has_zone = isinstance(schedule, IntervalSchedule | OnceSchedule) or text.startswith(("CRON_TZ=", "TZ="))
    zone = str(schedule.zone)
    return text if has_zone or zone == "UTC" else f"CRON_TZ={zone} {text}"


def _instant(moment: datetime | None) -> Timestamp:
    return NEVER if moment is None else Timestamp.of(moment.timestamp())

"""Intervals go on from the last time that anybody had, or from when they began; without Redis."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from asyncq import Task
from asyncq._broker.ticks import Recalled, Ticks
from asyncq._scheduling.alignment import Alignment
from asyncq._timetable import Timetable
from asyncq.codecs import Codecs
from asyncq.entries import Entry, PeriodicTask, define

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def _entry(since: datetime) -> Entry:
    entry = define(PeriodicTask("@every 10s", Task("x"), id="a"), codecs=Codecs())
    entry.since = since
    return entry


async def test_an_entry_that_is_resumed_while_redis_is_asked_keeps_its_new_rhythm() -> None:
    """The answer is of the times that it had before."""
    table = Timetable()
    old, resumed = _entry(NOW - timedelta(days=1)), _entry(NOW - timedelta(seconds=1))
    table.add(old, NOW)

    class Asked:
        async def recall(self, queue: str, entry_ids: Sequence[str]) -> list[Recalled]:
            del queue, entry_ids
            table.remove("a")
            table.add(resumed, NOW - timedelta(seconds=1))
            return [Recalled(at=(NOW - timedelta(seconds=6)).timestamp())]

    alignment = Alignment(cast("Ticks", Asked()), table, clock=lambda: NOW, on_change=lambda: None)
    await alignment.align(old)
    assert resumed.next_at == NOW + timedelta(seconds=9)

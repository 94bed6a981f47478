"""What a scheduler does about entries that move, when others are faster; without Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from asyncq import Task
from asyncq._broker.entries import Change, Entries, News, Stored
from asyncq._entry_form import packed
from asyncq._scheduling.follower import Follower
from asyncq._scheduling.reconciler import Reconciler
from asyncq._scheduling.roster import Roster
from asyncq._timetable import Timetable
from asyncq.codecs import Codecs
from asyncq.entries import Entry, PeriodicTask, define

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CODECS = Codecs()


class Book:
    """The stored entries, of which there is one; queues that it has left never answer."""

    def __init__(self) -> None:
        self.change: Change | None = None

    def put(self, version: int, queue: str, payload: int, *left: str) -> None:
        """Change the entry."""
        entry = define(PeriodicTask("@daily", Task("x", payload), id="a", queue=queue), codecs=CODECS)
        stored = Stored(
            *("a", version, "client", "", entry.definition, packed(entry, CODECS), queue),
            *(1.0, 1.0, 1.0, 0.0, "", 0.0, left),
        )
        self.change = Change("a", version, is_there=True, stored=stored)

    async def news(self, after: int) -> News:
        """Be the area of entries."""
        change = self.change
        rows = [change] if change is not None and change.version > after else []
        version = change.version if change is not None else 0
        return News(version, version, 0, is_all=True, last=version, rows=rows)

    async def hand_over(self, stored: Stored) -> None:
        """Be the area of entries."""
        await asyncio.Event().wait()


async def test_what_came_while_an_entry_was_held_is_looked_for_when_somebody_else_has_moved_it() -> None:
    """It was in no timetable meanwhile, and a daily one comes again tomorrow only."""
    book, owed, table = Book(), list[str](), Timetable()
    log = logging.getLogger("asyncq.scheduler")
    roster = Roster(table, application="", codecs=CODECS, clock=lambda: NOW, log=log)

    async def align(entries: Sequence[Entry]) -> None:
        del entries

    follower = Follower(
        cast("Entries", book),
        roster,
        cast("Reconciler", None),
        align=align,
        owe=lambda entry: owed.append(entry.id),
        interval=1.0,
        on_change=lambda: None,
        log=log,
    )
    book.put(1, "old", 1)
    await follower.look()
    assert "a" in table
    book.put(2, "new", 1, "old")
    await follower.look()
    assert "a" not in table
    book.put(3, "new", 2)  # by whoever has moved it, when that was done
    await follower.look()
    assert [(entry.queue, entry.version) for entry in table.all()] == [("new", 3)]
    assert owed == ["a"]
    book.put(4, "new", 3)
    await follower.look()
    assert owed == ["a"]
    await follower.aclose()

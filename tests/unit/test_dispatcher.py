"""One time of an entry that changes again and again while it is claimed."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from asyncq._logs import Log
from asyncq._scheduling.claimant import Answer
from asyncq._scheduling.dispatcher import Dispatcher, Neighbours
from asyncq._scheduling.settings import SchedulerConfig
from asyncq._timetable import Tick
from asyncq.codecs import Codecs
from asyncq.entries import Entry, PeriodicTask, define
from asyncq.task import Task

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Changing:
    """A store in which an entry is changed some times, each time after it was read."""

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.version = 1
        self.skipped_for: list[str] = []
        self.entry = define(PeriodicTask("* * * * *", Task("x"), id="x"), codecs=Codecs())

    async def claim(self, task: object, options: object, claim: Any) -> Answer:
        """Be Redis."""
        del task, options
        if self.changes:
            self.changes -= 1
            self.version += 1
        return Answer("fenced" if claim.version < self.version else "taken")

    async def refresh(self, entry: Entry) -> tuple[Entry, str]:
        """Be a follower."""
        return replace(entry, version=self.version), "changed"

    async def skipped(self, entry: Entry, skipped: Any) -> bool:
        """Be a history."""
        del entry
        self.skipped_for.append(skipped.reason)
        return True

    async def align(self, entry: Entry) -> None:
        """Be an alignment."""


@pytest.mark.parametrize(("changes", "word"), [(1, "taken"), (3, "taken"), (100, "fenced")])
async def test_a_time_is_claimed_by_the_entry_as_it_is(changes: int, word: str) -> None:
    """It is one of its times still, however often somebody changed what it enqueues; but not for ever."""
    store = Changing(changes)

    async def look(_: Entry) -> None: ...

    neighbours = Neighbours(
        owe=lambda _: None,
        look=look,
        refresh=store.refresh,
        on_change=lambda: None,
        begun=lambda _: None,
        settled=lambda: None,
    )
    log = cast("Log", logging.getLogger("asyncq"))
    of_store: Any = store
    dispatcher = Dispatcher(
        store.claim, of_store, of_store, neighbours, SchedulerConfig(), clock=lambda: NOON, log=log
    )
    result = await dispatcher.carry_out(Tick(store.entry, NOON, NOON + timedelta(minutes=1)))
    assert result.word == word
    assert store.skipped_for == ([] if word == "taken" else ["changed"])

"""What the entries of schedulers look like to type checkers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_type

from asyncq import Client, PeriodicTask, Task, TaskInfo
from asyncq import sync as blocking
from asyncq.entry_info import EnqueueEvent, EntryInfo
from asyncq.periodic import Changes


async def changing(client: Client) -> None:
    """The options of an entry are known by name, like those of a task."""
    schedules = client.schedules
    assert_type(
        await schedules.upsert(timedelta(hours=1), Task("x"), entry_id="a", queue="low", catch_up="latest"),
        EntryInfo,
    )
    assert_type(await schedules.add("@daily", Task("x"), replace=True), EntryInfo)
    assert_type(await schedules.upsert_many([PeriodicTask("@daily", Task("x"))]), Changes)
    assert_type(await schedules.run_now("a"), TaskInfo)
    assert_type((await schedules.get("a")).next_at, datetime | None)
    assert_type([entry async for entry in schedules.iterate(paused=True)], list[EntryInfo])
    assert_type(await schedules.history("a"), list[EnqueueEvent])
    await schedules.upsert("@daily", Task("x"), entry_id="a", catch_up="sometimes")  # type: ignore[arg-type]
    await schedules.upsert("@daily", Task("x"))  # type: ignore[call-arg]


def changing_from_a_thread(client: blocking.Client) -> None:
    """The same, without `await`."""
    assert_type(client.schedules.pause("a"), EntryInfo)
    assert_type(client.schedules.list(orphaned=True), list[EntryInfo])

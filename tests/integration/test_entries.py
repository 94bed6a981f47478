"""Entries as data: stored in Redis, changed from anywhere, followed by every scheduler."""

from __future__ import annotations

from typing import Any, cast

import pytest
from redis import Redis

from asyncq import Client, Inspector, PeriodicTask, Scheduler, Task
from asyncq._wire.keys import Keys
from asyncq.errors import (
    ConfigError,
    DuplicateTaskError,
    EntryChangedError,
    EntryExistsError,
    EntryNotFoundError,
)
from tests.conftest import AnyRedis
from tests.integration.following import ids, look
from tests.support.waiting import wait_until

KEYS = Keys().entries
PENDING = "asyncq:{default}:pending"


# --- the client's side -----------------------------------------------------------------------------


async def test_an_entry_is_added_changed_and_removed_from_anywhere(any_redis: AnyRedis) -> None:
    """No scheduler has to be there."""
    async with Client(any_redis.url) as client:
        schedules = client.schedules
        task = Task("report", {"shop": 42}, retention=60)
        added = await schedules.add("0 9 * * *", task, entry_id="mine", timezone="Europe/Paris", queue="low")
        assert (added.spec, added.timezone, added.type, added.queue) == (
            "0 9 * * *",
            "Europe/Paris",
            "report",
            "low",
        )
        assert (added.payload, added.origin, added.is_paused) == ({"shop": 42}, "client", False)
        assert added.options == {"retention": 60.0, "queue": "low"}
        assert added.next_at is not None
        assert (added.previous_at, added.lateness, added.last_error) == (None, None, "")
        # Once more is once.
        again = await schedules.add("0 9 * * *", task, entry_id="mine", timezone="Europe/Paris", queue="low")
        assert again == added
        with pytest.raises(EntryExistsError, match="'mine' has another definition"):
            await schedules.add("@hourly", task, entry_id="mine")
        changed = await schedules.upsert("@hourly", task, entry_id="mine", version=added.version)
        assert (changed.spec, changed.queue, changed.created_at) == ("@hourly", "default", added.created_at)
        assert changed.version > added.version
        with pytest.raises(EntryChangedError):
            await schedules.upsert("@daily", task, entry_id="mine", version=added.version)
        with pytest.raises(EntryChangedError):
            await schedules.remove("mine", version=added.version)
        replaced = await schedules.add("@daily", task, entry_id="mine", replace=True)
        assert [info.id for info in await schedules.list(queue="default")] == ["mine"]
        assert await schedules.list(queue="low") == []
        await schedules.remove("mine", version=replaced.version)
        with pytest.raises(EntryNotFoundError):
            await schedules.get("mine")
        assert (await schedules.add("@daily", task, entry_id="mine")).version > replaced.version


async def test_what_is_not_there_is_named_with_what_was_meant(redis_url: str) -> None:
    """By each call alike, and before anything is changed."""
    async with Client(redis_url) as client:
        schedules = client.schedules
        await schedules.add("@daily", Task("report"), entry_id="report:42")
        for call in (schedules.get, schedules.pause, schedules.resume, schedules.run_now, schedules.remove):
            with pytest.raises(EntryNotFoundError, match="did you mean 'report:42'"):
                await cast("Any", call)("report:4")
        with pytest.raises(EntryNotFoundError, match="did you mean 'report:42'"):
            await schedules.history("report:4")


async def test_bad_input_is_refused_before_anything_is_sent(redis_url: str, redis_client: Redis) -> None:
    """All that is wrong with it at once."""
    async with Client(redis_url) as client:
        with pytest.raises(ConfigError, match=r"(?s)2 values.*spec.*queue"):
            await client.schedules.add("61 * * * *", Task("x"), queue="{")
        with pytest.raises(ConfigError, match="version"):
            await client.schedules.upsert("@daily", Task("x"), entry_id="x", version=-1)
        with pytest.raises(ConfigError, match="no other entry"):
            await client.schedules.upsert_many(
                [PeriodicTask("@daily", Task("x"), id="x"), PeriodicTask("@hourly", Task("x"), id="x")]
            )
        schedules: Any = client.schedules
        with pytest.raises(ConfigError, match=r"(?s)entry 1: spec=.*entry 2: entry='x'"):
            await schedules.upsert_many(
                [PeriodicTask("@daily", Task("x")), PeriodicTask("x", Task("x")), "x"]
            )
        with pytest.raises(ConfigError, match="entries="):
            await schedules.upsert_many(PeriodicTask("@daily", Task("x")))
        with pytest.raises(ConfigError, match="entry_id=None"):
            await schedules.upsert("@daily", Task("x"), entry_id=None)
        for reason in (None, 5, "\ud800", "x" * 1001):
            with pytest.raises(ConfigError, match="reason="):
                await schedules.pause("x", reason)
        for call in (schedules.get, schedules.pause, schedules.run_now, schedules.remove, schedules.history):
            for no_id in (None, 5, "", "a{b}", "\ud800"):
                with pytest.raises(EntryNotFoundError):
                    await call(no_id)
    assert redis_client.keys("*schedule*") == []


async def test_many_are_added_in_few_calls(redis_url: str) -> None:
    """From a table of customers, say; and the same table once more changes nothing."""
    many = [PeriodicTask("0 3 * * *", Task("sync", number), id=f"shop:{number}") for number in range(700)]
    async with Client(redis_url) as client:
        assert len((await client.schedules.upsert_many(many)).added) == 700
        assert len((await client.schedules.upsert_many(many)).kept) == 700
        many[5] = PeriodicTask("0 4 * * *", Task("sync", 5), id="shop:5")
        assert (await client.schedules.upsert_many(many)).changed == ("shop:5",)
        assert len(await client.schedules.list()) == 700
        scheduler = Scheduler(redis_url)
        async with scheduler.running():
            assert len(scheduler.entries) == 700


async def test_an_entry_is_run_by_hand(any_redis: AnyRedis) -> None:
    """At once, also while it is paused; the history says who it was, and its times stay as they are."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        before = await client.schedules.add("@daily", Task("report", 7), entry_id="mine", unique=60)
        await client.schedules.pause("mine", "month's end")
        info = await client.schedules.run_now("mine")
        assert (await inspector.tasks.get("default", info.id)).payload == 7
        with pytest.raises(DuplicateTaskError):
            await inspector.schedulers.run_now("mine")
        await client.schedules.resume("mine")
        resumed, refused, run, paused = await client.schedules.history("mine")
        assert [event.outcome for event in (resumed, refused, run, paused)] == [
            "resumed",
            "failed",
            "enqueued",
            "paused",
        ]
        assert (run.task_id, run.is_manual, run.lateness) == (info.id, True, None)
        assert (refused.is_manual, "unique" in refused.error, paused.error) == (True, True, "month's end")
        after = await client.schedules.get("mine")
        assert (after.next_at, after.previous_at) == (before.next_at, None)


# --- schedulers that follow --------------------------------------------------------------------------


async def test_a_running_scheduler_follows_at_once(any_redis: AnyRedis) -> None:
    """It is told, and does not have to look."""
    scheduler = Scheduler(any_redis.url, look_interval=3600)
    client = Client(any_redis.url)
    async with client, scheduler.running():
        await client.schedules.add("@every 1s", Task("report"), entry_id="often")
        await wait_until(lambda: any_redis.client.llen(PENDING) >= 1, "a run of what was added")
        await client.schedules.pause("often")
        await wait_until(lambda: [entry.next_at for entry in scheduler.entries] == [None], "the pause")
        await client.schedules.upsert("@yearly", Task("other"), entry_id="often")
        await client.schedules.resume("often")
        await wait_until(lambda: scheduler.entries[0].next_at, "the entry to go on")
        assert (scheduler.entries[0].spec, scheduler.entries[0].task.type) == ("@yearly", "other")
        await client.schedules.remove("often")
        await wait_until(lambda: scheduler.entries == [], "the end of the entry")
        info = (await client.schedules.history("often"))[-1]
        assert (info.outcome, info.lateness is not None) == ("enqueued", True)


async def test_a_missed_message_is_found_by_looking(redis_url: str) -> None:
    """Pub/sub forgets."""
    scheduler = Scheduler(redis_url, look_interval=1)
    async with scheduler.running(), Client(redis_url) as client:
        await look(scheduler)
        # Published where nobody listens.
        area = client._connected().entries  # noqa: SLF001 - as if the message had been lost
        keys = client._connection.wire.keys  # noqa: SLF001
        area._basis.wire = cast("Any", _Deaf(keys))  # noqa: SLF001
        await client.schedules.add("@yearly", Task("report"), entry_id="mine")
        await wait_until(lambda: ids(scheduler) == ["mine"], "a look")


class _Deaf:
    """The wire of one whose messages nobody hears."""

    def __init__(self, keys: Keys) -> None:
        self.keys = Keys(keys.prefix)
        self.keys.__class__ = _DeafKeys


class _DeafKeys(Keys):
    __slots__ = ()

    @property
    def entry_news(self) -> str:
        return "nowhere"


async def test_what_code_declares_stays_paused_over_a_restart(redis_url: str, redis_client: Redis) -> None:
    """A deploy does not undo what an operator did in the night."""

    def made() -> Scheduler:
        scheduler = Scheduler(redis_url)
        scheduler.register("@every 1s", Task("report"), entry_id="mine")
        scheduler.register("@every 1s", Task("other"), entry_id="other", queue="other")
        return scheduler

    async with Inspector(redis_url) as inspector:
        async with made().running():
            paused = await inspector.schedulers.pause("mine", "too much mail")
            assert paused.next_at is None
            before = redis_client.llen(PENDING)
        async with made().running() as scheduler:
            assert [entry.id for entry in scheduler.entries] == ["other", "mine"]
            await wait_until(lambda: redis_client.llen("asyncq:{other}:pending"), "the other one")
            assert redis_client.llen(PENDING) == before
            assert (await inspector.schedulers.entry("mine")).pause_reason == "too much mail"
            await inspector.schedulers.resume("mine")
            await wait_until(lambda: redis_client.llen(PENDING) != before, "the entry to go on")

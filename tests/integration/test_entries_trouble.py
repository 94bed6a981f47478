"""Stored entries when something is lost, unreadable or changed by many at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest
from redis import Redis

from asyncq import Client, PeriodicTask, Scheduler, Task
from asyncq._entry_form import packed
from asyncq._wire.keys import Keys
from asyncq.codecs import Codecs
from asyncq.entries import define
from asyncq.errors import (
    WireError,
)
from tests.integration.following import ids
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

KEYS = Keys().entries
PENDING = "asyncq:{default}:pending"


async def test_an_empty_redis_is_filled_with_what_code_declares() -> None:
    """A restart without persistence: code entries are stored again, what a client has put is gone."""
    with RedisProcess() as redis:
        scheduler = Scheduler(redis.url, look_interval=1)
        scheduler.register("@every 1s", Task("report"), entry_id="mine")
        async with scheduler.running(), Client(redis.url) as client:
            await client.schedules.add("@daily", Task("by hand"), entry_id="theirs")
            await wait_until(lambda: ids(scheduler) == ["mine", "theirs"], "both")
            redis.restart()
            with redis.client() as raw:
                await wait_until(lambda: raw.hlen(KEYS.entries) == 1, "what is declared in code", 15)
                await wait_until(lambda: raw.llen(PENDING) >= 1, "a run after it")
            await wait_until(lambda: ids(scheduler) == ["mine"], "what was lost to be gone", 15)


async def test_what_a_fail_over_has_lost_is_noticed(redis_url: str, redis_client: Redis) -> None:
    """The new primary does not have what we have seen, and its next change is later than all of it."""
    scheduler = Scheduler(redis_url, look_interval=3600)
    async with scheduler.running(), Client(redis_url) as client:
        await client.schedules.add("@daily", Task("a"), entry_id="a")
        names = [KEYS.entries, KEYS.changes, KEYS.state]
        before = {name: cast("bytes", redis_client.dump(name)) for name in names}
        await client.schedules.add("@daily", Task("b"), entry_id="b")
        await client.schedules.upsert("@hourly", Task("a"), entry_id="a")
        await wait_until(lambda: ids(scheduler) == ["a", "b"], "both")
        for name, value in before.items():
            redis_client.restore(name, 0, value, replace=True)
        await client.schedules.add("@daily", Task("c"), entry_id="c")
        await wait_until(lambda: ids(scheduler) == ["a", "c"], "what is true now")
        assert {entry.spec for entry in scheduler.entries} == {"@daily"}


async def test_removals_that_are_forgotten_are_found_by_comparing(
    redis_url: str, redis_client: Redis
) -> None:
    """A scheduler that was cut off for more than an hour."""
    scheduler = Scheduler(redis_url, look_interval=3600)
    async with scheduler.running(), Client(redis_url) as client:
        for name in "abc":
            await client.schedules.add("@daily", Task(name), entry_id=name)
        await wait_until(lambda: ids(scheduler) == ["a", "b", "c"], "all")
        follower = cast("Any", scheduler._acting).follower  # noqa: SLF001
        await follower.stop()
        await client.schedules.remove("a")
        redis_client.zadd(KEYS.removed, {"a": 1.0})
        await client.schedules.remove("b")
        assert redis_client.zscore(KEYS.changes, "a") is None
        await follower.look()
        assert ids(scheduler) == ["c"]


async def test_what_cannot_be_read_is_said_and_spoils_nothing_else(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Written by hand, or by a newer version: others may run it."""
    scheduler = Scheduler(redis_url)
    scheduler.register("@daily", Task("mine"), entry_id="mine")
    async with Client(redis_url) as client, scheduler.running():
        await client.schedules.add("@daily", Task("fine"), entry_id="fine")
        entry = define(PeriodicTask("@daily", Task("new"), id="new"), codecs=Codecs())
        area = client._connected().entries  # noqa: SLF001 - as a newer version would
        from asyncq._broker.entries import Definition

        raw = packed(entry, Codecs()).replace(b"\xa6format\x01", b"\xa6format\x02")
        await area.put([Definition("new", "default", "d", "r", raw)], call="x", origin="client")
        await wait_until(lambda: "'new' is not run here" in caplog.text, "the newer one")
        redis_client.hset(KEYS.entries, "odd", b"\xc1")
        redis_client.zadd(KEYS.changes, {"odd": 9e15})
        await client.schedules.add("@daily", Task("last"), entry_id="last")
        await wait_until(lambda: "last" in ids(scheduler), "the last one")
        assert ids(scheduler) == ["fine", "last", "mine"]
        with pytest.raises(WireError, match="newer version"):
            await client.schedules.get("new")
        with pytest.raises(WireError):
            await client.schedules.get("odd")
        assert sorted(info.id for info in await client.schedules.list()) == ["fine", "last", "mine"]


async def test_a_change_of_the_payload_alone_keeps_the_times(redis_url: str) -> None:
    """An `@every 24h` is not put off by each edit, nor by a pause of another one."""
    scheduler = Scheduler(redis_url)
    async with scheduler.running(), Client(redis_url) as client:
        first = await client.schedules.add(timedelta(hours=24), Task("report", 1), entry_id="mine")
        await wait_until(lambda: ids(scheduler) == ["mine"], "the entry")
        assert first.next_at is not None
        assert scheduler.entries[0].next_at == first.next_at
        second = await client.schedules.upsert(timedelta(hours=24), Task("report", 2), entry_id="mine")
        await wait_until(lambda: scheduler.entries[0].task.payload == 2, "the change")
        assert second.next_at == first.next_at == scheduler.entries[0].next_at
        await client.schedules.pause("mine")
        await client.schedules.resume("mine")
        third = await client.schedules.get("mine")
        assert third.next_at is not None
        assert third.next_at > first.next_at
        await wait_until(lambda: scheduler.entries[0].next_at == third.next_at, "the rhythm to begin anew")


async def test_many_who_change_one_entry_leave_all_schedulers_alike(redis_url: str) -> None:
    """Whatever the order in which they hear of it."""
    schedulers = [Scheduler(redis_url, look_interval=3600) for _ in range(3)]
    async with Client(redis_url) as one, Client(redis_url) as two:
        for scheduler in schedulers:
            await scheduler.start()
        try:

            async def churn(client: Client, name: str) -> None:
                for number in range(15):
                    await client.schedules.upsert("@daily", Task(name, number), entry_id="a")
                    await client.schedules.pause("a")
                    await client.schedules.upsert("@daily", Task(name), entry_id=f"{name}{number % 3}")
                    await client.schedules.resume("a")

            await asyncio.gather(churn(one, "x"), churn(two, "y"))
            stored = {info.id: info.version for info in await one.schedules.list()}

            def are_alike() -> bool:
                return all(
                    {entry.id: entry.version for entry in scheduler.entries} == stored
                    for scheduler in schedulers
                )

            await wait_until(are_alike, "all schedulers to have the same")
            assert all(entry.next_at is not None for entry in schedulers[0].entries)
            assert stored.keys() == {"a", *(f"{name}{number}" for name in "xy" for number in range(3))}
        finally:
            for scheduler in schedulers:
                await scheduler.shutdown()


async def test_what_was_changed_by_hand_is_said_once(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The sum is wrong then, and all that is true is still followed."""
    scheduler = Scheduler(redis_url, look_interval=3600)
    async with scheduler.running(), Client(redis_url) as client:
        await client.schedules.add("@daily", Task("a"), entry_id="a")
        redis_client.hincrby(KEYS.state, "sum", 5)
        await client.schedules.add("@daily", Task("b"), entry_id="b")
        await wait_until(lambda: "do not add up" in caplog.text, "the difference to be said")
        await client.schedules.add("@daily", Task("c"), entry_id="c")
        await wait_until(lambda: ids(scheduler) == ["a", "b", "c"], "what came later")
        assert caplog.text.count("do not add up") == 1

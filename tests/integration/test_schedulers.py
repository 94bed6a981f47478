"""What the inspector is told about schedulers: who is there, what they have, what became of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncq import Client, Inspector, Scheduler, Task
from asyncq._broker.schedules import MOST_EVENTS
from asyncq.errors import BrokerError, ConfigError, EntryNotFoundError
from tests.conftest import TOPOLOGIES, AnyRedis
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until, wait_until_sync


async def test_a_scheduler_is_seen_at_once_with_its_entries(any_redis: AnyRedis) -> None:
    """Not after ten seconds; and everything that was said of an entry can be read."""
    async with Inspector(any_redis.url) as inspector:
        scheduler = Scheduler(any_redis.url, timezone="Europe/Paris", name="blue")
        task = Task("report", {"of": "(sales)"}, retention=60)
        entry_id = scheduler.register("@daily", task, queue="low", unique=3.5, headers={"a": ")"})
        scheduler.register("@every 1h", Task("later"), entry_id="mine")
        async with scheduler.running():
            (info,) = await inspector.schedulers.list()
            assert (info.id, info.pid, info.name) == (scheduler.id, os.getpid(), "blue")
            assert (info.status, info.timezone, info.entries) == ("running", "Europe/Paris", 2)
            assert (info.synced_at, info.sync_error) == (None, "")
            assert datetime.now(UTC) - info.started_at < timedelta(minutes=1)

            # They come by their next time, and midnight in Paris may be less than an hour away.
            mine, daily = sorted(await inspector.schedulers.entries(), key=lambda entry: entry.id != "mine")
            assert (mine.id, mine.origin, mine.spec) == ("mine", "code", "@every 1h")
            assert (daily.id, daily.type, daily.queue) == (entry_id, "report", "low")
            assert daily.payload == {"of": "(sales)"}
            assert daily.options == {"queue": "low", "unique": 3.5, "headers": {"a": ")"}, "retention": 60.0}
            expected = next(entry for entry in scheduler.entries if entry.id == entry_id).next_at
            assert expected is not None
            assert daily.next_at == expected
            assert (daily.previous_at, daily.last_error) == (None, "")
        # The scheduler has left, and its entries are as they were.
        assert await inspector.schedulers.list() == []
        assert {entry.id for entry in await inspector.schedulers.entries()} == {"mine", entry_id}


async def test_each_change_is_seen(any_redis: AnyRedis) -> None:
    """Also of a scheduler that runs."""
    async with Inspector(any_redis.url) as inspector:
        scheduler = Scheduler(any_redis.url)
        async with scheduler.running():
            assert await inspector.schedulers.entries() == []
            scheduler.register("@hourly", Task("report"), entry_id="mine")

            async def shown() -> list[str]:
                return [entry.id for entry in await inspector.schedulers.entries()]

            async def is_there() -> bool:
                return await shown() == ["mine"]

            async def is_gone() -> bool:
                return await shown() == []

            await wait_until(is_there, "the entry to be shown")
            scheduler.unregister("mine")
            await wait_until(is_gone, "the entry to be shown no more")


@pytest.mark.parametrize("any_redis", TOPOLOGIES, indirect=True)
async def test_what_became_of_an_entry_is_kept_over_a_restart(any_redis: AnyRedis) -> None:
    """Asynq forgets it with each new process."""
    async with Inspector(any_redis.url) as inspector, Client(any_redis.url) as client:
        ids: list[str] = []

        async def run_once(seen: int) -> None:
            scheduler = Scheduler(any_redis.url)
            ids.append(scheduler.register("@every 1s", Task("report"), unique=600, queue="low"))

            async def is_noted() -> bool:
                return len(await _events(inspector, ids[-1])) > seen

            async with scheduler.running():
                await wait_until(is_noted, "an event")
                if not seen:
                    (entry,) = await inspector.schedulers.entries()
                    assert entry.id == ids[0]

        await run_once(0)
        before = await _events(inspector, ids[0])
        await run_once(len(before))
        assert len(set(ids)) == 1
        after = await _events(inspector, ids[0])
        assert after[-len(before) :] == before
        first, last = after[-1], after[0]
        assert (first.error, first.queue) == ("", "low")
        assert first.nominal_at <= first.enqueued_at < last.enqueued_at
        assert (await inspector.tasks.get("low", first.task_id)).type == "report"
        assert "unique" in last.error
        assert last.task_id == ""
        assert first.scheduler_id != last.scheduler_id
        assert len(await inspector.schedulers.events(ids[0], limit=1)) == 1
        assert (await client.ping()).server


async def _events(inspector: Inspector, entry_id: str) -> list[Any]:
    try:
        return await inspector.schedulers.events(entry_id)
    except EntryNotFoundError:
        return []


async def test_an_unknown_entry_is_named_with_what_was_meant(any_redis: AnyRedis) -> None:
    """An empty list would look like an entry that was never due."""
    async with Inspector(any_redis.url) as inspector:
        scheduler = Scheduler(any_redis.url)
        scheduler.register("@yearly", Task("report"), entry_id="report:sales")
        with pytest.raises(EntryNotFoundError, match=r"'report:sale'$"):
            await inspector.schedulers.events("report:sale")
        with pytest.raises(EntryNotFoundError):
            await inspector.schedulers.events("")
        async with scheduler.running():
            assert await inspector.schedulers.events("report:sales") == []
            with pytest.raises(EntryNotFoundError, match="did you mean 'report:sales'"):
                await inspector.schedulers.events("report:sale")
        with pytest.raises(ConfigError, match="limit"):
            await inspector.schedulers.events("report:sales", limit=0)


async def test_a_history_has_an_end(redis_url: str, redis_process: RedisProcess) -> None:
    """A thousand events; and a key that goes away by itself."""
    async with Inspector(redis_url) as inspector:
        schedules = inspector._reach.broker().schedules  # noqa: SLF001 - a thousand runs would take a while
        for number in range(MOST_EVENTS + 5):
            event = {"task_id": str(number), "queue": "q", "enqueued_at": 1.0, "nominal": float(number)}
            event |= {"error": "", "scheduler": "s"}
            await schedules.record("mine", event, at=number, next_at=number + 1)
        events = await inspector.schedulers.events("mine", limit=2 * MOST_EVENTS)
        assert len(events) == MOST_EVENTS
        assert (events[0].task_id, events[-1].task_id) == (str(MOST_EVENTS + 4), "5")
        with redis_process.client() as raw:
            key = "asyncq:scheduler_history:{mine}"
            assert 29 * 86400 < raw.ttl(key) <= 30 * 86400  # type: ignore[operator]
            year = 365 * 86400.0
            await schedules.record("mine", {"task_id": "last"}, at=1, next_at=1 + year)
            assert raw.ttl(key) > year  # type: ignore[operator]


_PROGRAM = """
import sys
from asyncq import Scheduler, Task
scheduler = Scheduler(sys.argv[1])
scheduler.register("@every 1h", Task("report"), entry_id="mine")
scheduler.run()
"""


def _kill_one(any_redis: AnyRedis) -> None:
    with subprocess.Popen([sys.executable, "-c", _PROGRAM, any_redis.url]) as program:
        wait_until_sync(lambda: any_redis.client.zcard("asyncq:schedulers") == 1, "the scheduler to be there")
        program.send_signal(signal.SIGKILL)


async def test_a_killed_scheduler_is_shown_for_twenty_seconds_and_no_longer(any_redis: AnyRedis) -> None:
    """Nobody can say good-bye for it, so what it said has an end."""
    key = "asyncq:schedulers"
    _kill_one(any_redis)
    async with Inspector(any_redis.url) as inspector:
        (info,) = await inspector.schedulers.list()
        record = f"asyncq:schedulers:{{{info.id}}}"
        left: Any = any_redis.client.ttl(record)
        assert 0 < left <= 20
        any_redis.client.delete(record)  # as Redis does then
        assert await inspector.schedulers.list() == []
        # The index forgets it later, since clocks may differ.
        any_redis.client.zadd(key, {info.id: 1.0})
        assert await inspector.schedulers.list() == []
        assert any_redis.client.zcard(key) == 0


async def test_what_cannot_be_read_spoils_nothing_else(redis_url: str, redis_process: RedisProcess) -> None:
    """Somebody wrote there by hand, or is newer than we are."""
    scheduler = Scheduler(redis_url)
    scheduler.register("@every 1s", Task("report"), entry_id="mine")
    with redis_process.client() as raw:
        raw.zadd("asyncq:schedulers", {"odd": 1e12, "older": 1e12})
        raw.set("asyncq:schedulers:{odd}", b"\xc1")
        raw.rpush("asyncq:scheduler_history:{mine}", "a list")
        async with Inspector(redis_url) as inspector, scheduler.running():
            assert [info.id for info in await inspector.schedulers.list()] == [scheduler.id]
            await wait_until(lambda: raw.llen("asyncq:{default}:pending") == 2, "two runs without a history")
            with pytest.raises(BrokerError, match="WRONGTYPE"):
                await inspector.schedulers.events("mine")


async def test_a_large_payload_is_shown_and_not_repeated(any_redis: AnyRedis) -> None:
    """It is stored once, and not with each heartbeat."""
    scheduler = Scheduler(any_redis.url)
    scheduler.register("@yearly", Task("large", b"x" * 100_000))
    scheduler.register("@yearly", Task("none"))
    async with Inspector(any_redis.url) as inspector, scheduler.running():
        entries = {entry.type: entry for entry in await inspector.schedulers.entries()}
        record: Any = any_redis.client.get(f"asyncq:schedulers:{{{scheduler.id}}}")
    assert entries["large"].payload == b"x" * 100_000
    assert (entries["none"].raw, entries["none"].payload) == (b"", None)
    assert len(record) < 1000

"""Times that came while no scheduler was there: found, and made up for by the rule of their entry."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack
import pytest

from asyncq import Client, Inspector, Scheduler, Task
from asyncq._wire.keys import Keys
from asyncq.options import TaskOptions
from asyncq.task_info import TaskInfo
from tests.conftest import AnyRedis
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

KEYS = Keys()
QUEUE = KEYS.queue("default")
SINCE = 10
"""Where the record of an entry says when its rhythm began (_book.lua)."""
MINUTE = timedelta(minutes=1)


def _this_minute() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)


def _in_two_hours() -> datetime:
    """A full hour that does not come while a test runs."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)


async def _was_away(url: str, client: Any, last: datetime, spec: str, **rules: Any) -> None:
    """Let there be an entry `x` for long, and this be the last time of it that is over."""
    async with Client(url) as made:
        await made.schedules.add(spec, Task("work"), entry_id="x", **rules)
    record: Any = msgpack.unpackb(client.hget(KEYS.entries.entries, "x"), raw=True)
    record[SINCE] = last.timestamp() - 1
    client.hset(KEYS.entries.entries, "x", msgpack.packb(record, use_bin_type=False))
    client.hset(QUEUE.tick("x"), "at", f"{last.timestamp():.6f}")


def _pending(client: Any) -> list[float]:
    """The times of all tasks that wait, in the order in which they will run."""
    return [
        float(task_id.decode().partition("-")[2]) for task_id in client.lrange(QUEUE.pending, 0, -1)[::-1]
    ]


async def _until_pending(client: Any, count: int) -> None:
    await wait_until(lambda: len(_pending(client)) >= count, f"{count} tasks")


async def _settled(inspector: Inspector, entry_id: str, last: datetime) -> list[Any]:
    """Return the events of an entry when the last of them is about this time."""
    events: list[Any] = []

    async def is_told() -> bool:
        nonlocal events
        broker = inspector._reach.broker()  # noqa: SLF001 - the fields that no view shows yet
        events = await broker.schedules.events(entry_id, limit=100)
        return bool(events) and events[0].get("until", events[0]["nominal"]) == last.timestamp()

    await wait_until(is_told, f"the history of {entry_id}")
    return events


async def test_all_that_was_missed_is_made_up_for_in_order(any_redis: AnyRedis) -> None:
    """The oldest first, each once, by three schedulers that start at the same moment."""
    now = _this_minute()
    await _was_away(any_redis.url, any_redis.client, now - 10 * MINUTE, "* * * * *", catch_up="all")
    schedulers = [Scheduler(any_redis.url) for _ in range(3)]
    async with Inspector(any_redis.url) as inspector:
        await asyncio.gather(*[scheduler.start() for scheduler in schedulers])
        await _until_pending(any_redis.client, 10)
        await asyncio.gather(*[scheduler.shutdown() for scheduler in schedulers])
        expected = [(now - n * MINUTE).timestamp() for n in range(9, -1, -1)]
        assert _pending(any_redis.client)[:10] == expected
        assert (await inspector.audit()).is_clean


async def test_only_the_latest_is_made_up_for(any_redis: AnyRedis) -> None:
    """The others are one event of the history, which says how many they were and why."""
    then = _in_two_hours()
    last, daily = then - timedelta(days=101), f"0 {then.hour} * * *"
    await _was_away(any_redis.url, any_redis.client, last, daily, catch_up="latest")
    latest = then - timedelta(days=1)
    async with Inspector(any_redis.url) as inspector, Scheduler(any_redis.url).running():
        await _until_pending(any_redis.client, 1)
        assert _pending(any_redis.client) == [latest.timestamp()]
        tick = QUEUE.tick("x")

        def is_noted() -> bool:
            fields: Any = any_redis.client.hkeys(tick)
            return not [name for name in fields if name.startswith(b"note:")]

        await wait_until(is_noted, "the note to be written")
        made_up, left_out = await _settled(inspector, "x", latest)
        assert made_up["task_id"]
        assert (left_out["reason"], left_out["task_id"], left_out["count"]) == ("missed", "", 99)
        assert left_out["until"] == (latest - timedelta(days=1)).timestamp()


@pytest.mark.parametrize(
    ("rules", "reason", "made_up"),
    [
        ({}, "missed", 0),
        ({"catch_up": "latest", "max_age": 3600}, "too_old", 0),
        ({"catch_up": "all", "max_age": timedelta(hours=50)}, "too_old", 2),
    ],
)
async def test_what_is_not_made_up_for_is_one_event(
    redis_url: str, redis_client: Any, rules: Any, reason: str, made_up: int
) -> None:
    """However long it was."""
    then = _in_two_hours()
    await _was_away(redis_url, redis_client, then - timedelta(days=11), f"0 {then.hour} * * *", **rules)
    async with Inspector(redis_url) as inspector, Scheduler(redis_url).running():
        newest = then - timedelta(days=1)
        await _until_pending(redis_client, made_up)
        events = await _settled(inspector, "x", newest)
        left_out = events[-1]
        assert (left_out["reason"], left_out["count"]) == (reason, 10 - made_up)
        assert left_out["nominal"] == (then - timedelta(days=10)).timestamp()
        assert left_out["until"] == (newest - made_up * timedelta(days=1)).timestamp()
        assert len(events) == 1 + made_up
        assert len(_pending(redis_client)) == made_up


async def test_a_time_that_is_refused_does_not_keep_later_ones(redis_url: str, redis_client: Any) -> None:
    """Middleware that lets no task through on some days must not stop an entry for ever."""
    now = _this_minute()
    await _was_away(redis_url, redis_client, now - 4 * MINUTE, "* * * * *", catch_up="all")
    calls = 0

    async def refuse(task: Task, options: TaskOptions, call_next: Any) -> TaskInfo:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("not today")
        return await call_next(task, options)  # type: ignore[no-any-return]

    scheduler = Scheduler(redis_url, middleware=[refuse])
    async with Inspector(redis_url) as inspector, scheduler.running():
        await _until_pending(redis_client, 3)
        times = [(now - n * MINUTE).timestamp() for n in (3, 1, 0)]
        assert _pending(redis_client)[:3] == times

        async def both_are_told() -> bool:
            errors = {event.error for event in await inspector.schedulers.events("x")}
            return errors >= {"not today", "it could not be enqueued"}

        await wait_until(both_are_told, "what was refused to be told")


async def test_what_middleware_sends_to_another_queue_is_not_looked_for_for_ever(
    redis_url: str, redis_client: Any
) -> None:
    """The queue of the entry remembers none of it, and each look would find the same times again."""
    now = _this_minute()
    await _was_away(redis_url, redis_client, now - 4 * MINUTE, "* * * * *", catch_up="all")
    redis_client.delete(QUEUE.tick("x"))
    calls = 0

    async def move(task: Task, options: TaskOptions, call_next: Any) -> TaskInfo:
        nonlocal calls
        calls += 1
        return await call_next(task, {**options, "queue": "other"})  # type: ignore[no-any-return]

    scheduler = Scheduler(redis_url, middleware=[move])
    async with scheduler.running():
        other, acting = KEYS.queue("other"), scheduler._acting  # noqa: SLF001 - when it has come to an end
        await wait_until(lambda: redis_client.llen(other.pending) >= 5, "the times of the entry")
        assert acting is not None
        await wait_until(lambda: not acting.catch_up._under_way, "an end")  # noqa: SLF001
    assert calls <= 7


async def test_what_came_while_a_scheduler_was_stopped_is_made_up_for(
    redis_url: str, redis_client: Any
) -> None:
    """If its entry says so."""
    now = _this_minute()
    await _was_away(redis_url, redis_client, now - 3 * MINUTE, "* * * * *", catch_up="all")
    redis_client.hset(QUEUE.tick("x"), "at", f"{now.timestamp():.6f}")
    scheduler = Scheduler(redis_url)
    async with scheduler.running():
        await scheduler.stop()
        redis_client.hset(QUEUE.tick("x"), "at", f"{(now - 3 * MINUTE).timestamp():.6f}")
        await scheduler.resume()
        await _until_pending(redis_client, 3)


async def test_times_of_an_outage_are_made_up_for_when_redis_is_back() -> None:
    """Each of them once, in order, and nobody waits for the next time for it."""
    errors: list[str] = []
    with RedisProcess() as redis:
        scheduler = Scheduler(
            redis.url, enqueue_timeout=1.0, on_error=lambda _, error: errors.append(str(error))
        )
        scheduler.register("@every 1s", Task("work"), entry_id="x", catch_up="all")
        with redis.client() as client:
            async with scheduler.running():
                await _until_pending(client, 1)
                redis.pause()
                await wait_until(lambda: len(errors) >= 3, "three times to fail")
                redis.resume()
                await _until_pending(client, 7)
            times = _pending(client)
            first = times[0]
            assert times == [pytest.approx(first + n, abs=0.001) for n in range(len(times))]

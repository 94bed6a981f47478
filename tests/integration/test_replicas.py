"""Several schedulers with the same entries: each time is enqueued once, whoever is there."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgpack
import pytest
from redis import Redis

from asyncq import Client, Inspector, Mux, PeriodicTaskManager, Scheduler, Server, Task, TaskInfo
from asyncq._compose import compose
from asyncq._scheduling.claimant import Claimant
from asyncq._wire.keys import Keys
from asyncq._wire.messages import Claim
from asyncq.client import EnqueueCall
from asyncq.errors import EnqueueRefusedError, TaskIdConflictError
from asyncq.options import TaskOptions
from asyncq.periodic import PeriodicTask
from tests.conftest import TOPOLOGIES, AnyRedis
from tests.support.waiting import wait_until

PENDING = "asyncq:{default}:pending"


@pytest.mark.parametrize("any_redis", TOPOLOGIES, indirect=True)
async def test_each_time_is_enqueued_by_one_of_them(any_redis: AnyRedis) -> None:
    """Also when the task has run and is gone before the others come to it."""
    ran: list[str] = []
    mux = Mux()

    @mux.handle("report")
    async def report(task: Task) -> None:
        ran.append(task.id)

    async with AsyncExitStack() as stack:
        inspector = await stack.enter_async_context(Inspector(any_redis.url))
        await stack.enter_async_context(Server(any_redis.url, concurrency=5).running(mux))
        schedulers = [Scheduler(any_redis.url) for _ in range(3)]
        for scheduler in schedulers:
            scheduler.register("@every 1s", Task("report"), entry_id="mine")
            await stack.enter_async_context(scheduler.running())
            await asyncio.sleep(0.1)  # they do not begin at the same moment
        await wait_until(lambda: len(ran) >= 4, "four runs")
        assert len(set(ran)) == len(ran)
        events = await inspector.schedulers.events("mine")
        nominals = [event.nominal_at for event in reversed(events)]
        gaps = {later - earlier for earlier, later in pairwise(nominals)}
        assert min(gaps) >= timedelta(seconds=1)
        assert not [event for event in events if event.error]
        # All of them have come to the same times.
        assert len({scheduler.entries[0].next_at for scheduler in schedulers}) <= 2
        assert (await inspector.audit()).is_clean


async def test_an_interval_goes_on_over_a_restart(any_redis: AnyRedis) -> None:
    """One of a day would never be over where there is a deploy each day."""
    last = datetime.now(UTC) - timedelta(hours=20)
    async with Client(any_redis.url) as client:
        new = compose(Task("report"))
        new.claim = Claim("mine", last.timestamp(), 86400.0, 86400)
        await client._connected().enqueue.submit(new)  # noqa: SLF001 - nobody waits for twenty hours
        await client.schedules.add("@every 24h", Task("report"), entry_id="mine")
        await client.schedules.add("@every 24h", Task("report"), entry_id="other")
    # It was there before; a new one begins when it is made.
    stored = Keys().entries.entries
    found: Any = any_redis.client.hget(stored, "mine")
    record: Any = msgpack.unpackb(found, raw=True)
    record[10] = last.timestamp() - 86400
    any_redis.client.hset(stored, "mine", msgpack.packb(record, use_bin_type=False))
    scheduler = Scheduler(any_redis.url)
    async with scheduler.running():
        mine, other = scheduler.entries
        assert mine.next_at is not None
        assert abs(mine.next_at - last - timedelta(hours=24)) < timedelta(milliseconds=1)
        assert other.next_at is not None
        assert other.next_at > datetime.now(UTC) + timedelta(hours=23)


async def test_a_time_in_the_far_future_does_not_stop_an_interval(
    redis_url: str, redis_client: Redis
) -> None:
    """Written by a clock that was wrong, or by hand."""
    redis_client.hset("asyncq:{default}:tick:odd", "at", "no number")
    redis_client.rpush("asyncq:{default}:tick:list", "a list")
    redis_client.hset("asyncq:{default}:tick:ahead", "at", "9999999999")
    scheduler = Scheduler(redis_url)
    for name in ("odd", "list", "ahead"):
        scheduler.register("@every 1h", Task("report"), entry_id=name)
    async with scheduler.running():
        limit = datetime.now(UTC) + timedelta(hours=1, seconds=1)
        assert all(entry.next_at is not None and entry.next_at < limit for entry in scheduler.entries)


async def test_a_clock_that_is_far_ahead_is_reported(redis_url: str, redis_client: Redis) -> None:
    """And does no harm to the schedulers whose clocks are right."""
    scheduler = Scheduler(redis_url)
    scheduler.register("@every 1s", Task("report"), entry_id="mine")
    async with scheduler.running():
        await wait_until(lambda: redis_client.llen(PENDING) >= 1, "a run")
        claim = Claim("mine", datetime.now(UTC).timestamp() + 3600, 1.0, 60)
        client = scheduler._client  # noqa: SLF001 - the clock of a machine cannot be moved in a test
        area = client._connected().enqueue  # noqa: SLF001
        claimant = Claimant(compose, area.submit, area.prepare, client._info, timeout=10.0)  # noqa: SLF001
        with pytest.raises(EnqueueRefusedError, match=r"(3600|3599) s ahead"):
            await claimant(Task("report"), {}, claim)
        await wait_until(lambda: redis_client.llen(PENDING) >= 2, "the right times to go on")


async def test_managers_with_the_same_provider_share_the_work(redis_url: str, redis_client: Redis) -> None:
    """Ids are made of the definition, so nothing has to be agreed on."""

    def provide() -> list[PeriodicTask]:
        return [PeriodicTask("@every 1s", Task("report", {"n": n})) for n in range(5)]

    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(PeriodicTaskManager(redis_url, provide).running())
        await wait_until(lambda: redis_client.llen(PENDING) >= 10, "two times of each")
        found: Any = redis_client.lrange(PENDING, 0, -1)
        assert len(set(found)) == len(found)
        kinds = {raw.partition(b"-")[0] for raw in found}
        assert len(kinds) == 5


async def test_middleware_is_told_that_another_one_has_the_time(redis_url: str, redis_client: Redis) -> None:
    """As a client's is told that a task is there; and a time that is taken is no error of its entry."""
    told: list[str] = []

    async def around(task: Task, options: TaskOptions, call_next: EnqueueCall) -> TaskInfo:
        try:
            return await call_next(task, {**options, "headers": {"trace": "1"}})
        except TaskIdConflictError:
            told.append("taken")
            raise

    async with AsyncExitStack() as stack:
        schedulers = [Scheduler(redis_url, middleware=[around]) for _ in range(2)]
        for scheduler in schedulers:
            scheduler.register("@every 1s", Task("report"), entry_id="mine")
            await stack.enter_async_context(scheduler.running())
        await wait_until(lambda: redis_client.llen(PENDING) == 2 and len(told) == 2, "two times of both")
        assert not any(scheduler.entries[0].last_error for scheduler in schedulers)

"""A change holds when its call returns, also for schedulers that have not heard of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from asyncq import Client, Inspector, Scheduler, Task
from tests.conftest import AnyRedis
from tests.support.waiting import wait_until


def _deaf(url: str) -> Scheduler:
    """Return a scheduler that is told nothing, and looks once an hour."""
    return Scheduler(url, waking="poll", look_interval=3600)


async def test_a_paused_entry_is_not_enqueued_by_who_has_not_heard(any_redis: AnyRedis) -> None:
    """The claim says so; then the scheduler looks, and has the entry again when it goes on."""
    pending = "asyncq:{q}:pending"
    async with Client(any_redis.url) as client:
        await client.schedules.add("@every 1s", Task("report"), entry_id="mine", queue="q")
        schedulers = [_deaf(any_redis.url) for _ in range(2)]
        for scheduler in schedulers:
            await scheduler.start()
        try:
            await client.schedules.pause("mine")
            before: Any = any_redis.client.llen(pending)

            def have_noticed() -> bool:
                return all(entry.next_at is None for one in schedulers for entry in one.entries)

            await wait_until(have_noticed, "the schedulers to be refused")
            assert any_redis.client.llen(pending) == before
            assert [one.entries[0].id for one in schedulers] == ["mine", "mine"]
            event = (await client.schedules.history("mine"))[0]
            assert (event.outcome, event.reason) == ("skipped", "paused")
        finally:
            for scheduler in schedulers:
                await scheduler.shutdown()


async def test_a_hook_that_takes_long_lets_nothing_through_that_was_paused_meanwhile(redis_url: str) -> None:
    """The scheduler has heard of the pause; the time that it is about to enqueue came before it."""
    is_called, may_go_on = asyncio.Event(), asyncio.Event()

    async def before(*_: object) -> None:
        is_called.set()
        await may_go_on.wait()

    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        await client.schedules.add("@every 1s", Task("report"), entry_id="mine", queue="q")
        scheduler = Scheduler(redis_url, pre_enqueue=before)
        async with scheduler.running():
            await is_called.wait()
            await client.schedules.pause("mine")
            await wait_until(lambda: scheduler.entries[0].next_at is None, "the scheduler to hear of it")
            may_go_on.set()

            async def is_noted() -> bool:
                return "skipped" in {event.outcome for event in await client.schedules.history("mine")}

            await wait_until(is_noted, "the time to be refused")
        assert {queue.name: queue.size for queue in await inspector.queues.list()}.get("q", 0) == 0


async def test_a_changed_entry_is_not_enqueued_as_it_was(redis_url: str) -> None:
    """And the time at which that is noticed is not lost: it is one of the new definition, too."""
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        await client.schedules.add("@every 1s", Task("report", "old"), entry_id="mine", queue="q")
        async with _deaf(redis_url).running():

            async def payloads() -> list[Any]:
                if not await inspector.queues.list():
                    return []
                found = await inspector.tasks.list("q", "pending")
                return [task.payload for task in sorted(found, key=lambda task: task.enqueued_at)]

            async def are_two() -> bool:
                return len(await payloads()) >= 2

            await client.schedules.upsert("@every 1s", Task("report", "new"), entry_id="mine", queue="q")
            await wait_until(are_two, "two runs")
        assert set(await payloads()) == {"new"}
        events = [event for event in await client.schedules.history("mine") if event.task_id]
        times = sorted(event.nominal_at for event in events)
        gaps = {round((later - one).total_seconds(), 3) for one, later in pairwise(times)}
        assert gaps <= {1.0}


@pytest.mark.parametrize("how", ["remove", "move"])
async def test_what_is_removed_or_moved_is_not_enqueued_where_it_was(redis_url: str, how: str) -> None:
    """Its claims were in the queue that it had."""
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        await client.schedules.add("@every 1s", Task("report"), entry_id="mine", queue="old")
        scheduler = _deaf(redis_url)
        async with scheduler.running():
            if how == "remove":
                await client.schedules.remove("mine")
                await wait_until(lambda: scheduler.entries == [], "the refusal")
            else:
                await client.schedules.upsert("@every 1s", Task("report"), entry_id="mine", queue="new")
                await wait_until(lambda: [one.queue for one in scheduler.entries] == ["new"], "the refusal")
        assert {queue.name: queue.size for queue in await inspector.queues.list()}.get("old", 0) == 0


async def test_who_resumes_an_entry_makes_up_for_nothing(redis_url: str) -> None:
    """Not even a scheduler that heard of neither: the time it comes with was in the pause."""
    async with Client(redis_url) as client:
        await client.schedules.add("@every 2s", Task("report"), entry_id="mine")
        scheduler = _deaf(redis_url)
        async with scheduler.running():
            due = scheduler.entries[0].next_at
            assert due is not None
            half = timedelta(seconds=1)
            await wait_until(lambda: datetime.now(UTC) > due - half, "the middle of the interval")
            await client.schedules.pause("mine")
            resumed = await client.schedules.resume("mine")
            assert resumed.next_at is not None
            await wait_until(lambda: scheduler.entries[0].next_at == resumed.next_at, "the new rhythm")

            async def is_noted() -> bool:
                events = await client.schedules.history("mine")
                return [event.outcome for event in events if event.nominal_at == due] == ["skipped"]

            await wait_until(is_noted, "the time to be noted as left out")


@pytest.mark.parametrize("how", ["resume", "move"])
async def test_what_makes_up_for_everything_makes_up_for_no_pause_and_no_other_queue(
    redis_url: str, how: str
) -> None:
    """Times in a pause were not missed, and the new queue goes on behind those of the old one."""
    async with Client(redis_url) as client, Scheduler(redis_url).running():

        async def put(queue: str) -> datetime:
            info = await client.schedules.upsert(
                "* * * * * *", Task("report"), entry_id="mine", queue=queue, catch_up="all"
            )
            return info.changed_at

        async def runs(queue: str) -> list[datetime]:
            events = await client.schedules.history("mine")
            return sorted(event.nominal_at for event in events if event.task_id and event.queue == queue)

        async def is_run() -> bool:
            return len(await runs("old")) >= 1

        begun = await put("old")
        await wait_until(is_run, "a run")
        assert min(await runs("old")) >= begun
        if how == "move":
            since, queue = await put("new"), "new"
        else:
            paused = await client.schedules.pause("mine")
            until = datetime.now(UTC) + timedelta(seconds=1.5)
            await wait_until(lambda: datetime.now(UTC) > until, "a time to come in the pause")
            await client.schedules.resume("mine")
            (event,) = [e for e in await client.schedules.history("mine") if e.outcome == "resumed"]
            since, queue = event.enqueued_at - timedelta(milliseconds=100), "old"
            assert paused.paused_at is not None

        async def goes_on() -> bool:
            return bool([nominal for nominal in await runs(queue) if nominal > since])

        await wait_until(goes_on, "a run afterwards")
        if how == "move":
            assert min(await runs("new")) > max(await runs("old"))
        else:
            between = [nominal for nominal in await runs("old") if paused.paused_at < nominal < since]
            assert between == []


async def test_times_that_nobody_enqueued_before_a_pause_are_in_the_history(
    redis_url: str, redis_client: Any
) -> None:
    """All schedulers were away when somebody paused it, and who resumes it makes up for nothing."""
    spec, now = "* * * * * *", datetime.now(UTC).replace(microsecond=0)
    async with Client(redis_url) as client:
        await client.schedules.add(spec, Task("report"), entry_id="mine", queue="q", catch_up="all")
        first = now + timedelta(seconds=2)
        await wait_until(lambda: datetime.now(UTC) > first + timedelta(seconds=1.2), "some times to come")
        redis_client.hset("asyncq:{q}:tick:mine", "at", first.timestamp() - 1)
        info = await client.schedules.pause("mine")
        await client.schedules.pause("mine")
        assert info.paused_at is not None
        last = info.paused_at.replace(microsecond=0)
        events = [event for event in await client.schedules.history("mine") if event.reason != "paused"]
        count = (last - first).seconds + 1
        assert [(e.outcome, e.reason, e.nominal_at, e.until, e.count) for e in events] == [
            ("skipped", "missed", first, last, count)
        ]

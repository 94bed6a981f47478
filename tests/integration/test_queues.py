"""The inspector's room for queues: what is in them, and pausing."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncq import Client, Inspector, Mux, SkipRetry, Task
from asyncq._wire.keys import Keys
from asyncq.errors import ConfigError, QueueNotFoundError
from asyncq.inspector import Rights
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, inside, settled
from tests.support.keyspace import snapshot
from tests.support.listing import listed
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)


async def test_a_queue_is_seen_with_all_that_is_in_it(any_redis: AnyRedis) -> None:
    """Each state, the counters, and a moment at which all of it was true."""
    mux, began, go_on = Mux(), asyncio.Event(), asyncio.Event()

    @mux.handle("works")
    async def works(_: Task) -> None:
        began.set()
        await go_on.wait()

    @mux.handle("fails")
    async def fails(_: Task) -> None:
        raise OSError("no")

    @mux.handle("hopeless")
    async def hopeless(_: Task) -> None:
        raise SkipRetry("never")

    @mux.handle("done")
    async def done(_: Task) -> None:
        """Nothing."""

    async with (
        Inspector(any_redis.url) as inspector,
        at_work(any_redis.url, mux, concurrency=4) as (client, _),
    ):
        await client.enqueue(Task("done"), retention=60)
        for kind in ("fails", "hopeless", "done", "works"):
            await client.enqueue(Task(kind))
        await client.enqueue(Task("done"), process_in=HOUR)
        for group in ("g", "g", "h"):
            await client.enqueue(Task("done"), group=group)
        await began.wait()
        places = {"active": 1, "retry": 1, "archived": 1, "completed": 1, "scheduled": 1, "aggregating": 3}
        await settled(any_redis.client, done=1, **places)
        info = await inspector.queues.get("default")
        go_on.set()
    assert info.name == "default"
    assert info.sizes == {"pending": 0, **places}
    assert (info.pending, info.active, info.scheduled, info.retry) == (0, 1, 1, 1)
    assert (info.archived, info.completed, info.aggregating) == (1, 1, 3)
    assert (info.size, info.groups, info.orphaned) == (8, 2, 0)
    assert (info.processed, info.failed, info.processed_total, info.failed_total) == (4, 2, 4, 2)
    assert (info.is_paused, info.paused_at, info.is_being_removed, info.latency) == (False, None, False, 0.0)
    assert abs(info.at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_all_queues_are_seen_at_once(any_redis: AnyRedis) -> None:
    """By name, with one call for each slot and not for each queue."""
    names = [f"q{number:02}" for number in range(20)]
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        assert await inspector.queues.names() == []
        assert await inspector.queues.list() == []
        for at, name in enumerate(reversed(names)):
            for _ in range(1 + at % 2):
                await client.enqueue(Task("x"), queue=name)
        await listed(client)
        assert await inspector.queues.names() == names
        found = await inspector.queues.list()
        assert [info.name for info in found] == names
        assert [info.pending for info in found] == [2, 1] * 10
        counted = await inspector.queues.sizes()
        assert [(info.name, info.pending, info.size, info.groups) for info in counted] == [
            (name, 2 - at % 2, 2 - at % 2, 0) for at, name in enumerate(names)
        ]
        assert [info.name for info in await inspector.queues.sizes(only=["q03", "q01", "no"])] == [
            "q01",
            "q03",
        ]
        some = inspector.acting_as("ann", rights=Rights.viewer(queues=["q0*"]))
        assert [info.name for info in await some.queues.sizes()] == names[:10]


async def test_thousands_of_queues_leave_room_for_others(redis_url: str) -> None:
    """Few calls are on their way at a time, or whatever else goes over the connection would wait for all."""
    names = [f"q{number:04}" for number in range(1050)]
    asked: list[int] = []
    under_way, most = 0, 0
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        for name in (names[0], names[-1]):
            await client.enqueue(Task("x"), queue=name)
        reach = inspector.queues._reach  # noqa: SLF001 - what stands between the inspector and Redis
        basis = reach.broker().basis
        run = basis.router.run

        async def counting(script: Any, keys: Any, args: Any, **how: Any) -> Any:
            nonlocal under_way, most
            asked.append(len(keys))
            under_way += 1
            most = max(most, under_way)
            try:
                return await run(script, keys, args, **how)
            finally:
                under_way -= 1

        basis.router.run = counting  # type: ignore[method-assign]
        found = await reach.broker().queues.sizes(names, reach.round(partial=False))
    assert [name for name, (sizes, _) in found.items() if sizes["pending"]] == [names[0], names[-1]]
    assert (len(found), len(asked), most) == (1050, 11, 2)


async def test_latency_is_how_long_the_next_task_has_been_ready(any_redis: AnyRedis) -> None:
    """A task for later counts from when it was due, not from when somebody thought of it."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        await client.enqueue(Task("x"), queue="now")
        keys = Keys().queue("now")

        async def latency(queue: str) -> float:
            return (await inspector.queues.get(queue)).latency

        await wait_until(lambda: _above(latency("now"), 0.05), "some time to pass")
        assert await latency("now") < 30
        # As a forwarder writes it.
        (task_id,) = any_redis.client.lrange(keys.pending, 0, -1)  # type: ignore[misc]
        any_redis.client.hset(keys.task(task_id.decode()), "ready_at", str(time.time() - 100))
        assert 99 < await latency("now") < 130
        await client.enqueue(Task("x"), queue="later", process_in=HOUR)
        assert await latency("later") == 0.0
        # A message of any size is read.
        await client.enqueue(Task("x", b"x" * 100_000), queue="large")
        await wait_until(lambda: _above(latency("large"), 0.0), "some time to pass")


async def _above(value: Any, least: float) -> bool:
    return float(await value) > least


async def test_a_task_that_was_forwarded_has_waited_since_it_was_due(any_redis: AnyRedis) -> None:
    """Whoever planned it an hour ago was not kept waiting for an hour."""
    mux = Mux()
    mux.handle("x")(_nothing)
    async with (
        Inspector(any_redis.url) as inspector,
        at_work(any_redis.url, mux, queues={"q": 1}) as (client, _),
    ):
        await client.enqueue(Task("x"), queue="q")
        await settled(any_redis.client, "q", done=1)
        await inspector.queues.pause("q")
        info = await client.enqueue(Task("x"), queue="q", process_in=0.3)

        async def is_pending() -> bool:
            return (await inspector.queues.get("q")).pending == 1

        await wait_until(is_pending, "the task to be forwarded")
        seen = await inspector.queues.get("q")
        due = float(any_redis.client.hget(Keys().queue("q").task(info.id), "ready_at") or 0)  # type: ignore[arg-type]
        assert seen.latency == pytest.approx(seen.at.timestamp() - due, abs=0.001)


async def _nothing(_: Task) -> None:
    """Do nothing."""


async def test_history_is_told_by_day(any_redis: AnyRedis) -> None:
    """Today first, and nothing is a number, too."""
    mux = Mux()
    mux.handle("x")(_nothing)
    today = datetime.now(UTC).date()
    async with Inspector(any_redis.url) as inspector, at_work(any_redis.url, mux) as (client, _):
        for _ in range(3):
            await client.enqueue(Task("x"))
        await settled(any_redis.client, done=3)
        yesterday = Keys().queue("default").day("failed", time.time() - 86400)
        any_redis.client.set(yesterday, 2)
        found = await inspector.queues.history("default", days=3)
        assert [(day.queue, day.processed, day.failed) for day in found] == [
            ("default", 3, 0),
            ("default", 0, 2),
            ("default", 0, 0),
        ]
        assert abs(found[0].date - today) <= timedelta(days=1)
        assert [found[0].date - day.date for day in found] == [timedelta(days=n) for n in range(3)]
        assert len(await inspector.queues.history("default", days=90)) == 90


@pytest.mark.parametrize("size", [3, 300])
async def test_memory_is_estimated(any_redis: AnyRedis, size: int) -> None:
    """Twenty of each state are looked at, and the rest is taken to be like them."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        async for outcome in client.enqueue_many((Task("x", b"x" * 1000) for _ in range(size)), queue="q"):
            assert outcome.is_enqueued
        await client.enqueue(Task("x", b"y" * 1000), queue="q", group="g")
        found = await inspector.queues.memory("q")
        assert found.sampled == min(size, 20) + 1
        assert size * 1000 < found.states["pending"] < size * 2000
        assert 1000 < found.states["aggregating"] < 3000
        assert sum(found.states.values()) < found.total < sum(found.states.values()) + 5000


async def test_what_is_not_there_is_refused_by_each(any_redis: AnyRedis) -> None:
    """A misspelt name must not pause a queue that nobody has."""
    async with Client(any_redis.url) as client:
        # In a cluster the name of the queue is elsewhere and written later; closing waits for it.
        await client.enqueue(Task("x"), queue="mails")
    async with Inspector(any_redis.url) as inspector:
        queues, before = inspector.queues, snapshot(any_redis.client)
        for method in (
            *(queues.get, queues.history, queues.memory, queues.pause, queues.unpause, queues.remove),
        ):
            with pytest.raises(QueueNotFoundError, match="did you mean 'mails'") as refused:
                await method("mail")
            assert refused.value.near == ("mails",)
        for days in (0, 91, 1.5):
            with pytest.raises(ConfigError, match="days"):
                await queues.history("mails", days=days)  # type: ignore[arg-type]
        for samples in (0, 1001):
            with pytest.raises(ConfigError, match="samples"):
                await queues.memory("mails", samples=samples)
        assert snapshot(any_redis.client) == before


async def test_a_paused_queue_gives_nothing_and_goes_on_at_once(any_redis: AnyRedis) -> None:
    """An idle server is woken; it does not find out at its next look, which may be minutes away."""
    mux, ran = Mux(), asyncio.Event()

    @mux.handle("x")
    async def x(_: Task) -> None:
        ran.set()

    async with (
        Inspector(any_redis.url) as inspector,
        at_work(any_redis.url, mux, task_check_interval=300) as (
            client,
            server,
        ),
    ):
        await client.enqueue(Task("x"))
        await asyncio.wait_for(ran.wait(), 10)
        ran.clear()
        assert await inspector.queues.pause("default") is True
        assert await inspector.queues.pause("default") is False
        info = await inspector.queues.get("default")
        assert info.is_paused
        assert info.paused_at is not None
        assert abs(info.at - info.paused_at) < timedelta(seconds=30)
        for _ in range(3):
            await client.enqueue(Task("x"))
        await settled(any_redis.client, pending=3, done=1)
        fetcher = inside(server).fetcher
        assert fetcher is not None
        # The server was woken by the tasks, has asked, and stands there again.
        waiting = Keys().queue("default").waiting
        await wait_until(lambda: any_redis.client.zcard(waiting) == 1, "the server to be idle")
        assert not ran.is_set()
        assert await inspector.queues.unpause("default") is True
        started = time.monotonic()
        await asyncio.wait_for(ran.wait(), 10)
        assert time.monotonic() - started < 2.0
        await settled(any_redis.client, done=4)
        assert await inspector.queues.unpause("default") is False
        assert not (await inspector.queues.get("default")).is_paused


async def test_some_of_many_queues_are_looked_at(any_redis: AnyRedis) -> None:
    """A page of fifty out of thousands costs as much as fifty."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        for name in ("a", "b", "c"):
            await client.enqueue(Task("greet"), queue=name)
        await listed(client)
        found = await inspector.queues.list(only=["c", "a", "nothing"])
        assert [(info.name, info.pending) for info in found] == [("a", 1), ("c", 1)]
        assert await inspector.queues.list(only=[]) == []

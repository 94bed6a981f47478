"""Groups: their tasks are made one, in time, once, and whatever goes wrong nothing is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from redis import Redis

from asyncq import Client, GroupSettings, Inspector, Server, Task
from asyncq.errors import DuplicateTaskError
from tests.conftest import AnyRedis
from tests.integration.batches import Batches, combine, put, serve
from tests.integration.serving import at_work, inside, settled
from tests.lua.space import Space
from tests.support.census import take_census
from tests.support.remains import assert_sound
from tests.support.waiting import wait_until

NEVER = 3600.0


async def test_a_group_becomes_one_task(any_redis: AnyRedis) -> None:
    """In the order in which its tasks came, in the queue in which they were; and nothing is left."""
    batches = Batches()
    queues = {"one": 1, "two": 1}
    async with serve(any_redis.url, batches, queues=queues, group_grace_period=0.5) as (client, _):
        await put(client, "a", 1, 2, 3, queue="one")
        await put(client, "b", 4, queue="two")
        await batches.wait_for(1, 2, 3, 4)
        assert sorted(batch["of"] for batch in batches.seen) == [[1, 2, 3], [4]]
        await settled(any_redis.client, "one", done=1, aggregated=3)
        await settled(any_redis.client, "two", done=1, aggregated=1)
    async with Inspector(any_redis.url) as inspector:
        report = await inspector.audit()
        assert report.is_clean, str(report)


@pytest.mark.parametrize("queue", ["here", "elsewhere"])
async def test_the_new_task_has_options_of_its_own(any_redis: AnyRedis, queue: str) -> None:
    """Its queue among them, also where that is on another node."""

    def somewhere(_: str, tasks: list[Task]) -> Task:
        return Task("batch", {"of": [task.payload for task in tasks]}, queue=queue, retention=60)

    batches = Batches()
    async with (
        serve(any_redis.url, batches, somewhere, queues={"here": 1, "elsewhere": 1}) as (client, _),
        Inspector(any_redis.url) as inspector,
    ):
        await put(client, "g", 1, 2, queue="here")
        await batches.wait_for(1, 2)
        if queue == "here":
            await settled(any_redis.client, "here", completed=1, aggregated=2)
        else:
            await settled(any_redis.client, "here", aggregated=2)
            await settled(any_redis.client, "elsewhere", completed=1)

        async def is_listed() -> bool:
            return queue in await inspector.queues.names()

        await wait_until(is_listed, "its name, which in a cluster is on another node")
        assert (await inspector.audit()).is_clean


async def test_the_grace_period_begins_anew_with_each_task(redis_url: str) -> None:
    """So what belongs together stays together; and it is over in time."""
    batches = Batches()
    async with serve(redis_url, batches, group_grace_period=2.0) as (client, _):
        for number in range(4):
            last = time.monotonic()
            await put(client, "g", number)
            await asyncio.sleep(0.7)  # the rhythm of the tasks is the point here
        await batches.wait_for(0, 1, 2, 3)
    assert [batch["of"] for batch in batches.seen] == [[0, 1, 2, 3]]
    assert 1.95 < batches.at[0] - last < 4


async def test_a_group_does_not_wait_longer_than_the_longest_delay(redis_url: str) -> None:
    """Though its grace period never ends."""
    batches = Batches()
    began = time.monotonic()
    async with serve(redis_url, batches, group_grace_period=NEVER, group_max_delay=0.3) as (client, _):
        await put(client, "g", 1, 2)
        await batches.wait_for(1, 2)
    assert 0.25 < batches.at[0] - began < 4


async def test_a_full_group_does_not_wait_at_all(redis_url: str) -> None:
    """Nobody has to look for it: who puts in the last task says so."""
    batches = Batches()
    options = {"group_grace_period": NEVER, "group_max_size": 3}
    async with serve(redis_url, batches, **options) as (client, server):
        await _until_asleep(server)
        await put(client, "g", *range(7))
        await wait_until(lambda: len(batches.seen) == 2, "two full groups", 5.0)
        assert sorted(batch["of"] for batch in batches.seen) == [[0, 1, 2], [3, 4, 5]]
        async with Inspector(redis_url) as inspector:
            (group,) = await inspector.groups.list("default")
            assert (group.name, group.size) == ("g", 1)


async def test_groups_may_have_settings_of_their_own(any_redis: AnyRedis) -> None:
    """By the beginning of their names: a delay, a size, and of all the others nothing."""
    batches = Batches()
    options = {
        "group_grace_period": NEVER,
        "group_settings": {
            "fast:": GroupSettings(grace_period=0.5),
            "fast:not:": GroupSettings(max_size=2),
        },
    }
    async with serve(any_redis.url, batches, **options) as (client, server):
        await _until_asleep(server)
        await put(client, "slow", 1)
        await put(client, "fast:a", 2, 3)
        await put(client, "fast:not:a", *range(4, 9))
        await batches.wait_for(*range(2, 8))
        assert sorted(batch["of"] for batch in batches.seen) == [[2, 3], [4, 5], [6, 7]]
        await settled(any_redis.client, aggregating=2, done=3, aggregated=6)


async def _until_asleep(server: Server) -> None:
    """Wait until the aggregator has looked once, so that what comes after has to wake it."""
    await wait_until(lambda: all(one.looks for one in inside(server).aggregators), "a first look")


async def test_many_groups_are_aggregated_at_the_same_time(redis_url: str) -> None:
    """One slow one holds up nobody."""
    batches, gate = Batches(), asyncio.Event()

    async def slow_for_one(group: str, tasks: list[Task]) -> Task:
        if group == "slow":
            await gate.wait()
        return combine(group, tasks)

    async with serve(redis_url, batches, slow_for_one) as (client, _):
        await put(client, "slow", 0)
        for number in range(1, 40):
            await put(client, f"g{number}", number)
        await batches.wait_for(*range(1, 40))
        gate.set()
        await batches.wait_for(*range(40))


async def test_a_plain_function_does_not_block_the_loop(redis_url: str) -> None:
    """It runs in a thread."""
    batches, gate, began = Batches(), threading.Event(), threading.Event()

    def blocks(group: str, tasks: list[Task]) -> Task:
        began.set()
        assert gate.wait(10)
        return combine(group, tasks)

    async with serve(redis_url, batches, blocks) as (client, _):
        await put(client, "g", 1)
        await wait_until(began.is_set, "the aggregator")
        await client.enqueue(Task("one", {"of": [2]}))
        await batches.wait_for(2)
        gate.set()
        await batches.wait_for(1, 2)


async def test_an_object_with_an_async_call_is_awaited(redis_url: str) -> None:
    """And so is what a plain function returns, if it can be."""

    class Combine:
        async def __call__(self, group: str, tasks: list[Task]) -> Task:
            return combine(group, tasks)

    def awaitable(group: str, tasks: list[Task]) -> Any:
        return Combine()(group, tasks)

    batches = Batches()
    for aggregator, number in ((Combine(), 1), (awaitable, 2)):
        async with serve(redis_url, batches, aggregator) as (client, _):
            await put(client, "g", number)
            await wait_until(lambda number=number: number in batches.numbers, "it")  # type: ignore[misc]


async def test_without_an_aggregator_tasks_wait(redis_url: str, redis_client: Redis) -> None:
    """They can be seen, and the server after this one takes them."""
    batches = Batches()
    async with at_work(redis_url, batches.mux) as (client, _):
        await put(client, "g", 1, 2)
        await client.enqueue(Task("one", {"of": [3]}))
        await batches.wait_for(3)
    await settled(redis_client, aggregating=2, done=1)
    async with serve(redis_url, batches):
        await batches.wait_for(1, 2, 3)


@pytest.mark.parametrize("options", [{"process_in": 0.05}, {"process_in": 0.05, "unique": 60}])
async def test_a_delayed_task_joins_its_group_when_it_is_due(
    any_redis: AnyRedis, options: dict[str, float]
) -> None:
    """Grouped and scheduled together."""
    batches = Batches()
    async with serve(any_redis.url, batches) as (client, _):
        await put(client, "g", 1, 2, **options)
        await batches.wait_for(1, 2)
        await settled(any_redis.client, done=len(batches.seen), aggregated=2)


async def test_the_lock_of_a_grouped_task_goes_with_it(any_redis: AnyRedis) -> None:
    """Grouped and unique together: refused while it waits, welcome when it was aggregated."""
    batches = Batches()
    async with Client(any_redis.url) as client:
        await put(client, "g", 1, unique=NEVER)
        with pytest.raises(DuplicateTaskError):
            await put(client, "g", 1, unique=NEVER)
    async with serve(any_redis.url, batches) as (client, _):
        await batches.wait_for(1)
        await put(client, "g", 1, unique=NEVER)
        await wait_until(lambda: batches.numbers[1] == 2, "the second one")
    assert take_census(any_redis.client).locks == {}


async def test_a_failed_task_of_a_group_goes_back_to_its_group(redis_url: str, redis_client: Redis) -> None:
    """As in asynq. It got out of the group because somebody ran it by hand."""
    space, batches = Space(redis_client), Batches()
    keys = space.q.__class__("asyncq:", "default")
    async with Client(redis_url) as client:
        (task_id,) = await put(client, "g", 1)
        redis_client.zrem(keys.group("g"), task_id)
        redis_client.hset(keys.task(task_id), "state", "retry")
        redis_client.zadd(keys.retry, {task_id: 1})
        redis_client.srem(keys.groups, "g")
        async with serve(redis_url, batches):
            await batches.wait_for(1)
        await settled(redis_client, done=1, aggregated=1)


@pytest.mark.timeout(90)
async def test_several_servers_aggregate_each_task_once(any_redis: AnyRedis) -> None:
    """Whoever is first, and however the tasks come."""
    batches, total = Batches(), 600
    options = {"group_max_size": 7, "queues": {"one": 1, "two": 1}}
    async with (
        serve(any_redis.url, batches, **options) as (client, _),
        serve(any_redis.url, batches, **options),
        serve(any_redis.url, batches, **options),
    ):
        for start in range(0, total, 60):
            await asyncio.gather(
                *(
                    client.enqueue(
                        Task("one", number), group=f"g{number % 5}", queue=("one", "two")[number % 2]
                    )
                    for number in range(start, start + 60)
                )
            )
        await wait_until(lambda: len(batches.numbers) == total, "all to be handled", 30.0)
    assert set(batches.numbers.values()) == {1}
    assert max(len(batch["of"]) for batch in batches.seen) <= 7
    async with Inspector(any_redis.url) as inspector:
        report = await inspector.audit()
        assert report.is_clean, str(report)


async def test_polling_servers_aggregate_too(redis_url: str) -> None:
    """Where subscriptions do not get through."""
    batches = Batches()
    async with serve(redis_url, batches, waking="poll", task_check_interval=0.05, group_max_size=2) as (
        client,
        _,
    ):
        await put(client, "g", 1, 2)
        await batches.wait_for(1, 2)


async def test_the_audit_knows_what_is_being_aggregated(
    redis_url: str, redis_process: Any, redis_client: Redis
) -> None:
    """A set under way is no damage; the groups beside it are listed."""
    batches, began, gate = Batches(), asyncio.Event(), asyncio.Event()

    async def held_up(group: str, tasks: list[Task]) -> Task:
        began.set()
        await gate.wait()
        return combine(group, tasks)

    options = {"group_grace_period": NEVER, "group_max_size": 2}
    async with (
        serve(redis_url, batches, held_up, **options) as (client, _),
        Inspector(redis_url) as inspector,
    ):
        await put(client, "g", 1, 2, unique=NEVER)
        await began.wait()
        await put(client, "g", 3)
        await assert_sound(redis_process)
        groups = await inspector.groups.list("default")
        assert [(group.name, group.size, group.aggregating) for group in groups] == [("g", 1, 2)]
        gate.set()
        await put(client, "g", 4)
        await batches.wait_for(1, 2, 3, 4)
    await assert_sound(redis_process)

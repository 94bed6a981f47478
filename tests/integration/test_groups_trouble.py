"""Groups in trouble: what fails, leaves or comes too late loses nothing and does nothing twice."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from asyncq import Client, Connection, Task
from asyncq._broker.broker import Broker
from asyncq._broker.groups import Ripeness, _id_from
from asyncq._compose import compose
from tests.integration.batches import Batches, combine, put, serve
from tests.integration.serving import settled, task_hash
from tests.support.census import take_census
from tests.support.cluster import ClusterProcesses
from tests.support.waiting import wait_until

NEVER = 3600.0


def _raises(_: str, __: list[Task]) -> Task:
    raise OSError("no disk")


def _exits(_: str, __: list[Task]) -> Task:
    raise SystemExit(3)


async def _cancels_itself(_: str, __: list[Task]) -> Task:
    raise asyncio.CancelledError


def _nonsense(_: str, __: list[Task]) -> Any:
    return {"not": "a task"}


def _same_group(_: str, __: list[Task]) -> Task:
    return Task("batch", group="g")


def _unencodable(_: str, __: list[Task]) -> Task:
    return Task("batch", object())


def _refused(_: str, __: list[Task]) -> Task:
    return Task("taken", unique=NEVER)


@pytest.mark.parametrize(
    "aggregator", [_raises, _exits, _cancels_itself, _nonsense, _same_group, _unencodable, _refused]
)
async def test_what_fails_loses_nothing(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture, aggregator: Callable[..., Any]
) -> None:
    """It is said, tried again after a while and not all the time, and other groups go on."""
    batches, tried = Batches(), []

    async def fails(group: str, tasks: list[Task]) -> Any:
        if group != "g":
            return combine(group, tasks)
        tried.append(len(tasks))
        answer = aggregator(group, tasks)
        return await answer if asyncio.iscoroutine(answer) else answer

    async with Client(redis_url) as client:
        await client.enqueue(Task("taken"), unique=NEVER, process_in=NEVER)

    def said() -> list[Any]:
        return [record for record in caplog.records if getattr(record, "event", "") == "aggregation_failed"]

    async with serve(redis_url, batches, fails, group_grace_period=0.5) as (client, _):
        await put(client, "g", 1, 2)
        await wait_until(lambda: tried, "the first try")
        await put(client, "h", 3)
        await batches.wait_for(3)
        await wait_until(lambda: len(said()) == 2, "the end of the second try")
    assert tried == [2, 2]
    await settled(redis_client, aggregating=2, done=1, aggregated=1, scheduled=1)
    assert [(record.group, record.count) for record in said()] == [("g", 2), ("g", 2)]
    async with serve(redis_url, batches):
        await batches.wait_for(1, 2, 3)


async def test_what_cannot_be_read_is_archived_and_the_rest_goes_on(
    redis_url: str, redis_client: Redis
) -> None:
    """One damaged message must not hold up its group."""
    batches = Batches()
    async with Client(redis_url) as client:
        first, _, gone = await put(client, "g", 1, 2, 3)
    redis_client.hset(f"asyncq:{{default}}:t:{first}", "msg", b"\xc1 what is this")
    redis_client.delete(f"asyncq:{{default}}:t:{gone}")
    async with serve(redis_url, batches):
        await batches.wait_for(2)
        await settled(redis_client, archived=1, done=1, aggregated=1, vanished=1)
    assert task_hash(redis_client, first)["reason"] == "unreadable"


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_leaving_server_gives_back_what_it_aggregates(
    redis_url: str, redis_client: Redis, kind: str
) -> None:
    """At once: the next server does not wait for the end of a lease."""
    batches, began, gate = Batches(), threading.Event(), threading.Event()

    async def forever(_: str, __: list[Task]) -> Task:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    def blocks(group: str, tasks: list[Task]) -> Task:
        began.set()
        gate.wait(10)
        return combine(group, tasks)

    aggregator, options = forever if kind == "async" else blocks, {"lease": NEVER, "group_grace_period": 0.5}
    async with serve(redis_url, batches, aggregator, **options) as (client, _):
        await put(client, "g", 1, 2)
        await wait_until(began.is_set, "the aggregator")
        assert len(take_census(redis_client)["aggregating"]) == 2
    assert redis_client.zcard("asyncq:{default}:g:g") == 2
    assert redis_client.smembers("asyncq:{default}:groups") == {b"g"}
    async with serve(redis_url, batches):
        await batches.wait_for(1, 2)
    gate.set()
    await settled(redis_client, done=1, aggregated=2)


async def test_servers_that_come_and_go_leave_nothing_behind(redis_url: str, redis_client: Redis) -> None:
    """Whatever they were doing when told to leave: with leases of an hour nobody else could help."""
    draw, batches, number = random.Random(3), Batches(), 0

    async def slow(group: str, tasks: list[Task]) -> Task:
        await asyncio.sleep(draw.choice((0.0, 0.005)))
        return combine(group, tasks)

    async with Client(redis_url) as client:
        for _ in range(30):
            options = {"lease": NEVER, "group_grace_period": 0.01, "group_max_size": 3}
            async with serve(redis_url, batches, slow, **options):
                for _ in range(4):
                    number += 1
                    await put(client, f"g{number % 3}", number)
                await asyncio.sleep(draw.random() * 0.02)  # any moment may be the last
            assert redis_client.zcard("asyncq:{default}:aggregation_sets") == 0
        async with serve(redis_url, batches):
            await batches.wait_for(*range(1, number + 1))
    assert set(batches.numbers.values()) == {1}
    await settled(redis_client, done=len(batches.seen), aggregated=number)


async def test_an_aggregator_may_take_longer_than_its_lease(redis_url: str) -> None:
    """The lease is prolonged while it runs, so nobody else begins with the same tasks."""
    batches, calls = Batches(), []

    async def slow(group: str, tasks: list[Task]) -> Task:
        calls.append(group)
        await asyncio.sleep(2.5)  # two leases and a half
        return combine(group, tasks)

    async with Client(redis_url) as client:
        await put(client, "g", 1, 2)
    async with serve(redis_url, batches, slow, lease=1.0), serve(redis_url, batches, slow, lease=1.0):
        await batches.wait_for(1, 2)
    assert (calls, len(batches.seen)) == (["g"], 1)


async def test_who_lost_a_set_changes_nothing(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lease ran out, as after a long freeze; somebody else aggregated the tasks."""
    batches, began, gate = Batches(), asyncio.Event(), asyncio.Event()

    async def held_up(group: str, tasks: list[Task]) -> Task:
        began.set()
        await gate.wait()
        return combine(group, tasks)

    async with serve(redis_url, batches, held_up) as (client, _):
        await put(client, "g", 1, 2)
        await began.wait()
        (key,) = redis_client.zrange("asyncq:{default}:aggregation_sets", 0, -1)
        redis_client.zadd("asyncq:{default}:aggregation_sets", {key: 1})
        async with serve(redis_url, batches):
            await batches.wait_for(1, 2)
        gate.set()
        await wait_until(
            lambda: "aggregation_lost" in {getattr(record, "event", "") for record in caplog.records},
            "it to notice",
        )
    assert batches.numbers == {1: 1, 2: 1}
    await settled(redis_client, done=1, aggregated=2)


@pytest.mark.cluster
async def test_a_crash_between_the_two_steps_of_a_cluster_is_noticed(cluster: ClusterProcesses) -> None:
    """The queue of the new task is on another node: it is enqueued first, the set ends second."""
    cluster.flush()
    async with Client(cluster.url) as client, Connection(cluster.url) as connection:
        await put(client, "g", 1, 2, queue="here")
        broker = Broker(connection.router(), connection.wire, owner="server", patience=5.0)
        assert broker.basis.slot("here") != broker.basis.slot("elsewhere")
        ids: list[str] = []
        for crashes in (True, False):
            found = await broker.groups.gather(
                ["here"], Ripeness(0.0, 0.0, 100), want=1, lease=30.0, left_alone={}
            )
            (taken,) = found.sets
            members = await broker.groups.collect(taken)
            assert members is not None
            new = compose(Task("batch", {"of": [1, 2]}, queue="elsewhere"))
            if crashes:
                new.id = _id_from(taken, members)
                assert (await broker.enqueue.submit(new)).word == "pending"
                await broker.groups.release([taken], tell=False)
            else:
                assert await broker.groups.aggregate(taken, members, new) == "already"
            ids.append(new.id)
    assert ids[0] == ids[1]
    with cluster.client() as redis:
        assert take_census(redis, "here").gone == {"aggregated": 2}
        assert take_census(redis, "elsewhere")["pending"] == [ids[0]]

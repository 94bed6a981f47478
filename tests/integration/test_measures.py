"""What servers count, and what stands in Redis of it, against what truly happened."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from redis import Redis

from asyncq import Client, Connection, Inspector, Mux, RevokeTask, Server, SkipRetry, Task
from asyncq._wire.keys import Keys
from asyncq.errors import (
    ClosedError,
    ConfigError,
    NotAllowedError,
    NotStartedError,
    QueueNotFoundError,
)
from asyncq.inspector import Rights
from asyncq.measures import OTHER, ServerMeasures, TypeMeasures, total
from tests.conftest import TOPOLOGIES, AnyRedis
from tests.integration.serving import at_work, settled
from tests.support.waiting import wait_until


def _mux() -> Mux:
    mux = Mux()

    @mux.handle("fine")
    async def fine(task: Task) -> None:
        await asyncio.sleep(task.payload or 0)

    @mux.handle("fails")
    async def fails(task: Task) -> None:
        raise OSError("no")

    @mux.handle("hopeless")
    async def hopeless(task: Task) -> None:
        raise SkipRetry("never")

    @mux.handle("revoked")
    async def revoked(task: Task) -> None:
        raise RevokeTask

    return mux


def _of(measures: ServerMeasures, task_type: str, queue: str = "default") -> TypeMeasures:
    (found,) = [one for one in measures.types if (one.queue, one.type) == (queue, task_type)]
    return found


def _counts(measures: ServerMeasures) -> dict[tuple[str, str], dict[str, int]]:
    return {
        (one.queue, one.type): {outcome: count for outcome, count in one.outcomes.items() if count}
        for one in measures.types
        if any(one.outcomes.values())
    }


async def _all_at_work(client: Client) -> None:
    """Nine tasks that come to nearly every end there is."""
    for _ in range(3):
        await client.enqueue(Task("fine"))
    await client.enqueue(Task("fine", retention=60), queue="low")
    await client.enqueue(Task("fine"), process_in=0.05)
    await client.enqueue(Task("fails"))
    await client.enqueue(Task("hopeless"))
    await client.enqueue(Task("revoked"))
    await client.enqueue(Task("nobody knows"))


_ENDS = {
    ("default", "fine"): {"done": 4},
    ("low", "fine"): {"done": 1},
    ("default", "fails"): {"retried": 1},
    ("default", "hopeless"): {"archived": 1},
    ("default", "revoked"): {"revoked": 1},
    ("default", OTHER): {"put_back": 1},
}


async def test_counts_are_what_happened(any_redis: AnyRedis) -> None:
    """In memory, and with the end of the server also in Redis: of each queue, and of all."""
    queues = {"default": 1, "low": 1}
    async with at_work(any_redis.url, _mux(), queues=queues, unknown_delay=60) as (client, server):
        assert server.measures().processed == 0
        await _all_at_work(client)
        await settled(any_redis.client, done=4, revoked=1, retry=1, archived=1, scheduled=1)
        await settled(any_redis.client, "low", completed=1)
        await wait_until(lambda: _counts(server.measures()) == _ENDS, "the counts to be right")
        measures = server.measures()
        fine = _of(measures, "fine")
        assert (fine.run.count, fine.wait.count) == (4, 4)
        assert (measures.processed, measures.failed, measures.concurrency) == (8, 2, 10)
        assert (measures.busy, measures.held, measures.settle_backlog) == (0, 0, 0)
        assert _of(measures, OTHER).run.count == 0
    async with Inspector(any_redis.url) as inspector:
        assert await _written(inspector) == {
            "done": 5,
            "retried": 1,
            "archived": 1,
            "revoked": 1,
            "put_back": 1,
        }
        assert await _written(inspector, "low") == {"done": 1}
        assert await _written(inspector, type="hopeless") == {"archived": 1}
        points = await inspector.measures.history("default", since=7200)
        assert sum(one.processed for one in points) == 7
        assert sum(one.failed for one in points) == 2
        assert total(one.run for one in points).count == 7
        by_type = {one.type: one.processed for one in await inspector.measures.types()}
        assert by_type == {"fine": 5, "fails": 1, "hopeless": 1, "revoked": 1, OTHER: 0}
        assert [one.type for one in await inspector.measures.types("low", since=86400)] == ["fine"]
        assert (await inspector.audit()).is_clean


async def _written(inspector: Inspector, queue: str | None = None, **more: str) -> dict[str, int]:
    """What the last hours came to, as it stands in Redis."""
    found: dict[str, int] = {}
    for point in await inspector.measures.history(queue, since=7200, **more):
        for outcome, count in point.outcomes.items():
            found[outcome] = found.get(outcome, 0) + count
    return {outcome: count for outcome, count in found.items() if count}


@pytest.mark.alone
async def test_times_are_what_they_were(redis_url: str) -> None:
    """How long a task waited for its turn, and how long its handler ran."""
    async with Client(redis_url) as client:
        for _ in range(2):
            await client.enqueue(Task("fine", 0.2))
        async with Server(redis_url, concurrency=1).running(_mux()) as server:
            await wait_until(lambda: server.measures().processed == 2, "both to be done")
            fine = _of(server.measures(), "fine")
    assert (fine.run.count, fine.wait.count) == (2, 2)
    assert fine.run.seconds >= 0.4
    assert fine.run.percentile(100) >= 0.2
    assert fine.wait.seconds >= 0.2
    assert fine.lateness.count == 0


@pytest.mark.alone
async def test_a_delayed_task_is_late_from_its_time_on(redis_url: str) -> None:
    """And one that is not delayed is not late."""
    async with at_work(redis_url, _mux()) as (client, server):
        await client.enqueue(Task("fine"), process_in=1.1)
        await client.enqueue(Task("fine"))
        await wait_until(lambda: server.measures().processed == 2, "both to be done")
        fine = _of(server.measures(), "fine")
    assert (fine.wait.count, fine.lateness.count) == (2, 1)
    assert 0 <= fine.lateness.seconds < 1.1
    async with Inspector(redis_url) as inspector:
        points = await inspector.measures.history("default", since=7200)
    assert total(one.lateness for one in points).count == 1


@pytest.mark.alone
async def test_a_retry_waits_from_its_time_on(redis_url: str) -> None:
    """And not since it was enqueued; it is late by as much."""
    mux = Mux()

    @mux.handle("twice")
    async def twice(task: Task) -> None:
        if not failed:
            failed.append(1)
            raise OSError("no")

    failed: list[int] = []
    async with at_work(redis_url, mux, retry=lambda retried, error, task: 1.0) as (client, server):
        await client.enqueue(Task("twice"))
        await wait_until(lambda: server.measures().processed == 2, "the second attempt")
        found = _of(server.measures(), "twice")
    assert found.outcomes["retried"] == found.done == 1
    assert (found.wait.count, found.lateness.count, found.redelivered) == (2, 1, 0)
    assert found.wait.seconds < 1.0


async def test_what_a_dead_server_had_counts_as_recovered(any_redis: AnyRedis) -> None:
    """And as handed out again; how long it waited was counted before."""
    async with Connection(any_redis.url) as connection, Client(connection) as client:
        info = await client.enqueue(Task("fine"))
        keys = connection.wire.keys.queue("default")
    for command in (
        ("LREM", keys.pending, 0, info.id),
        ("ZADD", keys.lease, 1, info.id),
        (
            "HSET",
            keys.task(info.id),
            "state",
            "active",
            "delivery",
            "dead:1",
            "deliveries",
            1,
            "delivered_at",
            1e9,
        ),
    ):
        any_redis.client.execute_command(*command)
    async with at_work(any_redis.url, _mux(), lease=1.0) as (client, server):
        await wait_until(lambda: server.measures().processed == 1, "it to be taken back and done")
        # It is counted in the thread of the leases, which may be told last what it has done.
        await wait_until(lambda: any(one.recovered for one in server.measures().queues), "the count")
        measures = server.measures()
    (queue,) = measures.queues
    assert (queue.recovered, queue.given_up, queue.lost) == (1, 0, 0)
    fine = _of(measures, "fine")
    assert (fine.redelivered, fine.wait.count, fine.run.count) == (1, 0, 1)
    async with Inspector(any_redis.url) as inspector:
        points = await inspector.measures.history("default")
    assert (sum(one.recovered for one in points), sum(one.redelivered for one in points)) == (1, 1)


async def test_an_outcome_that_comes_too_late_is_not_counted_as_one(
    redis_url: str, redis_client: Redis
) -> None:
    """Somebody else has the task, and counts it."""
    go_on = asyncio.Event()
    mux = Mux()

    @mux.handle("slow")
    async def slow(task: Task) -> None:
        await go_on.wait()

    async with at_work(redis_url, mux) as (client, server):
        info = await client.enqueue(Task("slow"))
        await wait_until(lambda: server.measures().busy == 1, "it to run")
        redis_client.hset(f"asyncq:{{default}}:t:{info.id}", "delivery", "other:1")
        go_on.set()
        await wait_until(lambda: server.measures().queues[0].refused == 1, "it to be refused")
        measures = server.measures()
        redis_client.delete(f"asyncq:{{default}}:t:{info.id}")
        redis_client.zrem("asyncq:{default}:lease", info.id)
    assert measures.processed == 0
    assert _of(measures, "slow").run.count == 1


async def test_a_server_that_leaves_gives_back_and_says_so(redis_url: str) -> None:
    """Once for each task, in the numbers that it leaves behind."""
    running = asyncio.Event()
    mux = Mux()

    @mux.handle("slow")
    async def slow(task: Task) -> None:
        running.set()
        await asyncio.Event().wait()

    async with at_work(redis_url, mux) as (client, server):
        await client.enqueue(Task("slow"))
        await running.wait()
        await server.shutdown(now=True)
        with pytest.raises(ClosedError):
            server.measures()
    async with Inspector(redis_url) as inspector:
        assert await _written(inspector) == {"given_back": 1}


async def test_a_blocked_loop_is_counted(redis_url: str) -> None:
    """As often as it was, and for how long."""
    mux = Mux()

    @mux.handle("blocks")
    async def blocks(task: Task) -> None:
        until = time.monotonic() + 2.6
        while time.monotonic() < until:
            pass

    async with at_work(redis_url, mux) as (client, server):
        await client.enqueue(Task("blocks"))
        await wait_until(lambda: server.measures().stalled_seconds, "the stall to be over")
        measures = server.measures()
    assert measures.stalls >= 1
    assert measures.stalled_seconds >= 1.0


async def test_a_server_that_is_not_there_has_no_numbers(redis_url: str) -> None:
    """It says so."""
    with pytest.raises(NotStartedError):
        Server(redis_url).measures()


async def test_without_history_redis_is_left_alone(redis_url: str, redis_client: Redis) -> None:
    """The server counts for itself."""
    async with at_work(redis_url, _mux(), history=False, measured_types=0) as (client, server):
        await client.enqueue(Task("fine"))
        await wait_until(lambda: server.measures().processed == 1, "it to be done")
        assert {one.type for one in server.measures().types} == {OTHER}
    assert not [key for key in redis_client.scan_iter() if b"minutes" in key or b"measures" in key]


# -- the backlog ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("any_redis", TOPOLOGIES, indirect=True)
async def test_somebody_looks_how_much_there_is_to_do(any_redis: AnyRedis) -> None:
    """At each queue once a minute, however many servers there are; together they are what there is."""
    queues = {"default": 1, "low": 1}
    async with Client(any_redis.url) as client:
        for queue, number in (("default", 3), ("low", 2)):
            for _ in range(number):
                await client.enqueue(Task("fine"), queue=queue)
            await client.enqueue(Task("fine"), queue=queue, process_in=3600)
    async with Inspector(any_redis.url) as inspector:
        for queue in queues:
            await inspector.queues.pause(queue)
        async with (
            Server(any_redis.url, queues=queues).running(_mux()),
            Server(any_redis.url, queues=queues).running(_mux()),
        ):

            async def seen() -> bool:
                return any(one.pending for one in await inspector.measures.history())

            await wait_until(seen, "somebody to look")
        points = [one for one in await inspector.measures.history() if one.pending]
        assert {(one.pending, one.delayed, one.active) for one in points} == {(5.0, 2.0, 0.0)}
        assert all(0 < one.oldest < 600 for one in points)
        low = [one for one in await inspector.measures.history("low") if one.pending]
        assert {(one.pending, one.delayed) for one in low} == {(2.0, 1.0)}


# -- looking ----------------------------------------------------------------------------------------------


async def test_what_is_not_there_is_named(redis_url: str) -> None:
    """A queue, and times that are not kept."""
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        await client.enqueue(Task("fine"))
        with pytest.raises(QueueNotFoundError, match="default"):
            await inspector.measures.history("defualt")
        with pytest.raises(QueueNotFoundError):
            await inspector.measures.types("nobody")
        with pytest.raises(ConfigError, match="since"):
            await inspector.measures.history(since=timedelta(days=30))
        with pytest.raises(ConfigError, match="step"):
            await inspector.measures.history(since=timedelta(days=1), step=60)
        points = await inspector.measures.history("default", since=600)
        assert len(points) == 10
        assert not any(one.processed or one.pending for one in points)
        assert await inspector.measures.types() == []


async def test_numbers_that_nobody_can_read_are_none(redis_url: str, redis_client: Redis) -> None:
    """Somebody wrote into our keys by hand."""
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        await client.enqueue(Task("fine"))
        redis_client.hset(
            "asyncq:{default}:minutes",
            mapping={
                str(number): [b"\xc1", b"", b"text", b"\x92\x01\x01"][number % 4] for number in range(180)
            },
        )
        assert not any(one.processed for one in await inspector.measures.history("default"))


async def test_a_removed_queue_takes_its_numbers_along(any_redis: AnyRedis) -> None:
    """Those of all together stay: it happened."""
    async with at_work(any_redis.url, _mux()) as (client, server):
        await client.enqueue(Task("fine"))
        await wait_until(lambda: server.measures().processed == 1, "it to be done")
    base = Keys().queue("default")
    prefix = "asynq:" if any_redis.client.exists("asynq:{default}:minutes") else "asyncq:"
    keys = [key.replace("asyncq:", prefix, 1) for key in (base.minutes, base.hours)]
    assert all(any_redis.client.exists(key) for key in keys)
    async with Inspector(any_redis.url) as inspector:
        await inspector.queues.remove("default")
        assert not any(any_redis.client.exists(key) for key in keys)
        assert await _written(inspector) == {"done": 1}


async def test_who_may_see_some_queues_sees_no_numbers_of_others(redis_url: str) -> None:
    """Nor what types of tasks they have."""
    async with at_work(redis_url, _mux(), queues={"default": 1, "low": 1, "secret": 1}) as (client, server):
        for queue in ("default", "low", "secret", "secret"):
            await client.enqueue(Task("revoked" if queue == "secret" else "fine"), queue=queue)
        await wait_until(lambda: server.measures().processed == 4, "them to be done")
    async with Inspector(redis_url, rights=Rights.viewer(queues=["default", "low"])) as inspector:
        assert await _written(inspector) == {"done": 2}
        assert [one.type for one in await inspector.measures.types()] == ["fine"]
        with pytest.raises(NotAllowedError):
            await inspector.measures.history("secret")
        blind = inspector.acting_as("nobody", rights=Rights.of("trail"))
        with pytest.raises(NotAllowedError):
            await blind.measures.types()

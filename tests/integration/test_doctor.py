"""The auditor against damage done by hand, and against a system at work.

Each kind of damage is arranged in a real server, found, repaired, and gone. What a repair must
keep (every task that has a message) and where it must put it is compared with the key space.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis import Redis

from asyncq import Client, Connection, Mux, RetryIn, Server, Task
from asyncq._broker import judgement
from asyncq._broker.audit import Audit, audit
from asyncq._broker.basis import Basis
from asyncq._broker.findings import Kind, Progress
from asyncq._broker.repair import repair
from asyncq._wire.keys import Keys
from tests.conftest import AnyRedis
from tests.support.damages import DAMAGES, KEYS, OTHER, OWNED, QUEUE, THIRD, VICTIM, Damage, Scene, orphan


@asynccontextmanager
async def basis_for(url: str) -> AsyncIterator[Basis]:
    """The way to Redis, as the doctor has it."""
    async with Connection(url) as connection:
        yield Basis(connection.router(), connection.wire, "doctor", 5.0)


async def _arrange(redis: AnyRedis) -> Scene:
    async with Client(redis.url) as client:
        for task_id in (OTHER, VICTIM, THIRD):
            await client.enqueue(Task("order:close", {"id": task_id}, queue=QUEUE, task_id=task_id))
    return Scene(redis.client)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
async def test_damage_is_found_and_repaired(any_redis: AnyRedis, damage: Damage) -> None:
    """The heart of it: found by its name, put right by the written rule, and clean afterwards."""
    scene = await _arrange(any_redis)
    damage.cause(scene)
    async with basis_for(any_redis.url) as basis:
        before = await audit(basis)
        assert {finding.kind for finding in before.findings} == damage.kinds, str(before)
        assert all(finding.queue == QUEUE for finding in before.findings)
        after = await repair(basis, before)
        assert after.findings == [], str(after)
    assert scene.places() == damage.after
    flow = {name.decode(): int(value) for name, value in any_redis.client.hgetall(KEYS.flow).items()}
    assert {name: value for name, value in flow.items() if name != "created"} == damage.flow
    for untouched in (OTHER, THIRD):
        assert any_redis.client.lrange(KEYS.pending, 0, -1).count(untouched.encode()) == 1
        assert any_redis.client.hexists(KEYS.task(untouched), "msg")


async def test_a_repaired_task_runs(any_redis: AnyRedis) -> None:
    """What was lost to every server is found by one, without being told to look."""
    scene = await _arrange(any_redis)
    orphan("active", **OWNED)(scene)
    ran: asyncio.Queue[str] = asyncio.Queue()
    mux = Mux()

    @mux.handle("order:close")
    async def close(task: Task) -> None:
        await ran.put(task.payload["id"])

    async with Server(any_redis.url, queues={QUEUE: 1}).running(mux):
        first = {await ran.get(), await ran.get()}
        assert first == {OTHER, THIRD}
        async with basis_for(any_redis.url) as basis:
            await repair(basis, await audit(basis))
            assert await asyncio.wait_for(ran.get(), 20.0) == VICTIM


async def test_all_damage_at_once(any_redis: AnyRedis) -> None:
    """Findings must not hide each other, and the counters are judged in spite of the rest."""
    async with Client(any_redis.url) as client:
        async for outcome in client.enqueue_many(
            Task("order:close", {}, queue=QUEUE, task_id=f"t{number}") for number in range(3000)
        ):
            assert outcome.is_enqueued
    redis: Any = any_redis.client
    for number in range(0, 600, 6):
        redis.lrem(KEYS.pending, 0, f"t{number}")
        redis.delete(KEYS.task(f"t{number + 1}"))
        redis.lpush(KEYS.pending, f"t{number + 2}")
        redis.zadd(KEYS.archived, {f"t{number + 3}": 1})
        redis.hset(KEYS.task(f"t{number + 4}"), "state", "retry")
    redis.hincrby(KEYS.flow, "created", 7)
    async with basis_for(any_redis.url) as basis:
        before = await audit(basis)
        found = [finding.kind for finding in before.findings]
        kinds = (Kind.ORPHAN, Kind.GHOST, Kind.DUPLICATE, Kind.TWICE, Kind.WRONG_STATE)
        assert {kind: found.count(kind) for kind in kinds} == dict.fromkeys(kinds, 100)
        assert found.count(Kind.COUNTERS) == 1
        after = await repair(basis, before)
    assert after.findings == [], str(after)
    assert after.counts[QUEUE]["pending"] == 2900
    assert after.flow[QUEUE] == {"created": 3007, "vanished": 100, "corrected": -7}


async def test_a_pending_list_that_is_gone(any_redis: AnyRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are not searched for one by one; and a repair that comes twice makes no task run twice."""
    monkeypatch.setattr(judgement, "WORTH_SEARCHING", 0)
    async with Client(any_redis.url) as client, basis_for(any_redis.url) as basis:
        async for outcome in client.enqueue_many(Task("a", {}, queue=QUEUE) for _ in range(500)):
            assert outcome.is_enqueued
        any_redis.client.delete(KEYS.pending)
        before = await audit(basis)
        assert [finding.kind for finding in before.findings] == [Kind.ORPHAN] * 500
        for _ in range(2):
            assert (await repair(basis, before)).findings == []
    ids = any_redis.client.lrange(KEYS.pending, 0, -1)
    assert len(ids) == len(set(ids)) == 500


async def test_no_false_alarm_under_load(any_redis: AnyRedis) -> None:
    """An auditor that cries wolf on a busy system is switched off, and misses the day it is right."""
    mux = Mux()
    seen: set[int] = set()

    @mux.handle("work")
    async def work(task: Task) -> None:
        number = task.payload["number"]
        if number % 5 == 0 and number not in seen:
            seen.add(number)
            raise RetryIn(0.01)

    async def feed(client: Client) -> None:
        options: list[Any] = [
            {},
            {"process_in": 0.02},
            {"unique": 60.0},
            {"retention": 0.05},
            {"queue": "low"},
        ]
        for start in range(0, 4000, 500):
            tasks = [
                Task("work", {"number": number}, **{"queue": QUEUE, **options[number % 7 % 5]})
                for number in range(start, start + 500)
            ]
            async for outcome in client.enqueue_many(tasks):
                assert outcome.is_enqueued

    async with (
        Server(any_redis.url, concurrency=20, queues={QUEUE: 2, "low": 1}).running(mux),
        Client(any_redis.url) as client,
        basis_for(any_redis.url) as basis,
    ):
        feeding = asyncio.ensure_future(feed(client))
        audits, moving = 0, 0
        while not feeding.done() or audits < 3:
            report = await audit(basis)
            assert report.is_clean, str(report)
            audits += 1
            moving += any(counts.get("active") for counts in report.counts.values())
        await feeding
    assert moving, "no audit saw a task at work"


async def test_pages_of_a_list_that_moves_are_put_together(any_redis: AnyRedis) -> None:
    """Tasks that are pushed while the list is read shift it, and are neither missed nor counted twice."""
    async with Client(any_redis.url) as client, basis_for(any_redis.url) as basis:

        async def enqueue(number: int) -> None:
            tasks = (Task("order:close", {}, queue=QUEUE) for _ in range(number))
            async for outcome in client.enqueue_many(tasks):
                assert outcome.is_enqueued

        await enqueue(5000)
        feeding = asyncio.ensure_future(enqueue(5000))
        while not feeding.done():
            report = await audit(basis)
            assert report.findings == [], str(report)
        await feeding
        report = await audit(basis)
    assert report.findings == []
    assert report.counts[QUEUE]["pending"] == 10_000


async def test_locks_of_living_owners_are_left_alone(any_redis: AnyRedis) -> None:
    """A lock is what keeps a second task out; removing a good one would let it in."""
    async with Client(any_redis.url) as client, basis_for(any_redis.url) as basis:
        info = await client.enqueue(Task("order:close", {"id": 1}, queue=QUEUE), unique=60)
        locks = list(any_redis.client.scan_iter(match="asyncq:*unique:*"))
        assert (await audit(basis)).findings == []
        any_redis.client.hdel(KEYS.task(info.id), "unique")
        before = await audit(basis)
        assert [finding.kind for finding in before.findings] == [Kind.UNNAMED_LOCK]
        assert (await repair(basis, before)).findings == []
    assert any_redis.client.hget(KEYS.task(info.id), "unique") is not None
    assert list(any_redis.client.scan_iter(match="asyncq:*unique:*")) == locks


async def test_what_cannot_be_read_is_said_and_left(any_redis: AnyRedis) -> None:
    """It may have been written by a newer asyncq: the servers decide, and archive it with the reason."""
    scene = await _arrange(any_redis)
    any_redis.client.hset(scene.task, "msg", b"\xc1 no envelope")
    async with basis_for(any_redis.url) as basis:
        report = await audit(basis)
        assert [finding.kind for finding in report.findings] == [Kind.UNREADABLE]
        assert report.is_clean
        scene.put("archived")
        assert (await audit(basis)).findings == []


async def test_large_messages_are_read_too(any_redis: AnyRedis) -> None:
    """They do not fit into the usual answer and are fetched one by one."""
    scene = await _arrange(any_redis)
    async with Client(any_redis.url) as client, basis_for(any_redis.url) as basis:
        await client.enqueue(Task("big", b"x" * 200_000, queue=QUEUE))
        assert (await audit(basis)).findings == []
        any_redis.client.hset(scene.task, "msg", b"\xc1" * 200_000)
        assert [finding.key for finding in (await audit(basis)).findings] == [VICTIM]


async def test_a_key_of_the_wrong_type_stops_nothing_else(any_redis: AnyRedis) -> None:
    """One queue somebody scribbled over must not hide the others; nothing of it is deleted."""
    scene = await _arrange(any_redis)
    async with Client(any_redis.url) as client, basis_for(any_redis.url) as basis:
        await client.enqueue(Task("a", {}, queue="low", task_id="x"))
        any_redis.client.delete(KEYS.task(VICTIM))
        any_redis.client.set(KEYS.task(VICTIM), "scribble")
        any_redis.client.set(Keys().queue("low").retry, "scribble")
        before = await audit(basis)
        found = {(finding.queue, finding.kind) for finding in before.findings}
        assert found == {(QUEUE, Kind.WRONG_TYPE), ("low", Kind.WRONG_TYPE)}, str(before)
        after = await repair(basis, before)
        assert not after.is_clean
    assert scene.redis.get(KEYS.task(VICTIM)) == b"scribble"


async def test_leases_that_ran_out_are_a_notice(any_redis: AnyRedis) -> None:
    """Recovery belongs to the servers; that none does it is worth knowing."""
    scene = await _arrange(any_redis)
    scene.put("active", time.time() - 60)
    any_redis.client.hset(scene.task, mapping=OWNED)
    async with basis_for(any_redis.url) as basis:
        report = await audit(basis)
    assert [finding.kind for finding in report.findings] == [Kind.EXPIRED_LEASE]
    assert report.is_clean


async def test_one_queue_and_its_progress(any_redis: AnyRedis) -> None:
    """A queue is looked at alone, also one whose name means something in a pattern."""
    steps: list[Progress] = []
    async with Client(any_redis.url) as client, basis_for(any_redis.url) as basis:
        await client.enqueue(Task("a", {}, queue="a*b"))
        await client.enqueue(Task("a", {}, queue="axb"))
        report = await audit(basis, queues=["a*b"], on_progress=steps.append)
    assert list(report.counts) == ["a*b"]
    assert report.examined == 1
    assert {"keys", "a*b: pending"} <= {step.step for step in steps}


async def test_a_queue_that_was_removed_meanwhile_is_not_missed(redis_url: str, redis_client: Redis) -> None:
    """It is not in the set of queues, and has nothing to do there."""
    async with Client(redis_url) as client, basis_for(redis_url) as basis:
        await client.enqueue(Task("a", {}, queue="q"))
        report = await audit(basis, on_progress=lambda _: redis_client.flushall())
    assert not report.findings, str(report)
    assert report.examined == 1


async def test_a_queue_that_is_removed_and_comes_back_is_not_missed(
    redis_url: str, redis_client: Redis
) -> None:
    """Again and again: the auditor looks when it is not there, and it is there when it looks again."""
    async with Client(redis_url) as client, basis_for(redis_url) as basis:
        await client.enqueue(Task("a", {}, queue="q"))
        one = Audit(basis, None, lambda _: None)
        looks, listed = 0, one._listed  # noqa: SLF001 - no test can be there at the right moment

        async def list_and_come_back() -> set[str] | None:
            nonlocal looks
            looks += 1
            if looks == 2:
                redis_client.flushall()
            found = await listed()
            if looks > 5:
                await client.enqueue(Task("a", {}, queue="q"))
            return found

        one._listed = list_and_come_back  # type: ignore[method-assign]  # noqa: SLF001 - as above
        report = await one.run()
    assert not report.findings, str(report)


async def test_a_client_that_closes_at_once_leaves_its_queue_listed(any_redis: AnyRedis) -> None:
    """In a cluster the name goes to another node than the task, and used to be cut off by the closing."""
    names = [f"queue-{number}" for number in range(12)]
    for name in names:
        async with Client(any_redis.url) as client:
            await client.enqueue(Task("a", {}, queue=name))
    listed: Any = any_redis.client.smembers("asyncq:queues")
    assert listed == {name.encode() for name in names}

"""Redis has no memory left: nothing new comes in, and what is there is finished."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from asyncq import Client, Task
from asyncq.errors import BrokerUnavailableError
from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.ledger import Ledger
from tests.support.remains import assert_drained, assert_sound
from tests.support.servers import RedisOptions, RedisProcess, system_binary
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

LEASE = 1.0
BASE = "asyncq:{default}:"


# Two generations of the rule which commands a script may still use: 6.2 and 7 differ from later ones.
@pytest.fixture(params=["embedded", pytest.param("system", marks=pytest.mark.system_redis)])
def redis(request: pytest.FixtureRequest) -> Iterator[RedisProcess]:
    """A server of the test's own, of both kinds that there may be here."""
    binary: Path | None = None
    if request.param == "system":
        request.getfixturevalue("system_redis")  # skips, or fails in CI, where there is none
        binary = system_binary()
    with RedisProcess(RedisOptions(binary=binary)) as process:
        yield process


def _fill(raw: Redis) -> None:
    """Let the memory in use be all there may be."""
    raw.config_set("maxmemory-policy", "noeviction")
    raw.config_set("maxmemory", "1mb")  # less than an empty server needs


def _make_room(raw: Redis) -> None:
    raw.config_set("maxmemory", 0)


async def test_a_full_redis_refuses_what_is_new_as_a_whole(redis: RedisProcess) -> None:
    """Half a batch, or a task hash in no list, would be worse than the refusal."""
    async with Client(redis.url, patience=0.5) as client:
        with redis.client() as raw:
            await client.enqueue(Task("work", {}), process_in=60)
            _fill(raw)
            before = _names(raw)
            for options in ({}, {"unique": 60}, {"process_in": 60}, {"group": "g"}, {"task_id": "chosen"}):
                with pytest.raises(BrokerUnavailableError, match="maxmemory"):
                    await client.enqueue(Task("work", {}), **options)
            tasks = [Task("work", {"number": number}) for number in range(1200)]
            outcomes = [outcome async for outcome in client.enqueue_many(tasks)]
            assert not any(outcome.is_enqueued for outcome in outcomes)
            assert _names(raw) == before
            _make_room(raw)
            # And every one of them may be tried again.
            for options in ({}, {"unique": 60}, {"process_in": 60}, {"group": "g"}, {"task_id": "chosen"}):
                await client.enqueue(Task("work", {}), **options)
    await assert_sound(redis)


async def test_an_enqueue_waits_for_room_as_long_as_it_may(redis: RedisProcess) -> None:
    """Servers make room by working; a client with patience does not notice."""
    async with Client(redis.url, patience=20) as client:
        with redis.client() as raw:
            await client.enqueue(Task("work", {}), task_id="first")
            _fill(raw)
            waiting = [asyncio.create_task(client.enqueue(Task("work", {}))) for _ in range(20)]
            refused = int(raw.info("stats")["total_error_replies"])
            await wait_until(
                lambda: int(raw.info("stats")["total_error_replies"]) > refused + 2,
                "some tries to be refused",
            )
            assert not any(task.done() for task in waiting)
            _make_room(raw)
            assert len({(await task).id for task in waiting}) == 20
            assert raw.llen(f"{BASE}pending") == 21
    await assert_sound(redis)


async def test_what_runs_in_a_full_redis_is_finished(redis: RedisProcess, ledger: Ledger, gate: Gate) -> None:
    """If outcomes were refused too, a full Redis could never become empty again."""
    with Fleet(redis.url, ledger, lease=LEASE, concurrency=5) as fleet, redis.client() as raw:
        server = fleet.start()
        async with Client(redis.url) as client:
            until = {"until": gate.path}
            done = await client.enqueue(Task("work", until))
            completed = await client.enqueue(Task("work", until), retention=60)
            unique = await client.enqueue(Task("work", {**until, "unique": 1}), unique=60)
            retried = await client.enqueue(Task("work", {**until, "fails": 1}))
            archived = await client.enqueue(Task("work", {**until, "fails": 1}), max_retry=0)
            waiting = await client.enqueue(Task("work", {}))
            await wait_until(lambda: ledger.running(server.pid) == 5, "the tasks to run")
            _fill(raw)
            # For three leases they are kept, although nothing may grow.
            lease_ends = _earliest_end(raw)
            await wait_until(lambda: _earliest_end(raw) > lease_ends + 3 * LEASE, "leases to be extended")
            gate.open()
            # The task that waited is even begun, and the failed one retried: both only move.
            finished = {one.id for one in (done, completed, unique, retried, waiting)}
            await wait_until(lambda: ledger.ended() >= finished, "everything else to be done")
            await wait_until(lambda: raw.zcard(f"{BASE}lease") == 0, "the outcomes to be written")
            assert raw.hget(f"{BASE}t:{completed.id}", "state") == b"completed"
            assert raw.hget(f"{BASE}t:{archived.id}", "state") == b"archived"
            assert raw.keys(f"{BASE}unique:*") == []
            _make_room(raw)
            after = await client.enqueue(Task("work", {}))
            await wait_until(lambda: after.id in ledger.ended(), "work to go on")
        assert not ledger.count("log", "lease_lost")
        account = ledger.account({*finished, after.id})
        account.assert_complete()
        await assert_sound(redis)


async def test_tasks_of_a_dead_server_are_recovered_in_a_full_redis(
    redis: RedisProcess, ledger: Ledger, gate: Gate
) -> None:
    """A crash for want of memory often takes servers with it."""
    with Fleet(redis.url, ledger, lease=LEASE, concurrency=3) as fleet, redis.client() as raw:
        doomed = fleet.start()
        async with Client(redis.url) as client:
            ids = [(await client.enqueue(Task("work", {"until": gate.path}))).id for _ in range(3)]
            # Due while there is no memory.
            ids.append((await client.enqueue(Task("work", {}), process_in=1.0)).id)
        await wait_until(lambda: ledger.running(doomed.pid) == 3, "the tasks to run")
        heir = fleet.start()
        _fill(raw)
        fleet.kill(doomed)
        await wait_until(lambda: ledger.running(heir.pid) == 3, "the tasks to run again")
        gate.open()
        await wait_until(lambda: ledger.ended() == set(ids), "every task to be done")
        await assert_drained(redis, "default")
        ledger.account(ids, killed=fleet.killed).assert_complete()


def _names(raw: Redis) -> set[bytes]:
    """Return the keys that belong to tasks."""
    found: list[bytes] = raw.keys(f"{BASE}*")  # type: ignore[assignment]
    return {key for key in found if b":receipt:" not in key}


def _earliest_end(raw: Redis) -> float:
    scores: list[tuple[bytes, float]] = raw.zrange(f"{BASE}lease", 0, -1, withscores=True)  # type: ignore[assignment]
    return min(score for _, score in scores)

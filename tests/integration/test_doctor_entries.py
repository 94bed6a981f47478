"""The auditor and the stored entries of schedulers: damage by hand is found, and what is safe repaired."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack
import pytest

from asyncq import Client, Scheduler, Task
from asyncq._broker import entry_audit
from asyncq._broker.audit import audit
from asyncq._broker.findings import Kind
from asyncq._broker.repair import repair
from asyncq._wire.keys import Keys
from tests.conftest import AnyRedis
from tests.integration.following import ids
from tests.integration.test_doctor import basis_for
from tests.support.waiting import wait_until

E = Keys().entries
Q = Keys().queue("q")
LONG_AGO = 1_700_000_000


@dataclass(frozen=True)
class Harm:
    """What can be wrong, and how it comes about."""

    name: str
    kind: Kind
    cause: Callable[[Any], Any]
    is_repaired: bool = True


def _record(redis: Any, **fields: Any) -> None:
    """Change a record by hand."""
    record = msgpack.unpackb(redis.hget(E.entries, "a"), raw=True)
    for place, value in fields.items():
        record[int(place.removeprefix("at_"))] = value
    redis.hset(E.entries, "a", msgpack.packb(record, use_bin_type=False))


def _unfenced(redis: Any) -> None:
    _record(redis, at_1=LONG_AGO * 10**6, at_15=b"q}other")
    redis.zadd(E.changes, {"a": LONG_AGO * 10**6})
    total = sum(int(score) for _, score in redis.zrange(E.changes, 0, -1, withscores=True))
    redis.hset(E.state, "sum", total % 2**50)


def _lost(redis: Any) -> None:
    version = int(redis.zscore(E.changes, "a"))
    redis.hdel(E.entries, "a")
    redis.hincrby(E.state, "sum", -version)


HARMS = [
    Harm(
        "cannot be read", Kind.UNREADABLE_ENTRY, lambda r: r.hset(E.entries, "a", b"\xc1"), is_repaired=False
    ),
    Harm("says nothing", Kind.UNREADABLE_ENTRY, lambda r: _record(r, at_6=b"\xc1"), is_repaired=False),
    Harm("not in the index", Kind.ENTRY_INDEX, lambda r: r.zrem(E.changes, "a")),
    Harm("another version", Kind.ENTRY_INDEX, lambda r: r.zincrby(E.changes, 1000, "a")),
    Harm("only in the index", Kind.ENTRY_INDEX, _lost),
    Harm("removed and there", Kind.ENTRY_INDEX, lambda r: r.zadd(E.removed, {"a": time.time()})),
    Harm("removed and unknown", Kind.ENTRY_INDEX, lambda r: r.zadd(E.removed, {"never": time.time()})),
    Harm("a wrong sum", Kind.ENTRY_INDEX, lambda r: r.hincrby(E.state, "sum", 5)),
    Harm("a change not said", Kind.UNFENCED, _unfenced),
    Harm("an end not said", Kind.UNFENCED, lambda r: r.hset(E.state, "left:x", f"{LONG_AGO}000000 q}}r")),
    Harm("times for ever", Kind.LASTING, lambda r: r.hset(Q.tick("a"), "at", "5.000000")),
    Harm("a fence for ever", Kind.LASTING, lambda r: r.set(Q.fence("a"), "5")),
    Harm("a fence of nothing", Kind.LASTING, lambda r: r.set(Q.fence("gone"), "5")),
    Harm("a time of nothing", Kind.STUCK_TIME, lambda r: _wait(r, "gone")),
    Harm("a time while paused", Kind.STUCK_TIME, lambda r: _wait(r, "paused")),
    Harm("a time elsewhere", Kind.STUCK_TIME, lambda r: _wait(r, "elsewhere")),
    Harm("nobody there", Kind.UNATTENDED, lambda r: _wait(r, "a"), is_repaired=False),
    Harm("a list of times", Kind.WRONG_TYPE, lambda r: r.rpush(Q.tick("a"), "x"), is_repaired=False),
]


def _wait(redis: Any, entry_id: str) -> None:
    redis.hset(Q.tick(entry_id), mapping={"at": "9.000000", "run": "gone", "queued": "9.000000"})
    redis.expire(Q.tick(entry_id), 60)


@pytest.mark.parametrize("any_redis", ["single", "cluster"], indirect=True)
async def test_what_is_wrong_with_entries_is_found_and_repaired(any_redis: AnyRedis) -> None:
    """Each by its name; then all is clean, and schedulers run what is there."""
    redis = any_redis.client
    for harm in HARMS:
        redis.flushall()
        async with Client(any_redis.url) as client, basis_for(any_redis.url) as basis:
            for name, queue in (("a", "q"), ("paused", "q"), ("elsewhere", "r")):
                await client.schedules.add("@daily", Task(name), entry_id=name, queue=queue)
            await client.schedules.pause("paused")
            assert (await audit(basis)).findings == []
            harm.cause(redis)
            before = await audit(basis)
            assert {finding.kind for finding in before.findings} == {harm.kind}, harm.name
            assert before.is_clean == (harm.kind is Kind.UNATTENDED)
            after = await repair(basis, before)
            assert (after.findings == []) == harm.is_repaired, f"{harm.name}: {after}"
            assert all(not finding.repairable for finding in after.findings)
            assert redis.ttl(Q.fence("paused")) == -1, harm.name


async def test_a_repaired_entry_is_heard_of(redis_url: str, redis_client: Any) -> None:
    """It was stored where nobody looks."""
    async with Client(redis_url) as client, Scheduler(redis_url).running() as scheduler:
        await client.schedules.add("@daily", Task("b"), entry_id="b")
        await client.schedules.add("@daily", Task("a"), entry_id="a")
        redis_client.zrem(E.changes, "a")
        async with basis_for(redis_url) as basis:
            await repair(basis, await audit(basis))
        await wait_until(lambda: ids(scheduler) == ["a", "b"], "both")


async def test_a_time_that_waits_for_nothing_never_runs(redis_url: str, redis_client: Any) -> None:
    """Not when an entry of that id is stored again; the reason is left for its history."""
    _wait(redis_client, "gone")
    async with basis_for(redis_url) as basis:
        await repair(basis, await audit(basis))
    assert redis_client.hkeys(Q.tick("gone")) == [b"at", b"run", b"note:9.000000"]
    async with Client(redis_url) as client, Scheduler(redis_url).running():
        options: Any = {"entry_id": "gone", "queue": "q", "overlap": "queue_one"}
        await client.schedules.add("* * * * * *", Task("t"), **options)
        await wait_until(lambda: redis_client.llen(Q.pending) > 0, "it to be enqueued")
        (task_id,) = redis_client.lrange(Q.pending, 0, -1)
        assert not task_id.endswith(b"-9.000")


async def test_no_false_alarm_while_entries_are_changed(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is half done at the moment of a look is not damage."""
    monkeypatch.setattr(entry_audit, "CHUNK", 2)
    async with (
        Client(redis_url) as client,
        Scheduler(redis_url).running(),
        basis_for(redis_url) as basis,
    ):
        done = asyncio.Event()

        async def churn(name: str) -> None:
            number = 0
            while not done.is_set():
                number += 1
                spec = f"{number % 60} * * * *"
                await client.schedules.upsert(spec, Task(name), entry_id=name, queue=f"q{number % 3}")
                await client.schedules.pause(name)
                if number % 2:
                    await client.schedules.resume(name)
                if number % 5 == 0:
                    await client.schedules.remove(name)

        busy = [asyncio.create_task(churn(name)) for name in "abcdefgh"]
        try:
            for _ in range(15):
                report = await audit(basis)
                assert report.findings == [], str(report)
        finally:
            done.set()
            await asyncio.gather(*busy)
        assert (await audit(basis)).findings == []

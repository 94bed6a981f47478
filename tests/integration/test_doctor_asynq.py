"""The auditor where Go's asynq works on the same data: what Go leaves broken is found and repaired.

The damage is made by the steps that Go's scripts make (tests/support/go_steps.py); tests/interop has some
of it made by Go itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from redis import Redis

from asyncq import Client, Mux, RetryIn, Server, Task
from asyncq._broker.findings import Kind
from asyncq.inspector import Inspector, Report
from tests.conftest import AnyRedis
from tests.support.go_steps import GoSteps
from tests.support.keyspace import snapshot
from tests.support.waiting import wait_until


@asynccontextmanager
async def _inspector(url: str) -> AsyncIterator[Inspector]:
    async with Inspector(url, wire="asynq", patience=5.0) as inspector:
        yield inspector


@pytest.fixture
def go(redis_client: Redis) -> GoSteps:
    """Go's steps in the queue `q`."""
    return GoSteps(redis_client, "q")


def _where(go: GoSteps) -> dict[str, list[str]]:
    """Return the tasks by place, of those that have a hash with a message."""
    space = {k.removeprefix(go.keys.base): v for k, v in snapshot(go.client, as_it_is=True).items()}
    places = ("pending", "active", "lease", "scheduled", "retry", "archived", "completed")
    found = {place: sorted(space[place]) for place in places if place in space}
    return found | {name: sorted(ids) for name, ids in space.items() if name.startswith("g:")}


# --- healthy ---------------------------------------------------------------------


async def test_every_state_that_go_leaves_is_healthy(redis_url: str, go: GoSteps) -> None:
    """A doctor that cries wolf on what Go does all day would be switched off."""
    for name in "abcdefghi":
        go.enqueue(name, max_retry=3, unique=f"work:{name}")
    for _ in "abcdefgh":
        go.dequeue()
    go.done("a", unique="work:a")
    go.complete("b")
    go.retry("c", delay=60)
    go.archive("d")
    go.requeue("e")
    go.retry("f")
    go.forward("retry")
    go.schedule("later", time.time() + 60, unique="work:l")
    go.schedule("later in a group", time.time() + 60, group="g")
    go.add_to_group("j", "g", unique="work:j")
    go.add_to_group("k", "h")
    go.add_to_group("l", "run")
    go.run("l")
    go.run("d")
    go.aggregate("h")
    go.pause()
    async with _inspector(redis_url) as inspector:
        report = await inspector.audit()
        assert report.findings == [], str(report)
        assert report.counts["q"] == {
            "pending": 5, "active": 2, "scheduled": 2, "retry": 1, "archived": 0, "completed": 1,
            "aggregating": 2,
        }  # fmt: skip
        assert report.paused == {"q"}
        assert report.examined == 13


async def test_what_go_servers_and_schedulers_say_of_themselves_is_not_looked_at(
    redis_url: str, go: GoSteps
) -> None:
    """Their keys are Go's, and none of a queue."""
    for key in ("servers", "workers", "schedulers"):
        go.client.zadd(f"asynq:{key}", {f"asynq:{key}:{{h:1:x}}": time.time() + 9})
    go.client.set("asynq:servers:{h:1:x}", b"\x0a\x01h", ex=10)
    go.client.hset("asynq:workers:{h:1:x}", "a", b"\x0a\x01h")
    go.client.lpush("asynq:schedulers:{h:1:x}", b"\x0a\x01e")
    go.client.zadd("asynq:scheduler_history:e", {b"\x0a\x01t": 5})
    async with _inspector(redis_url) as inspector:
        report = await inspector.audit()
    assert (report.findings, report.counts) == ([], {})


async def test_no_false_alarm_while_both_work(redis_url: str, go: GoSteps) -> None:
    """Ours takes, fails, delays and keeps tasks, and those that Go's steps put there."""
    mux, seen = Mux(), set[int]()

    @mux.handle("work")
    async def work(task: Task) -> None:
        number = task.payload.get("number", 1)
        if number % 5 == 0 and number not in seen:
            seen.add(number)
            raise RetryIn(0.02)

    options: list[dict[str, Any]] = [
        {},
        {"process_in": 0.05},
        {"unique": 60.0},
        {"retention": 0.1},
        {"group": "g"},
    ]

    async def feed(client: Client) -> None:
        for number in range(600):
            await client.enqueue(Task("work", {"number": number}, queue="q", **options[number % 5]))

    async def go_works() -> None:
        for number in range(300):
            go.enqueue(f"go-{number}", **({"max_retry": 3} if number % 2 else {}))
            if number % 3 == 0:
                go.schedule(f"go-later-{number}", time.time() - 1)
                go.forward("scheduled")
            await asyncio.sleep(0)

    async with (
        Server(redis_url, wire="asynq", concurrency=10, queues={"q": 1}).running(mux),
        Client(redis_url, wire="asynq") as client,
        _inspector(redis_url) as inspector,
    ):
        working = asyncio.gather(feed(client), go_works())
        audits = 0
        while not working.done() or audits < 3:
            report = await inspector.audit()
            assert report.damage == [], str(report)
            audits += 1
        await working


# --- what Go leaves broken ---------------------------------------------------------


def _ghost(go: GoSteps) -> None:
    go.client.delete(go.keys.task("a"))
    assert go.dequeue() is None


def _ghost_without_hash(go: GoSteps) -> None:
    _ghost(go)
    go.client.delete(go.keys.task("a"))


def _ghost_in_the_list(go: GoSteps) -> None:
    _ghost(go)
    go.client.delete(go.keys.lease)


def _no_lease(go: GoSteps) -> None:
    go.dequeue()
    go.client.delete(go.keys.lease)


def _bare_lease(go: GoSteps) -> None:
    go.dequeue()
    go.client.delete(go.keys.active)


def _half_archived(go: GoSteps) -> None:
    go.dequeue()
    go.client.delete(go.keys.lease, go.keys.active)
    go.client.zadd(go.keys.archived, {"a": int(time.time())})


def _trimmed(go: GoSteps) -> None:
    go.dequeue()
    go.archive("a")
    go.client.zrem(go.keys.archived, "a")


def _reclaimed(go: GoSteps) -> None:
    _empty(go)
    go.add_to_group("a", "g")
    go.aggregate("g", ends_in=-1)
    go.reclaim()


def _forwarded_to_group(go: GoSteps) -> None:
    _empty(go)
    go.add_to_group("a", "g")
    go.run("a")
    go.dequeue()
    go.retry("a")
    go.forward("retry")


def _stale_set(go: GoSteps) -> None:
    _empty(go)
    go.add_to_group("a", "g")
    go.aggregate("g", ends_in=-200)


def _lock_of_a_conflict(go: GoSteps) -> None:
    assert go.lock("a", "work:other")


def _locks_of_an_aggregation(go: GoSteps) -> None:
    go.add_to_group("b", "g", unique="work:b")
    go.delete_set(go.aggregate("g"))


def _locks_of_deleted(go: GoSteps) -> None:
    go.enqueue("b", unique="work:b")
    go.client.lrem(go.keys.pending, 0, "b")
    go.client.delete(go.keys.task("b"))


def _result_of_nothing(go: GoSteps) -> None:
    go.client.hset(go.keys.task("deleted"), "result", "late")


def _taken_twice(go: GoSteps) -> None:
    go.dequeue()
    go.client.lpush(go.keys.active, "a")


def _unlisted(go: GoSteps) -> None:
    go.client.srem("asynq:queues", "q")


def _empty(go: GoSteps) -> None:
    go.client.delete(go.keys.pending, go.keys.task("a"))


@dataclass
class Broken:
    """One thing that Go leaves broken, what is found of it, and where the task `a` is afterwards."""

    cause: Callable[[GoSteps], None]
    kinds: set[Kind]
    after: dict[str, list[str]]


ACTIVE = {"active": ["a"], "lease": ["a"]}
PENDING = {"pending": ["a"]}

BROKEN = [
    Broken(_ghost, {Kind.GHOST}, {}),
    Broken(_ghost_without_hash, {Kind.GHOST}, {}),
    Broken(_ghost_in_the_list, {Kind.GHOST}, {}),
    Broken(_no_lease, {Kind.NO_LEASE}, ACTIVE),
    Broken(_bare_lease, {Kind.BARE_LEASE}, ACTIVE),
    Broken(_half_archived, {Kind.WRONG_STATE}, {"archived": ["a"]}),
    Broken(_trimmed, {Kind.ORPHAN}, {"archived": ["a"]}),
    Broken(_reclaimed, {Kind.UNLISTED_GROUP}, {"g:g": ["a"]}),
    Broken(_forwarded_to_group, {Kind.UNLISTED_GROUP}, {"g:g": ["a"]}),
    Broken(_stale_set, {Kind.STALE_SET}, {"g:g": ["a"]}),
    Broken(_lock_of_a_conflict, {Kind.STRAY_LOCK}, PENDING),
    Broken(_locks_of_an_aggregation, {Kind.DEAD_LOCK}, PENDING),
    Broken(_locks_of_deleted, {Kind.DEAD_LOCK}, PENDING),
    Broken(_unlisted, {Kind.UNLISTED_QUEUE}, PENDING),
    Broken(_result_of_nothing, {Kind.HOLLOW}, PENDING),
    Broken(_taken_twice, {Kind.BARE_LEASE}, ACTIVE),
]


@pytest.mark.parametrize(
    "any_redis", ["single", pytest.param("cluster", marks=pytest.mark.cluster)], indirect=True
)
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.cause.__name__.strip("_"))
async def test_what_go_leaves_broken_is_found_and_repaired(any_redis: AnyRedis, broken: Broken) -> None:
    """By its name, and nothing with a message is gone afterwards."""
    go = GoSteps(any_redis.client, "q")
    go.enqueue("a")
    broken.cause(go)
    messages = {key for key in go.client.scan_iter(go.keys.task("*")) if go.client.hexists(key, "msg")}
    async with _inspector(any_redis.url) as inspector:
        before = await inspector.audit()
        assert {finding.kind for finding in before.findings} == broken.kinds, str(before)
        after = await inspector.repair(before)
        assert after.findings == [], str(after)
    assert _where(go) == broken.after
    assert set(go.client.scan_iter(go.keys.task("*"))) == messages
    assert set(go.client.scan_iter(go.keys.unique("*"))) == set()
    if "g:g" in broken.after:
        assert go.client.smembers(go.keys.groups) == {b"g"}
    assert go.client.sismember("asynq:queues", "q")


async def test_a_lock_of_a_living_task_of_a_group_stays(redis_url: str, go: GoSteps) -> None:
    """Its hash does not name it, in whatever state it is; its message does."""
    go.add_to_group("a", "g", unique="work:a")
    go.add_to_group("b", "h", unique="work:b")
    go.run("b")
    async with _inspector(redis_url) as inspector:
        assert (await inspector.audit()).findings == []


async def test_what_a_removed_queue_leaves(redis_url: str, go: GoSteps) -> None:
    """Go forgets what is completed, in groups and locked, the counters and the pause."""
    for name in "abcd":
        go.enqueue(name, unique=f"work:{name}")
    go.dequeue()
    go.complete("a")
    go.add_to_group("g1", "g")
    go.add_to_group("g2", "h")
    go.aggregate("h")
    go.pause()
    go.remove_queue()
    async with _inspector(redis_url) as inspector:
        before = await inspector.audit()
        kinds = [finding.kind for finding in before.findings]
        assert (kinds.count(Kind.DEAD_LOCK), kinds.count(Kind.UNLISTED_QUEUE), len(kinds)) == (3, 1, 4), str(
            before
        )
        assert (await inspector.repair(before)).findings == []
        info = await inspector.queues.get("q")
        assert (info.completed, info.aggregating, info.is_paused, info.processed_total) == (1, 2, True, 1)
        assert await inspector.queues.remove("q", force=True) == 3
        assert (await inspector.audit()).findings == []
    left = [key for key in go.client.scan_iter("asynq:*") if b":receipt:" not in key]
    assert left == []


@pytest.mark.parametrize("left", ["paused", "processed", "failed"])
async def test_a_pause_or_a_counter_alone_is_seen(redis_url: str, go: GoSteps, left: str) -> None:
    """A queue that is paused and in no list would hold up whatever comes, and nobody would see why."""
    go.client.set(go.keys.base + left, 7)
    async with _inspector(redis_url) as inspector:
        before = await inspector.audit()
        assert [finding.kind for finding in before.findings] == [Kind.UNLISTED_QUEUE]
        assert (await inspector.repair(before)).findings == []
        assert [queue.name for queue in await inspector.queues.list()] == ["q"]
        assert go.client.exists(go.keys.base + left)
        assert await inspector.queues.remove("q") == 0
        assert (await inspector.audit()).findings == []
    assert not go.client.exists(go.keys.base + left)


async def test_a_message_that_cannot_be_read_does_not_stop_recovery(redis_url: str, go: GoSteps) -> None:
    """A Go server recovers nothing of any queue as long as it is there."""
    go.enqueue("good")
    go.enqueue("bad")
    for _ in range(2):
        go.dequeue(lease=-200)
    go.client.hset(go.keys.task("bad"), "msg", b"\xff garbage")
    mux, ran = Mux(), asyncio.Event()

    @mux.handle("work")
    async def work(task: Task) -> None:
        ran.set()

    async with _inspector(redis_url) as inspector:
        report = await inspector.audit()
        assert {finding.kind for finding in report.findings} == {Kind.UNREADABLE, Kind.EXPIRED_LEASE}
        assert report.is_clean
        async with Server(redis_url, wire="asynq", queues={"q": 1}).running(mux):
            await asyncio.wait_for(ran.wait(), 10)
            await wait_until(
                lambda: go.client.zscore(go.keys.archived, "bad") is not None, "it to be archived"
            )
        [info] = await inspector.tasks.list("q", "archived")
        assert info.id == "bad"
        assert info.unreadable
        assert info.unreadable in info.last_error
        assert (await inspector.audit()).findings == []


async def test_leases_of_go_that_have_just_ended_are_no_news(redis_url: str, go: GoSteps) -> None:
    """Its servers look once a minute for what ended half a minute ago."""
    go.enqueue("a")
    go.dequeue(lease=-60)
    async with _inspector(redis_url) as inspector:
        assert (await inspector.audit()).findings == []
        go.client.zadd(go.keys.lease, {"a": time.time() - 120})
        assert [finding.kind for finding in (await inspector.audit()).findings] == [Kind.EXPIRED_LEASE]


@pytest.mark.parametrize("key", ["active", "scheduled:moments", "retry:moments"])
async def test_a_place_of_this_wire_of_the_wrong_type(redis_url: str, go: GoSteps, key: str) -> None:
    """Said, and left alone."""
    go.enqueue("a")
    go.client.set(go.keys.base + key, "scribble")
    async with _inspector(redis_url) as inspector:
        report: Report = await inspector.audit()
        assert [(f.kind, f.key) for f in report.findings] == [(Kind.WRONG_TYPE, go.keys.base + key)]
        assert not (await inspector.repair(report)).is_clean
    assert go.client.get(go.keys.base + key) == b"scribble"

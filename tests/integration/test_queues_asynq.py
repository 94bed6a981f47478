"""Queues as a whole where Go's asynq works on them, too: numbers, pausing, and taking all of one away."""

from __future__ import annotations

import time
from typing import Any

import pytest

from asyncq import Client, Task
from asyncq._broker import queues as broker_queues
from asyncq.errors import QueueNotEmptyError, QueueNotFoundError
from asyncq.inspector import Inspector
from tests.conftest import AnyRedis
from tests.support.go_steps import GoSteps


def _all_of_go(redis: AnyRedis) -> GoSteps:
    """A queue with something of all that Go puts anywhere."""
    go = GoSteps(redis.client, "q")
    for name in "abcdefg":
        go.enqueue(name, unique=f"work:{name}", max_retry=3)
    for _ in "abcd":
        go.dequeue()
    go.complete("a")
    go.retry("b", delay=60)
    go.archive("c")
    go.schedule("later", time.time() + 60, unique="work:later")
    go.add_to_group("g1", "g", unique="work:g1")
    go.add_to_group("h1", "h", unique="work:h1")
    go.add_to_group("h2", "h")
    go.aggregate("h")
    return go


def _keys(redis: AnyRedis) -> set[str]:
    """The names of all keys, but for receipts, which expire."""
    found: Any = redis.client.scan_iter("asynq:*")
    return {key.decode() for key in found if b":receipt:" not in key}


async def test_the_numbers_of_a_queue_that_go_made(any_redis: AnyRedis) -> None:
    """Counters are shared, and the time that a task waits is told by Go's own field."""
    go = _all_of_go(any_redis)
    go.client.hset(go.keys.task("e"), "pending_since", time.time_ns() - 9 * 10**9)
    async with Inspector(any_redis.url, wire="asynq") as inspector:
        assert await inspector.queues.names() == ["q"]
        [info] = await inspector.queues.list()
        assert info.sizes == {
            "pending": 3, "active": 1, "scheduled": 1, "retry": 1, "archived": 1, "completed": 1,
            "aggregating": 3,
        }  # fmt: skip
        assert (info.groups, info.orphaned, info.is_paused) == (1, 0, False)
        assert info.latency == pytest.approx(9, abs=3)
        assert (info.processed_total, info.failed_total, info.processed, info.failed) == (3, 2, 3, 2)
        [today, yesterday] = await inspector.queues.history("q", days=2)
        assert (today.processed, today.failed, yesterday.processed) == (3, 2, 0)
        memory = await inspector.queues.memory("q")
        assert memory.sampled == 9  # what is in a set is not looked at
        assert memory.total > sum(memory.states.values()) > 10 * 100
        go.client.hdel(go.keys.task("e"), "pending_since")
        assert (await inspector.queues.get("q")).latency == 0, "Go does not say since when"


async def test_counters_go_on_from_go(any_redis: AnyRedis) -> None:
    """It is one queue, whoever works on it."""
    go = GoSteps(any_redis.client, "q")
    for name in "ab":
        go.enqueue(name)
        go.dequeue()
        go.done(name)
    async with (
        Client(any_redis.url, wire="asynq") as client,
        Inspector(any_redis.url, wire="asynq") as inspector,
    ):
        await client.enqueue(Task("work", {}, queue="q"))
        info = await inspector.queues.get("q")
        assert (info.processed_total, info.size) == (2, 1)


async def test_groups_beyond_counting_are_estimated(
    any_redis: AnyRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go keeps no account from which they could be told."""
    monkeypatch.setattr(broker_queues, "MOST_GROUPS", 3)
    go = GoSteps(any_redis.client, "q")
    for number in range(12):
        go.add_to_group(f"t{number}", f"g{number // 3}")
    go.aggregate("g0")
    async with Inspector(any_redis.url, wire="asynq") as inspector:
        assert (await inspector.queues.get("q")).aggregating == 12


async def test_a_pause_is_one_for_both(any_redis: AnyRedis) -> None:
    """The one who paused first is the one who did; and whole seconds are what Go writes."""
    go = GoSteps(any_redis.client, "q")
    go.enqueue("a")
    async with Inspector(any_redis.url, wire="asynq") as inspector:
        go.pause()
        assert not await inspector.queues.pause("q")
        assert await inspector.queues.unpause("q")
        assert not go.client.exists(go.keys.paused)
        assert await inspector.queues.pause("q")
        assert go.client.get(go.keys.paused).isdigit()
        info = await inspector.queues.get("q")
        assert info.paused_at is not None
        assert info.paused_at.timestamp() == pytest.approx(time.time(), abs=5)


async def test_removing_takes_everything_away(any_redis: AnyRedis) -> None:
    """Also what Go forgets: completed tasks, groups, sets, locks of groups, counters, the pause."""
    go = _all_of_go(any_redis)
    go.pause()
    other = GoSteps(any_redis.client, "other")
    other.enqueue("a", unique="work:a")
    theirs = {key for key in _keys(any_redis) if "{other}" in key}
    async with Client(any_redis.url, wire="asynq") as client:
        await client.enqueue(Task("work", {}, queue="q"), process_in=0.5 + 60)
    async with Inspector(any_redis.url, wire="asynq") as inspector:
        assert any(":moments" in key for key in _keys(any_redis))
        with pytest.raises(QueueNotEmptyError):
            await inspector.queues.remove("q")
        assert await inspector.queues.remove("q", force=True) == 12
        assert await inspector.queues.names() == ["other"]
        with pytest.raises(QueueNotFoundError):
            await inspector.queues.get("q")
        assert (await inspector.audit()).findings == []
    assert _keys(any_redis) == theirs | {"asynq:queues"}


@pytest.mark.parametrize("has_hash", [True, False])
async def test_what_stands_among_the_active_alone_goes_too(any_redis: AnyRedis, *, has_hash: bool) -> None:
    """A ghost of Go's, or a task that lost its lease. Without force it holds the removal up, as in Go."""
    go = GoSteps(any_redis.client, "q")
    go.enqueue("a")
    go.dequeue()
    go.client.delete(go.keys.lease)
    if not has_hash:
        go.client.delete(go.keys.task("a"))
    async with Inspector(any_redis.url, wire="asynq") as inspector:
        with pytest.raises(QueueNotEmptyError) as refused:
            await inspector.queues.remove("q")
        assert refused.value.contents == {"active": 1}
        assert await inspector.queues.remove("q", force=True) == 1
    assert _keys(any_redis) == set()


async def test_removing_in_parts(any_redis: AnyRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bounded number with each call, whatever they are in."""
    monkeypatch.setattr(broker_queues, "REMOVED_AT_ONCE", 3)
    go = _all_of_go(any_redis)
    for number in range(5):
        go.client.lpush(go.keys.active, f"ghost {number}")
    async with Inspector(any_redis.url, wire="asynq") as inspector:
        assert await inspector.queues.remove("q", force=True) == 16
    assert _keys(any_redis) == set()


async def test_a_list_of_active_tasks_that_is_none(any_redis: AnyRedis) -> None:
    """Damage is no reason to keep a queue that is to go."""
    go = GoSteps(any_redis.client, "q")
    go.enqueue("a")
    go.client.set(go.keys.active, "scribble")
    async with Inspector(any_redis.url, wire="asynq") as inspector:
        assert await inspector.queues.remove("q", force=True) == 1
    assert _keys(any_redis) == set()


async def test_a_task_that_comes_in_while_its_queue_goes_keeps_the_name(
    any_redis: AnyRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients of Go's remember a name and do not publish it again: the new task would not be seen."""
    go = GoSteps(any_redis.client, "q")
    go.enqueue("a")
    forget = broker_queues.Queues._forget_name  # noqa: SLF001 - there is no other moment in between

    async def late(self: Any, queue: str) -> None:
        go.enqueue("b")
        await forget(self, queue)

    monkeypatch.setattr(broker_queues.Queues, "_forget_name", late)
    async with Inspector(any_redis.url, wire="asynq") as inspector:
        await inspector.queues.remove("q", force=True)
        assert await inspector.queues.names() == ["q"]
        assert (await inspector.audit()).findings == []


async def test_our_counters_make_no_queue_of_one_that_go_removed(any_redis: AnyRedis) -> None:
    """Go does not know of them. They are there when the queue comes back, and nobody misses it until then."""
    go = GoSteps(any_redis.client, "q")
    # A client may still say the name of a new queue after its first task is there; a closed one has said it.
    async with Client(any_redis.url, wire="asynq") as client:
        await client.enqueue(Task("work", {}, queue="q"))
    go.remove_queue()
    assert go.client.exists(go.keys.flow)
    async with Inspector(any_redis.url, wire="asynq") as inspector:
        with pytest.raises(QueueNotFoundError):
            await inspector.queues.get("q")
        report = await inspector.audit()
        assert (report.findings, report.counts) == ([], {})
        go.enqueue("a")
        assert (await inspector.queues.get("q")).pending == 1

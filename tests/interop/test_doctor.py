"""What Go's asynq leaves broken, and what our doctor makes of it; and that it is silent while both work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis import Redis

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq.inspector import Report
from tests.support.waiting import wait_until

from .driving import Go, GoCallError

Q = "asynq:{default}:"
SERVER = {"name": "a", "concurrency": 4, "check": 0.01, "delayed": 0.05, "retry_delay": 0, "shutdown": 1}


@pytest.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    """Our side of it."""
    async with Inspector(redis_url, wire="asynq") as inspector:
        yield inspector


def _kinds(report: Report) -> list[str]:
    return sorted(str(finding.kind) for finding in report.findings)


async def _cure(inspector: Inspector, *kinds: str) -> None:
    """Find exactly this, repair it, and find nothing more."""
    before = await inspector.audit()
    assert _kinds(before) == sorted(kinds), str(before)
    assert (await inspector.repair(before)).findings == []


async def test_a_ghost_that_go_keeps_among_its_active_tasks(
    go: Go, inspector: Inspector, redis_client: Redis
) -> None:
    """It can neither run nor recover it, and will not remove its queue, not even by force."""
    await go("enqueue", type="x", payload=b"1", options={"task_id": "ghost"})
    redis_client.delete(Q + "t:ghost")
    await go("start_server", **SERVER)
    await wait_until(lambda: redis_client.llen(Q + "active") == 1, "Go to take it")
    await go("shutdown_server", name="a")
    with pytest.raises(GoCallError):
        await go("delete_queue", queue="default", force=True)
    await _cure(inspector, "ghost")
    await go("delete_queue", queue="default", force=True)
    assert (await inspector.audit()).findings == []


async def test_a_group_that_go_loses_in_a_crash(
    start_go: Callable[[], Awaitable[Go]], inspector: Inspector, redis_client: Redis
) -> None:
    """Its recoverer gives the tasks back to a group that no aggregator will look at."""
    go, other = await start_go(), await start_go()
    await go("enqueue", type="x", payload=b"1", options={"group": "g", "task_id": "t"})
    await go("start_server", **SERVER, group={"grace": 1, "max_size": 1, "hold": 30})
    await wait_until(lambda: redis_client.zcard(Q + "aggregation_sets") == 1, "Go to aggregate")
    await go.kill()
    assert (await inspector.audit()).findings == []
    [key] = redis_client.zrange(Q + "aggregation_sets", 0, -1)
    redis_client.zadd(Q + "aggregation_sets", {key: 5})
    await other("start_server", **SERVER)  # its recoverer begins with the sets
    await wait_until(lambda: redis_client.zcard(Q + "g:g") == 1, "Go to give it back")
    await other("shutdown_server", name="a")
    assert not await other("groups", queue="default")
    await _cure(inspector, "unlisted_group")
    [group] = await other("groups", queue="default")
    assert (group["Group"], group["Size"]) == ("g", 1)


async def test_locks_that_go_leaks(go: Go, inspector: Inspector) -> None:
    """On a conflict of ids, when it deletes all that is pending, and a single task of a group."""
    unique = {"type": "u", "payload": b"1"}
    await go("enqueue", type="x", payload=b"1", options={"task_id": "t"})
    with pytest.raises(GoCallError) as refused:
        await go("enqueue", **unique, options={"task_id": "t", "unique": 600})
    assert refused.value.kind == "conflict"
    await _cure(inspector, "stray_lock")
    await go("enqueue", **unique, options={"task_id": "v", "unique": 600})
    await go("delete_all", queue="default", state="pending")
    await _cure(inspector, "dead_lock")
    await go("enqueue", **unique, options={"task_id": "w", "unique": 600, "group": "g"})
    assert (await inspector.audit()).findings == []
    await go("delete_task", queue="default", id="w")
    await _cure(inspector, "dead_lock")
    await go("enqueue", **unique, options={"task_id": "x", "unique": 600})


async def test_what_go_leaves_of_a_queue(go: Go, inspector: Inspector, redis_client: Redis) -> None:
    """Completed tasks and groups are none to it. Ours shows them again, and takes all of it away."""
    await go("start_server", **SERVER)
    await go("enqueue", type="x", payload=b"{}", options={"task_id": "t", "retention": 600})
    await wait_until(lambda: redis_client.zcard(Q + "completed") == 1, "it to be completed")
    await go("shutdown_server", name="a")
    await go("enqueue", type="x", payload=b"1", options={"group": "g", "task_id": "u", "unique": 600})
    await go("pause", queue="default")
    await go("delete_queue", queue="default")
    assert not await go("queues")
    await _cure(inspector, "unlisted_queue")
    assert await go("queues") == ["default"]
    assert await inspector.queues.remove("default", force=True) == 2
    assert not await go("queues")
    left = [key for key in redis_client.scan_iter(Q + "*") if b":receipt:" not in key]
    assert left == []


async def test_a_name_that_go_remembers_too_long(
    start_go: Callable[[], Awaitable[Go]], inspector: Inspector
) -> None:
    """Its client does not say again that there is this queue, so no tool of Go's shows the task."""
    go, other = await start_go(), await start_go()
    await go("enqueue", type="x", payload=b"1", options={"task_id": "t"})
    await other("delete_queue", queue="default", force=True)
    await go("enqueue", type="x", payload=b"1", options={"task_id": "u"})
    assert not await other("queues")
    await _cure(inspector, "unlisted_queue")
    assert (await other("task", queue="default", id="u"))["state"] == "pending"


async def test_what_go_cannot_read_stops_go_and_not_us(
    start_go: Callable[[], Awaitable[Go]], redis_url: str, inspector: Inspector, redis_client: Redis
) -> None:
    """A server that held both was killed. Go's recovery gives up at one, and on the other with it."""
    go, other = await start_go(), await start_go()
    await go("start_server", **SERVER)
    for task_id in ("good", "bad"):
        payload = json.dumps({"act": "block"}).encode()
        await go("enqueue", type="work", payload=payload, options={"task_id": task_id})
        await go.event("run", task=task_id)
    await go.kill()
    redis_client.zadd(Q + "lease", {"good": 5, "bad": 5})
    redis_client.hset(Q + "t:bad", "msg", b"\xff garbage")
    await other("start_server", **SERVER)
    # Its recoverer looks first of all, and leaving waits until it has.
    await other("shutdown_server", name="a")
    assert redis_client.zcard(Q + "lease") == 2
    assert _kinds(await inspector.audit()) == ["expired_lease", "unreadable"]
    mux, ran = Mux(), asyncio.Event()

    @mux.handle("work")
    async def work(_: Task) -> None:
        ran.set()

    async with Server(redis_url, wire="asynq").running(mux):
        await asyncio.wait_for(ran.wait(), 20)
        await wait_until(lambda: redis_client.zscore(Q + "archived", "bad") is not None, "it to be archived")
    assert (await inspector.audit()).findings == []


async def test_no_false_alarm_while_both_work(go: Go, redis_url: str, inspector: Inspector) -> None:
    """Tasks of every kind from both, run by both: nothing is damaged at any moment."""
    mux = Mux()

    @mux.handle("x")
    async def work(_: Task) -> None:
        await asyncio.sleep(0)

    kinds: list[dict[str, object]] = [
        {}, {"retention": 2}, {"unique": 60}, {"process_in": 0.1}, {"group": "g"}, {"group": "h"}
    ]  # fmt: skip

    async def feed_go() -> None:
        for number in range(300):
            payload = json.dumps({"n": number, **({"act": "fail"} if number % 7 == 0 else {})}).encode()
            await go("enqueue", type="x", payload=payload, options=kinds[number % 6] | {"max_retry": 2})

    async def feed_ours(client: Client) -> None:
        for number in range(300):
            options = {name: value for name, value in kinds[number % 4].items() if name != "group"}
            await client.enqueue(Task("x", {"m": number}, **options))  # type: ignore[arg-type]

    await go("start_server", **SERVER, group={"grace": 1, "max_size": 3})
    async with (
        Server(redis_url, wire="asynq", concurrency=5).running(mux),
        Client(redis_url, wire="asynq") as client,
    ):
        feeding = asyncio.gather(feed_go(), feed_ours(client))
        audits = 0
        while not feeding.done() or audits < 5:
            report = await inspector.audit()
            assert report.damage == [], str(report)
            audits += 1
        await feeding
    await go("shutdown_server", name="a")
    report = await inspector.audit()
    assert report.damage == [], str(report)

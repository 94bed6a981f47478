"""The inspector's first rooms: single tasks, servers, and the audit."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.crc import key_slot

from asyncq import Client, Inspector, Mux, Server, Task, TaskInfo
from asyncq._wire.keys import Keys
from asyncq.errors import ConfigError, QueueNotFoundError, ServerNotFoundError, TaskNotFoundError, WireError
from tests.conftest import AnyRedis
from tests.support.listing import listed
from tests.support.waiting import wait_until

KEYS = Keys()


async def test_a_task_is_seen_with_everything_that_was_said_of_it(any_redis: AnyRedis) -> None:
    """What `enqueue` returned and what the inspector finds agree."""
    at = datetime.now(UTC) + timedelta(hours=1)
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        told = await client.enqueue(
            Task("email", {"user_id": 42}), queue="q", max_retry=3, process_at=at, headers={"a": "b"}
        )
        seen = await inspector.tasks.get("q", told.id)
    assert seen == told
    assert seen.state == "scheduled"
    assert seen.payload == {"user_id": 42}
    assert seen.next_process_at == at


async def test_what_is_not_there_is_named(any_redis: AnyRedis) -> None:
    """A misspelt queue is another mistake than a task that has been forgotten."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        await client.enqueue(Task("x"), queue="q")
        for method in (inspector.tasks.get, inspector.tasks.cancel):
            with pytest.raises(QueueNotFoundError, match="'nowhere'"):
                await method("nowhere", "id")
            with pytest.raises(TaskNotFoundError, match="'id'"):
                await method("q", "id")


async def test_a_key_that_holds_something_else_is_said_so(any_redis: AnyRedis) -> None:
    """It is neither a task nor nothing."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        await client.enqueue(Task("x"), queue="q")
        any_redis.client.set(KEYS.queue("q").task("id"), "by hand")
        with pytest.raises(WireError, match="not a hash"):
            await inspector.tasks.get("q", "id")


async def test_what_was_probably_meant_is_named_too(any_redis: AnyRedis) -> None:
    """A queue whose name is like it, and a queue that has the task."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        info = await client.enqueue(Task("x"), queue="mails")
        await client.enqueue(Task("x"), queue="other")
        await listed(client)
        with pytest.raises(QueueNotFoundError) as missing_queue:
            await inspector.tasks.get("mail", "id")
        assert missing_queue.value.near == ("mails",)
        with pytest.raises(TaskNotFoundError) as missing_task:
            await inspector.tasks.get("other", info.id)
        assert missing_task.value.elsewhere == ("mails",)


async def test_servers_say_what_they_are_and_that_they_left(any_redis: AnyRedis) -> None:
    """A list that shows the dead is worse than none."""
    mux = Mux()
    mux.handle("a:")(_nothing)
    async with Inspector(any_redis.url) as inspector:
        server = Server(any_redis.url, concurrency=7, queues={"q": 2, "r": 1}, name="blue")
        async with server.running(mux):

            async def one() -> bool:
                return len(await inspector.servers.list()) == 1

            await wait_until(one, "the server to be listed")
            (info,) = await inspector.servers.list()
            assert (info.id, info.pid, info.name) == (server.id, os.getpid(), "blue")
            assert (info.concurrency, info.queues, info.types) == (7, {"q": 2, "r": 1}, ("a:",))
        assert await inspector.servers.list() == []


async def test_one_server_is_found_by_its_id(any_redis: AnyRedis) -> None:
    """And servers by the queue that they serve."""
    mux = Mux()
    mux.handle("a:")(_nothing)
    async with Inspector(any_redis.url) as inspector:
        async with Server(any_redis.url, queues={"q": 2, "r": 1}).running(mux) as server:

            async def is_listed() -> bool:
                return bool(await inspector.servers.list(queue="r"))

            await wait_until(is_listed, "the server to be listed")
            server_id = server.id
            assert (await inspector.servers.get(server_id)).queues == {"q": 2, "r": 1}
            assert await inspector.servers.list(queue="other") == []
            near = server_id[:-1]
            with pytest.raises(ServerNotFoundError) as missing:
                await inspector.servers.get(near)
            assert missing.value.near == (server_id,)
            # A record of some other version is not a reason to show none.
            any_redis.client.zadd("asyncq:servers", {"odd": time.time() + 10, "empty": time.time() + 10})
            any_redis.client.set("asyncq:servers:{odd}", b"\xc1 no msgpack")
            any_redis.client.set("asyncq:servers:{empty}", b"\x80")
            assert [info.id for info in await inspector.servers.list()] == [server_id]
        with pytest.raises(ServerNotFoundError):
            await inspector.servers.get(server_id)


async def test_what_is_being_worked_on_is_seen_with_who_does(any_redis: AnyRedis) -> None:
    """At this moment, read from the leases, whatever the server last said of itself."""
    mux, began, go_on = Mux(), asyncio.Semaphore(0), asyncio.Event()

    @mux.handle("long")
    async def long(_: Task) -> None:
        began.release()
        await go_on.wait()

    async with (
        Client(any_redis.url) as client,
        Inspector(any_redis.url) as inspector,
        Server(any_redis.url, queues={"q": 1, "r": 1}, lease=30).running(mux) as server,
    ):
        assert await inspector.servers.workers() == []
        deadline = datetime.now(UTC) + timedelta(seconds=50)
        first = await client.enqueue(Task("long"), queue="q", timeout=40)
        await asyncio.wait_for(began.acquire(), 10)
        second = await client.enqueue(Task("long", b"x" * 100_000), queue="r", deadline=deadline)
        await asyncio.wait_for(began.acquire(), 10)
        await listed(client)
        found = await inspector.servers.workers()
        assert [(w.queue, w.task_id, w.type, w.server_id, w.attempt, w.deliveries) for w in found] == [
            ("q", first.id, "long", server.id, 1, 1),
            ("r", second.id, "long", server.id, 1, 1),
        ]
        assert not any(worker.is_orphaned for worker in found)
        started, now = found[0].started_at, datetime.now(UTC)
        assert started is not None
        assert now - timedelta(seconds=30) < started < now + timedelta(seconds=1)
        assert found[0].deadline == started + timedelta(seconds=40)
        assert found[1].deadline is not None
        assert abs(found[1].deadline - deadline) < timedelta(milliseconds=1)
        assert now < found[0].lease_ends_at < now + timedelta(seconds=31)
        assert await inspector.servers.workers(server_id=server.id) == found
        assert await inspector.servers.workers(queue="r") == found[1:]
        with pytest.raises(ServerNotFoundError):
            await inspector.servers.workers(server_id="nobody")
        with pytest.raises(QueueNotFoundError):
            await inspector.servers.workers(queue="nowhere")
        go_on.set()


async def test_what_a_dead_server_left_is_shown_as_orphaned(any_redis: AnyRedis) -> None:
    """Until somebody takes it back; and a message that cannot be read hides nothing."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        info = await client.enqueue(Task("x"), queue="q")
        await listed(client)
        keys = KEYS.queue("q")
        any_redis.client.delete(keys.pending)
        any_redis.client.zadd(keys.lease, {info.id: time.time() - 60})
        any_redis.client.hset(
            keys.task(info.id),
            mapping={"state": "active", "delivery": "dead:7", "deliveries": 3, "retried": 1},
        )
        (worker,) = await inspector.servers.workers(server_id="dead")
        assert (worker.task_id, worker.server_id, worker.is_orphaned) == (info.id, "dead", True)
        assert (worker.attempt, worker.deliveries, worker.started_at) == (2, 3, None)
        assert (await inspector.queues.get("q")).orphaned == 1
        any_redis.client.hset(keys.task(info.id), "msg", b"?")
        (worker,) = await inspector.servers.workers()
        assert (worker.type, worker.deadline) == ("", None)


async def test_a_queue_has_a_slot_and_nodes(any_redis: AnyRedis) -> None:
    """In a cluster those that hold it, else the server there is; the queue need not be there."""
    async with Inspector(any_redis.url) as inspector:
        # What any client of a cluster computes.
        assert inspector.cluster.slot("default") == key_slot(b"default")
        nodes = await inspector.cluster.nodes("default")
        primary = nodes[0]
        assert (primary.role, len(primary.id)) == ("primary", 40)
        assert {node.role for node in nodes[1:]} <= {"replica"}
        if any_redis.kind == "cluster":
            cluster: Any = any_redis.client
            owner = cluster.get_node_from_key("asyncq:{default}:pending")
            assert primary.address == f"{owner.host}:{owner.port}"
        elif any_redis.kind == "sentinel":
            assert len(nodes) == 2
        else:
            assert len(nodes) == 1
        for name in ("", "a{b"):
            with pytest.raises(ConfigError, match="queue"):
                inspector.cluster.slot(name)
            with pytest.raises(ConfigError, match="queue"):
                await inspector.cluster.nodes(name)


async def test_redis_says_what_it_is(any_redis: AnyRedis) -> None:
    """Each server that holds keys."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        await client.enqueue(Task("x"))
        found = await inspector.cluster.redis()
    assert len(found) == (3 if any_redis.kind == "cluster" else 1)
    for info in found:
        assert info.server.split()[0] in ("redis", "valkey")
        assert info.role == "primary"
        assert 0 < info.memory_used <= info.memory_peak
        assert (info.memory_max, info.eviction_policy) == (None, "noeviction")
        assert info.clients > 0
    assert sum(info.keys for info in found) >= 4


async def _nothing(task: Task) -> None:
    del task


async def test_damage_is_found_and_repaired(any_redis: AnyRedis) -> None:
    """What `asyncq doctor` does, from a program."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        info: TaskInfo = await client.enqueue(Task("x"))
        assert (await inspector.audit()).is_clean
        any_redis.client.delete("asyncq:{default}:pending")
        report = await inspector.audit()
        assert not report.is_clean
        assert (await inspector.repair(report)).is_clean
        assert (await inspector.tasks.get("default", info.id)).state == "pending"

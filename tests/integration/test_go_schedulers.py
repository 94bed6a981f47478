"""What Go's tools read of our schedulers in the asynq wire, and what our inspector reads of Go's."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from redis import Redis

from asyncq import Client, Inspector, Scheduler, Server, Task
from asyncq._wire.asynq_records import (
    NEVER,
    EnqueueEvent,
    SchedulerEntry,
    ServerInfo,
    Timestamp,
    WorkerInfo,
)
from asyncq._wire.go_text import write_options
from asyncq._wire.keys import GoKeys
from asyncq.errors import EntryNotFoundError, ServerNotFoundError, WireError
from asyncq.mux import Mux
from tests.conftest import TOPOLOGIES, AnyRedis
from tests.support.waiting import wait_until

GO = GoKeys()
UUID = "5b1f9f4e-6c0f-4f39-9a5e-0d9a3b2f7c11"
PROCESS = f"web-1:77:{UUID}"


def _entries(client: Any) -> list[SchedulerEntry]:
    """Return what the schedulers that are there say."""
    keys = client.zrange(GO.schedulers, 0, -1)
    return [SchedulerEntry.decode(raw) for key in keys for raw in client.lrange(key, 0, -1)]


def _history(client: Any, entry_id: str) -> list[EnqueueEvent]:
    return [EnqueueEvent.decode(raw) for raw in client.zrange(GO.history(entry_id), 0, -1)]


@pytest.mark.parametrize("any_redis", TOPOLOGIES, indirect=True)
async def test_a_scheduler_says_what_it_has_and_what_it_enqueued(any_redis: AnyRedis) -> None:
    """As long as it is there; the history stays."""
    redis = cast("Any", any_redis.client)
    scheduler = Scheduler(any_redis.url, wire="asynq")
    task = Task("report", {"of": "sales"})
    scheduler.register("@every 1s", task, entry_id="often", queue="low", max_retry=3)
    scheduler.register("0 0 1 1 *", task, entry_id="seldom", timezone="Asia/Tokyo")
    scheduler.register("*/5 * * * *", task, entry_id="paused")
    async with Client(any_redis.url, wire="asynq") as client, scheduler.running():
        await client.schedules.pause("paused")

        def is_told() -> bool:
            said = _entries(redis)
            return len(said) == 2 and said[0].prev != NEVER and len(_history(redis, "often")) >= 1

        await wait_until(is_told, "both entries to be shown, and the first time")
        often, seldom = _entries(redis)
        assert (often.entry_id, often.spec, often.task_type) == ("often", "@every 1s", "report")
        assert (often.payload, often.options) == (b'{"of":"sales"}', ('Queue("low")', "MaxRetry(3)"))
        assert (seldom.spec, seldom.prev) == ("CRON_TZ=Asia/Tokyo 0 0 1 1 *", NEVER)
        assert f"{datetime.fromtimestamp(seldom.next.unix, UTC):%m-%d %H:%M:%S}" == "12-31 15:00:00"
        by_hand = await client.schedules.run_now("seldom")
        (event,) = _history(redis, "seldom")
        assert (event.task_id, event.enqueued_at.unix) == (by_hand.id, pytest.approx(often.next.unix, abs=60))
        assert redis.zscore(GO.history("seldom"), event.encode()) == event.enqueued_at.seconds
        (key,) = redis.zrange(GO.schedulers, 0, -1)
        assert key.decode() == GO.scheduler(f"{socket.gethostname()}:{os.getpid()}:asyncq-{scheduler.id}")
        assert 10 < redis.ttl(key) <= 20
    assert not redis.exists(key)
    assert redis.zrange(GO.schedulers, 0, -1) == []
    assert _history(redis, "often")
    assert redis.ttl(GO.history("often")) > 29 * 86400


async def test_replicas_each_say_what_they_have(redis_url: str, redis_client: Redis) -> None:
    """As in Go, where every scheduler shows its own; what is enqueued once is said once."""
    one, other = Scheduler(redis_url, wire="asynq"), Scheduler(redis_url, wire="asynq")
    for scheduler in (one, other):
        scheduler.register("@every 1s", Task("report"), entry_id="often")
    async with one.running(), other.running(), Client(redis_url, wire="asynq") as client:
        await wait_until(lambda: len(_entries(redis_client)) == 2, "both to be shown")
        assert {entry.entry_id for entry in _entries(redis_client)} == {"often"}
        await wait_until(lambda: len(_history(redis_client, "often")) >= 2, "two times")
        await client.schedules.pause("often")
    enqueued = [event.task_id for event in _history(redis_client, "often")]
    assert len(enqueued) == len(set(enqueued)) == redis_client.llen("asynq:{default}:pending")


async def test_an_id_that_is_a_path_has_a_history_under_a_uuid(redis_url: str, redis_client: Redis) -> None:
    """The one under which it is shown."""
    scheduler = Scheduler(redis_url, wire="asynq")
    entry_id = scheduler.register("*/5 * * * *", Task("report"))
    async with scheduler.running(), Client(redis_url, wire="asynq") as client:
        await wait_until(lambda: _entries(redis_client), "the entry to be shown")
        await client.schedules.run_now(entry_id)
        (shown,) = _entries(redis_client)
        assert "/" not in shown.entry_id
        assert len(_history(redis_client, shown.entry_id)) == 1


async def test_in_the_native_wire_nothing_is_said_to_go(redis_url: str, redis_client: Redis) -> None:
    """Nobody would read it."""
    scheduler = Scheduler(redis_url)
    scheduler.register("@every 1s", Task("report"), entry_id="often")
    async with scheduler.running():
        await wait_until(lambda: redis_client.llen("asyncq:{default}:pending"), "a task")
    assert not [key for key in redis_client.scan_iter() if key.startswith(b"asynq:")]


def _put(client: Any, kind: str, index: str, key: str, value: Any) -> None:
    until = datetime.now(UTC).timestamp() + 10
    client.zadd(index, {key: int(until)})
    {"string": client.set, "list": lambda key, raw: client.rpush(key, *raw)}[kind](key, value)


@pytest.mark.parametrize("any_redis", TOPOLOGIES, indirect=True)
async def test_entries_of_go_are_shown_as_what_they_are(any_redis: AnyRedis) -> None:
    """With what cannot be read of them beside; ours are not among them, damage neither."""
    redis = cast("Any", any_redis.client)
    options = (*write_options({"queue": "low", "max_retry": 3}), "Newer(1)")
    at = Timestamp(1_900_000_000, 5)
    raw = [
        SchedulerEntry(
            entry_id="a", spec="@daily", task_type="mail", payload=b"[1]", options=options, next=at, prev=at
        ).encode(),
        SchedulerEntry(entry_id="b", spec="@hourly", task_type="mail", payload=b"\xff").encode(),
        b"\xff\xff",
    ]
    _put(redis, "list", GO.schedulers, GO.scheduler(PROCESS), raw)
    _put(redis, "string", GO.schedulers, GO.scheduler(f"web-2:7:{UUID}"), "something else")
    redis.zadd(GO.schedulers, {"no key at all": 1e12, b"\xff": 1e12})
    redis.zadd(GO.history("a"), {EnqueueEvent(task_id="t", enqueued_at=at).encode(): at.seconds, "bad": 1})
    scheduler = Scheduler(any_redis.url, wire="asynq")
    scheduler.register("@hourly", Task("report"), entry_id="mine")
    async with Inspector(any_redis.url, wire="asynq") as inspector, scheduler.running():
        await wait_until(lambda: redis.zcard(GO.schedulers) == 5, "ours to be among them")
        first, second = await inspector.schedulers.go_entries()
        assert (first.id, first.spec, first.type, first.queue) == ("a", "@daily", "mail", "low")
        assert (first.options, first.unread) == ({"queue": "low", "max_retry": 3}, ("Newer(1)",))
        assert (first.host, first.pid, first.scheduler_id) == ("web-1", 77, UUID)
        assert first.payload == [1]
        assert first.next_at == first.previous_at == datetime.fromtimestamp(at.seconds, UTC)
        assert (second.id, second.next_at, second.previous_at, second.queue) == ("b", None, None, "default")
        with pytest.raises(WireError):
            assert second.payload
        (event,) = await inspector.schedulers.events("a")
        assert (event.entry_id, event.task_id, event.outcome) == ("a", "t", "enqueued")
        assert await inspector.schedulers.events("b") == []
        with pytest.raises(EntryNotFoundError):
            await inspector.schedulers.events("c")
        assert [entry.id for entry in await inspector.schedulers.entries()] == ["mine"]
    async with Inspector(any_redis.url) as inspector:
        assert await inspector.schedulers.go_entries() == []


@pytest.mark.parametrize("any_redis", TOPOLOGIES, indirect=True)
async def test_servers_of_go_are_shown_as_what_they_are(any_redis: AnyRedis) -> None:
    """Among ours; damage is left out, and so are those that have left."""
    redis = cast("Any", any_redis.client)
    started = Timestamp.of(1_700_000_000.5)
    info = ServerInfo(
        host="web-1", pid=77, server_id=UUID, concurrency=4, queues={"low": 2}, status="stopped",
        started=started, active=1,
    )  # fmt: skip
    _put(redis, "string", GO.servers, GO.server(PROCESS), info.encode())
    _put(redis, "string", GO.servers, GO.server(f"web-2:7:{UUID}"), b"\xff\xff")
    _put(redis, "list", GO.servers, GO.server(f"web-3:7:{UUID}"), ["x"])
    redis.zadd(GO.servers, {GO.server("web-4:7:gone"): 1e12, "no key at all": 1e12})
    server = Server(any_redis.url, wire="asynq")
    async with Inspector(any_redis.url, wire="asynq") as inspector, server.running(Mux()):

        async def are_there() -> bool:
            return redis.zcard(GO.servers) == 6 and len(await inspector.servers.list()) == 2

        await wait_until(are_there, "ours to be among them")
        gos, ours = await inspector.servers.list()
        assert (gos.library, gos.id, gos.host, gos.pid, gos.name) == ("asynq", UUID, "web-1", 77, "")
        assert (gos.status, gos.concurrency, gos.active) == ("stopped", 4, 1)
        assert (gos.queues, gos.strict_priority, gos.lease, gos.types) == ({"low": 2}, False, 30.0, ())
        assert gos.started_at == datetime.fromtimestamp(1_700_000_000.5, UTC)
        assert (ours.library, ours.id) == ("asyncq", server.id)
        assert await inspector.servers.list(queue="low") == [gos]
        assert await inspector.servers.get(UUID) == gos
        with pytest.raises(ServerNotFoundError, match=UUID):
            await inspector.servers.get(UUID[:-1])


async def test_what_go_runs_is_shown_with_its_server(redis_url: str, redis_client: Redis) -> None:
    """As soon as that has said so; before, it is known that it is one of Go's."""
    async with Client(redis_url, wire="asynq") as client, Inspector(redis_url, wire="asynq") as inspector:
        ids = [(await client.enqueue(Task("mail"), timeout=600)).id for _ in range(2)]
        for task_id in ids:  # as Go takes them
            redis_client.hset(f"asynq:{{default}}:t:{task_id}", "state", "active")
            redis_client.hdel(f"asynq:{{default}}:t:{task_id}", "pending_since")
            redis_client.rpoplpush("asynq:{default}:pending", "asynq:{default}:active")
            redis_client.zadd("asynq:{default}:lease", {task_id: int(datetime.now(UTC).timestamp()) + 30})
        said = WorkerInfo(
            host="web-1", pid=77, server_id=UUID, task_id=ids[0], task_type="mail", payload=b"",
            queue="default", started=Timestamp(1_700_000_000), deadline=Timestamp(1_700_000_600),
        )  # fmt: skip
        info = ServerInfo(host="web-1", pid=77, server_id=UUID, concurrency=4)
        _put(redis_client, "string", GO.servers, GO.server(PROCESS), info.encode())
        redis_client.hset(GO.running(PROCESS), mapping={ids[0]: said.encode(), "bad": b"\xff\xff"})
        workers = {worker.task_id: worker for worker in await inspector.servers.workers()}
        first, second = workers[ids[0]], workers[ids[1]]
        assert (first.server_id, second.server_id) == (UUID, "asynq")
        assert first.started_at == datetime.fromtimestamp(1_700_000_000, UTC)
        assert first.deadline == datetime.fromtimestamp(1_700_000_600, UTC)
        assert (second.started_at, second.deadline) == (None, None)
        assert [one.task_id for one in await inspector.servers.workers(server_id=UUID)] == [ids[0]]

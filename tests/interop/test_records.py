"""What our codecs write, as Go's own inspector reads it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from redis import Redis

from asyncq._wire import asynq
from asyncq._wire.asynq_records import EnqueueEvent, SchedulerEntry, ServerInfo, Timestamp, WorkerInfo
from asyncq._wire.go_text import write_options
from asyncq._wire.messages import Envelope, Past
from tests.support.servers import RedisProcess

from .driving import Go


@pytest.fixture
def redis(redis_process: RedisProcess, redis_url: str) -> Iterator[Redis]:
    """To write what a server of ours would write."""
    with redis_process.client() as client:
        yield client


async def test_go_reads_a_message_of_ours(go: Go, redis: Redis) -> None:
    """With nothing rounded down, and with what is ours out of its sight."""
    envelope = Envelope(
        "mail ☃",
        b"\x00\xff",
        timeout=0.5,
        deadline=2e9 + 0.25,
        retention=10.5,
        max_retry=2**31 - 1,
        group="g)",
        headers={"a": "ä", "": "", "c": "\ud800"},
        enqueued_at=1.5,
        past=Past(3, "no \udcff", 1.7e9),
    )
    message, extra = asynq.encode("asynq:", "q", "id", envelope)
    redis.sadd("asynq:queues", "q")
    # What counts is `msg`; with the rest behind it, as a script of ours may hand it out, it is no worse.
    for number, raw in enumerate((message, message + extra)):
        redis.hset(f"asynq:{{q}}:t:{number}", mapping={"msg": raw, "state": "pending", "extra": extra})
        task = await go("task", queue="q", id=str(number))
        assert (task["type"], task["payload"], task["id"]) == ("mail ☃", b"\x00\xff", "id")
        assert (task["timeout"], task["deadline"], task["retention"]) == (1, 2_000_000_001, 11)
        assert (task["max_retry"], task["retried"], task["group"]) == (2**31 - 1, 3, "g)")
        assert task["headers"] == {"a": "ä", "": "", "c": "\ufffd"}


async def test_go_lists_a_server_of_ours_with_its_workers(go: Go, redis: Redis) -> None:
    """By the keys that it looks for."""
    soon, started = time.time() + 60, Timestamp(1_700_000_000, 123_456_789)
    server = ServerInfo(
        host="h", pid=42, server_id="s", concurrency=7, queues={"a": 6, "b": 1}, is_strict=True,
        status="stopped", started=started, active=1,
    )  # fmt: skip
    worker = WorkerInfo(
        host="h", pid=42, server_id="s", task_id="t", task_type="x", payload=b"p", queue="a",
        started=started, deadline=Timestamp(1_700_001_800),
    )  # fmt: skip
    redis.set("asynq:servers:{h:42:s}", server.encode())
    redis.hset("asynq:workers:{h:42:s}", "t", worker.encode())
    redis.zadd("asynq:servers", {"asynq:servers:{h:42:s}": soon})
    redis.zadd("asynq:workers", {"asynq:workers:{h:42:s}": soon})
    (seen,) = await go("servers")
    assert (seen["ID"], seen["Host"], seen["PID"], seen["Concurrency"]) == ("s", "h", 42, 7)
    assert (seen["Queues"], seen["StrictPriority"], seen["Status"]) == ({"a": 6, "b": 1}, True, "stopped")
    assert seen["Started"].startswith("2023-11-14T22:13:20.123456789")
    (busy,) = seen["ActiveWorkers"]
    assert (busy["TaskID"], busy["TaskType"], busy["TaskPayload"], busy["Queue"]) == ("t", "x", b"p", "a")
    assert datetime.fromisoformat(busy["Deadline"]).timestamp() == 1_700_001_800


async def test_go_lists_entries_of_ours(go: Go, redis: Redis) -> None:
    """With options whose values its reader would cut off, as Go writes them itself."""
    options: dict[str, Any] = {
        "queue": 'a)"b(\\ ☃\n', "max_retry": 3, "timeout": 90.5, "deadline": 2e9, "unique": 3600.0,
        "at": 2e9 + 0.5, "delay": 0.25, "retention": 86400.0, "task_id": "i)", "group": "g", "retry": "fast",
        "expires_in": 5.0, "headers": {"a": "b)"},
    }  # fmt: skip
    entry = SchedulerEntry(
        entry_id="e", spec="@every 30s", task_type="x", payload=b"p", options=write_options(options),
        next=Timestamp(1_700_000_030),
    )  # fmt: skip
    redis.rpush("asynq:schedulers:{h:42:s}", entry.encode())
    redis.zadd("asynq:schedulers", {"asynq:schedulers:{h:42:s}": time.time() + 60})
    redis.zadd("asynq:scheduler_history:e", {EnqueueEvent(task_id="t", enqueued_at=Timestamp(5)).encode(): 5})
    (seen,) = await go("entries")
    assert (seen["id"], seen["spec"], seen["type"], seen["payload"]) == ("e", "@every 30s", "x", b"p")
    assert seen["next"] == 1_700_000_030
    assert seen["prev"] is None, "it never ran"
    # Go's reader has no TaskID and no Group, and passes over what it does not know.
    assert seen["options"] == [
        'Queue("a)\\"b(\\\\ ☃\\n")',
        "MaxRetry(3)",
        "Timeout(1m30.5s)",
        "Deadline(Wed May 18 03:33:20 UTC 2033)",
        "Unique(1h0m0s)",
        "ProcessAt(Wed May 18 03:33:21 UTC 2033)",
        "ProcessIn(250ms)",
        "Retention(24h0m0s)",
    ]
    (event,) = await go("events", id="e")
    assert event["TaskID"] == "t"
    assert datetime.fromisoformat(event["EnqueuedAt"]).timestamp() == 5

"""Our schedulers as Go's programs show them, and Go's as ours do."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from asyncq import Inspector, Scheduler, Task
from tests.support.waiting import wait_until

from .asynqmon import Asynqmon
from .driving import Go


async def test_go_shows_our_entries_and_what_they_enqueued(
    go: Go, asynqmon: Asynqmon, redis_url: str
) -> None:
    """Go's inspector and asynqmon; the history of an id that is no path, under the one that is shown."""
    scheduler = Scheduler(redis_url, wire="asynq")
    often = scheduler.register(
        "@every 1s", Task("report", {"of": "(sales)"}), entry_id="often one", queue="low)", max_retry=3
    )
    seldom = scheduler.register("*/30 0 1 1 *", Task("yearly"), timezone="Asia/Tokyo", unique=90)
    shown: dict[str, Any] = {}

    async def are_shown() -> bool:
        shown.update({one["type"]: one for one in await go("entries")})
        return len(shown) == 2 and bool(await go("events", id=often)) and bool(shown["report"]["prev"])

    async with scheduler.running(), Inspector(redis_url, wire="asynq") as inspector:
        await wait_until(are_shown, "our entries to be shown, and an event")
        one, other = shown["report"], shown["yearly"]
        assert (one["id"], one["spec"]) == (often, "@every 1s")
        assert json.loads(one["payload"]) == {"of": "(sales)"}
        assert one["options"] == ['Queue("low)")', "MaxRetry(3)"]
        assert one["next"] > one["prev"] > 0
        assert (other["spec"], other["options"]) == ("CRON_TZ=Asia/Tokyo */30 0 1 1 *", ["Unique(1m30s)"])
        assert not other["prev"]
        assert other["next"] > one["next"]
        by_hand = await inspector.schedulers.run_now(seldom)
        assert [event["TaskID"] for event in await go("events", id=other["id"])] == [by_hand.id]

        answer = (await asynqmon.get("/scheduler_entries"))["entries"]
        entries = {entry["task_type"]: entry for entry in answer}
        assert entries["report"]["options"] == ['Queue("low)")', "MaxRetry(3)"]
        assert "prev_enqueue_at" not in entries["yearly"]
        for entry in entries.values():
            path = f"/scheduler_entries/{quote(entry['id'])}/enqueue_events"
            assert (await asynqmon.get(path))["events"][-1]["task_id"]
    assert await go("entries") == []
    assert await go("events", id=often), "what was enqueued stays, other than in Go"


async def test_we_show_entries_of_go_and_what_they_enqueued(go: Go, redis_url: str) -> None:
    """With their options as ours, and their history."""
    options = {"queue": "low", "max_retry": 3, "timeout": 90, "retention": 60}
    entries = [
        {"spec": "@every 1s", "task": {"type": "mail", "payload": b'{"to": 1}', "options": options}},
        {"spec": "CRON_TZ=Asia/Tokyo 0 9 * * *", "task": {"type": "daily"}},
    ]
    often, daily = await go("start_scheduler", name="s", heartbeat=1, entries=entries)
    enqueued = await go.event("enqueued")
    async with Inspector(redis_url, wire="asynq") as inspector:

        async def is_shown() -> bool:
            found = await inspector.schedulers.go_entries()
            return len(found) == 2 and found[0].previous_at is not None

        await wait_until(is_shown, "the entries of Go to be shown")
        one, other = await inspector.schedulers.go_entries()
        assert (one.id, one.spec, one.type, one.queue) == (often, "@every 1s", "mail", "low")
        assert (one.payload, one.pid, one.unread) == ({"to": 1}, go.pid, ())
        assert one.options == {"queue": "low", "max_retry": 3, "timeout": 90.0, "retention": 60.0}
        assert (other.id, other.previous_at, other.options) == (daily, None, {})
        assert other.next_at is not None
        assert other.next_at.astimezone(UTC).hour == 0
        events = await inspector.schedulers.events(often)
        assert events[-1].task_id == enqueued["task"]
        assert abs((events[-1].enqueued_at - datetime.now(UTC)).total_seconds()) < 30
        assert await inspector.schedulers.events(daily) == []
        assert await inspector.schedulers.entries() == []


async def test_we_show_servers_of_go_and_what_they_run(go: Go, redis_url: str) -> None:
    """What Go says at its next beat; that one of Go's has the task is known at once."""
    await go(
        "start_server", name="g", concurrency=3, queues={"low": 2, "default": 1}, strict=True, shutdown=0.1
    )
    await go("enqueue", type="x", payload=b'{"act": "block"}', options={"task_id": "t", "timeout": 600})
    await go.event("run", task="t")
    async with Inspector(redis_url, wire="asynq") as inspector:
        (server,) = await inspector.servers.list()
        assert (server.library, server.pid, server.status) == ("asynq", go.pid, "active")
        assert (server.queues, server.strict_priority, server.concurrency) == (
            {"low": 2, "default": 1},
            True,
            3,
        )
        assert server.pid != os.getpid()
        (worker,) = await inspector.servers.workers()
        assert (worker.task_id, worker.type, worker.is_orphaned) == ("t", "x", False)

        async def is_said() -> bool:
            return bool(await inspector.servers.workers(server_id=server.id))

        await wait_until(is_said, "Go to say what it runs")
        (worker,) = await inspector.servers.workers(server_id=server.id)
        assert worker.started_at is not None
        assert worker.deadline is not None
        assert round((worker.deadline - worker.started_at).total_seconds()) == 600
        await go("shutdown_server", name="g")
        assert await inspector.servers.list() == []

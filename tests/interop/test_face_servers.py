"""Our servers as Go's programs show them, and Go's as ours do; and cancelling through `asynq:cancel`."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import Any, cast

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq.retry import Fixed
from tests.support.waiting import wait_until

from .asynqmon import Asynqmon
from .driving import Go


def _blocked() -> tuple[Mux, asyncio.Event]:
    mux, begun = Mux(), asyncio.Event()

    @mux.handle("block")
    async def block(_: Task) -> None:
        begun.set()
        await asyncio.Event().wait()

    return mux, begun


async def test_go_shows_our_server_and_what_it_runs(go: Go, asynqmon: Asynqmon, redis_url: str) -> None:
    """Go's inspector and asynqmon; a server of Go's beside it. When it has left, it is gone there."""
    mux, _ = _blocked()
    await go("start_server", name="g", concurrency=3, queues={"theirs": 1})
    server = Server(
        redis_url, wire="asynq", queues={"low": 2, "high": 3}, strict_priority=True, concurrency=7
    )
    found: dict[str, Any] = {}

    async def is_shown() -> bool:
        found.update({one["ID"]: one for one in await go("servers")})
        ours = found.get(server.id, {})
        return bool(ours.get("ActiveWorkers")) and cast("str", ours["Status"]) == "active"

    async with Client(redis_url, wire="asynq") as client:
        info = await client.enqueue(Task("block", {"of": "sales"}), queue="high", timeout=90)
        async with server.running(mux):
            await wait_until(is_shown, "our server and its task to be shown")
            ours, theirs = found.pop(server.id), next(iter(found.values()))
            assert (ours["Host"], ours["PID"]) == (socket.gethostname(), os.getpid())
            assert (ours["Queues"], ours["StrictPriority"]) == ({"low": 2, "high": 3}, True)
            assert (ours["Concurrency"], ours["Status"]) == (7, "active")
            assert (theirs["PID"], theirs["Queues"], theirs["Status"]) == (go.pid, {"theirs": 1}, "active")
            (worker,) = ours["ActiveWorkers"]
            assert (worker["TaskID"], worker["TaskType"], worker["Queue"]) == (info.id, "block", "high")
            assert json.loads(worker["TaskPayload"]) == {"of": "sales"}

            shown = {one["id"]: one for one in (await asynqmon.get("/servers"))["servers"]}[server.id]
            assert (shown["status"], shown["pid"], shown["concurrency"]) == ("active", os.getpid(), 7)
            assert (shown["queue_priorities"], shown["strict_priority_enabled"]) == (
                {"low": 2, "high": 3},
                True,
            )
            (worker,) = shown["active_workers"]
            assert (worker["task_id"], worker["queue"]) == (info.id, "high")
            assert json.loads(worker["task_payload"]) == {"of": "sales"}
            assert worker["start_time"] >= shown["start_time"]
            await server.shutdown(now=True)
    assert [one["PID"] for one in await go("servers")] == [go.pid]
    assert [one["pid"] for one in (await asynqmon.get("/servers"))["servers"]] == [go.pid]


async def test_go_cancels_what_we_run(go: Go, redis_url: str) -> None:
    """By Go's inspector; in Go's way, so the task waits for its retry."""
    mux, begun = _blocked()
    server = Server(redis_url, wire="asynq", retry=Fixed(600))
    async with Client(redis_url, wire="asynq") as client, server.running(mux):
        info = await client.enqueue(Task("block"), max_retry=5)
        await begun.wait()
        seen: dict[str, Any] = {}

        async def is_in_retry() -> bool:
            # A message is all that it is, and we may not have been listening yet.
            await go("cancel", id=info.id)
            seen.update(await go("task", queue="default", id=info.id))
            return cast("str", seen["state"]) == "retry"

        await wait_until(is_in_retry, "the task to be in retry")
        assert (seen["retried"], seen["max_retry"]) == (1, 5)
        assert "AttemptCancelledError" in seen["last_error"]


async def test_we_cancel_what_go_runs(go: Go, redis_url: str) -> None:
    """Go fails the attempt; by waiting, our inspector finds the task in retry and archives it."""
    await go("start_server", name="g", retry_delay=600)
    await go("enqueue", type="x", payload=b'{"act": "block"}', options={"task_id": "t", "max_retry": 5})
    await go.event("run", task="t")
    async with Inspector(redis_url, wire="asynq") as inspector:
        assert await inspector.tasks.cancel("default", "t") == "requested"
        await go.event("end", task="t", outcome="context canceled")

        async def is_in_retry() -> bool:
            return (await inspector.tasks.get("default", "t")).state == "retry"

        await wait_until(is_in_retry, "Go to put it into retry")
        assert await inspector.tasks.cancel("default", "t") == "cancelled"
        await go("enqueue", type="x", payload=b'{"act": "block"}', options={"task_id": "u", "max_retry": 5})
        await go.event("run", task="u")
        assert await inspector.tasks.cancel("default", "u", wait=20) == "cancelled"
    assert (await go("task", queue="default", id="u"))["state"] == "archived"

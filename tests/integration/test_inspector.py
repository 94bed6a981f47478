"""The inspector's first rooms: single tasks, servers, and the audit."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pytest

from asyncq import Client, Inspector, Mux, Server, Task, TaskInfo
from asyncq.errors import QueueNotFoundError, TaskNotFoundError
from tests.conftest import AnyRedis
from tests.support.waiting import wait_until


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


async def test_what_was_probably_meant_is_named_too(any_redis: AnyRedis) -> None:
    """A queue whose name is like it, and a queue that has the task."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        info = await client.enqueue(Task("x"), queue="mails")
        await client.enqueue(Task("x"), queue="other")
        with pytest.raises(QueueNotFoundError) as missing_queue:
            await inspector.tasks.get("mail", "id")
        assert missing_queue.value.near == ("mails",)
        with pytest.raises(TaskNotFoundError) as missing_task:
            await inspector.tasks.get("other", info.id)
        assert missing_task.value.elsewhere == ("mails",)


async def test_a_running_task_is_cancelled_and_archived(any_redis: AnyRedis) -> None:
    """The handler is stopped where it waits; nobody runs the task again."""
    mux, began, ended = Mux(), asyncio.Event(), asyncio.Event()

    @mux.handle("long")
    async def long(task: Task) -> None:
        del task
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        info = await client.enqueue(Task("long"))
        async with Server(any_redis.url, concurrency=1).running(mux):
            await asyncio.wait_for(began.wait(), 10)
            assert await inspector.tasks.cancel("default", info.id) == "requested"
            await asyncio.wait_for(ended.wait(), 10)

            async def archived() -> bool:
                return (await inspector.tasks.get("default", info.id)).state == "archived"

            await wait_until(archived, "the task to be archived")
        seen = await inspector.tasks.get("default", info.id)
        assert "TaskCancelledError" in seen.last_error
        assert seen.retried == 0
        assert (await inspector.audit()).is_clean


async def test_a_cancellation_whose_message_was_missed_is_found_with_the_lease(any_redis: AnyRedis) -> None:
    """The wish stays with the delivery, and the lease keeper looks."""
    mux, began, ended = Mux(), asyncio.Event(), asyncio.Event()

    @mux.handle("long")
    async def long(task: Task) -> None:
        del task
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        info = await client.enqueue(Task("long"))
        # Without subscriptions no message arrives.
        server = Server(any_redis.url, concurrency=1, waking="poll", task_check_interval=0.05, lease=1)
        async with server.running(mux):
            await asyncio.wait_for(began.wait(), 10)
            assert await inspector.tasks.cancel("default", info.id) == "requested"
            await asyncio.wait_for(ended.wait(), 10)


async def test_a_task_that_does_not_run_is_left_alone(any_redis: AnyRedis) -> None:
    """And the answer says why."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        info = await client.enqueue(Task("x"))
        assert await inspector.tasks.cancel("default", info.id) == "pending"
        assert (await inspector.tasks.get("default", info.id)).state == "pending"


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

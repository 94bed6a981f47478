"""Changing tasks that wait: what a server gets then, and what a version check keeps from happening."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncq import Client, Codecs, Inspector, Mux, Server, Task
from asyncq.errors import (
    ConfigError,
    DuplicateTaskError,
    PayloadError,
    QueueNotFoundError,
    TaskChangedError,
    TaskNotFoundError,
    TaskStateError,
)
from tests.conftest import AnyRedis
from tests.integration.test_inspector_actions import assert_sound
from tests.integration.test_inspector_pages import both
from tests.support.waiting import wait_until


async def test_a_server_gets_the_task_as_it_was_changed(any_redis: AnyRedis) -> None:
    """A scheduled one that is due earlier now is noticed by a server that slept until later."""
    mux, seen = Mux(), list[Any]()

    @mux.handle("x")
    async def note(task: Task) -> None:
        seen.append((task.payload, dict(task.headers)))

    async with both(any_redis) as (client, inspector):
        info = await client.enqueue(Task("x", {"n": 1}), queue="q", process_in=3600, headers={"a": "b"})
        before = await inspector.tasks.get("q", info.id)
        async with Server(any_redis.url, queues=["q"]).running(mux):
            changed = await inspector.tasks.edit(
                "q", info.id, payload={"n": 2}, max_retry=7, timeout=math.inf
            )
            assert (changed.payload, changed.max_retry, changed.timeout) == ({"n": 2}, 7, 0.0)
            assert (changed.state, changed.next_process_at) == ("scheduled", before.next_process_at)
            moved = await inspector.tasks.reschedule("q", info.id, delay=0.05, version=changed.version)
            assert moved.state in ("scheduled", "pending", "active")
            await wait_until(lambda: seen, "it to run")
        assert seen == [({"n": 2}, {"a": "b"})]
        await assert_sound(inspector)


async def test_everything_that_may_change(any_redis: AnyRedis) -> None:
    """And nothing else does."""
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    async with both(any_redis) as (client, inspector):
        info = await client.enqueue(
            Task("x", 1), queue="q", process_in=60, headers={"a": "b"}, task_id="mine"
        )
        changed = await inspector.tasks.edit(
            "q", "mine", payload=[2], headers={"c": "d"}, max_retry=1, timeout=5, deadline=later,
            expires_at=later, retention=60, retry="slow",
        )  # fmt: skip
        assert (changed.payload, changed.headers, changed.max_retry, changed.timeout) == (
            [2],
            {"c": "d"},
            1,
            5,
        )
        assert (changed.deadline, changed.expires_at, changed.retention) == (later, later, 60)
        assert (changed.retry_policy, changed.enqueued_at, changed.type) == ("slow", info.enqueued_at, "x")
        assert changed.version != (await inspector.tasks.edit("q", "mine", payload=b"raw")).version
        assert (await inspector.tasks.get("q", "mine")).raw == b"raw"


async def test_the_payload_is_written_as_the_old_one_was(any_redis: AnyRedis) -> None:
    """The server may know no other codec."""
    async with Client(any_redis.url, codecs=Codecs("json")) as client, Inspector(any_redis.url) as inspector:
        info = await client.enqueue(Task("x", {"n": 1}), queue="q")
        changed = await inspector.tasks.edit("q", info.id, payload={"n": 2})
        assert (changed.codec, changed.raw) == ("json", b'{"n":2}')


async def test_a_task_that_changed_meanwhile_is_left_alone(any_redis: AnyRedis) -> None:
    """Two operators, one decision."""
    async with both(any_redis) as (client, inspector):
        info = await client.enqueue(Task("x", 1), queue="q", process_in=60)
        seen = await inspector.tasks.get("q", info.id)
        listed = (await inspector.tasks.list("q", "scheduled")).tasks[0]
        assert seen.version == listed.version != ""
        assert info.version == ""
        answers = await asyncio.gather(
            *(inspector.tasks.edit("q", info.id, payload=n, version=seen.version) for n in range(5)),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, TaskChangedError) for answer in answers) == 4
        with pytest.raises(TaskChangedError):
            await inspector.tasks.reschedule("q", info.id, delay=5, version=seen.version)
        # Without a version each of them is made, one after the other.
        await asyncio.gather(
            inspector.tasks.edit("q", info.id, headers={"a": "b"}),
            inspector.tasks.edit("q", info.id, max_retry=3),
        )
        now = await inspector.tasks.get("q", info.id)
        assert (now.headers, now.max_retry) == ({"a": "b"}, 3)


async def test_the_lock_of_a_unique_task_follows_its_payload(any_redis: AnyRedis) -> None:
    """Its old payload may be enqueued then, the new one not."""
    async with both(any_redis) as (client, inspector):
        info = await client.enqueue(Task("x", 1), queue="q", unique=600)
        other = await client.enqueue(Task("x", 3), queue="q", unique=600)
        await inspector.tasks.edit("q", info.id, payload=2)
        with pytest.raises(DuplicateTaskError):
            await client.enqueue(Task("x", 2), queue="q", unique=600)
        await client.enqueue(Task("x", 1), queue="q", unique=600)
        with pytest.raises(DuplicateTaskError):
            await inspector.tasks.edit("q", info.id, payload=3)
        assert (await inspector.tasks.get("q", info.id)).payload == 2
        await assert_sound(inspector)
        await inspector.tasks.delete("q", info.id)
        await client.enqueue(Task("x", 2), queue="q", unique=600)
        await inspector.tasks.reschedule("q", other.id, delay=3600)
        assert (
            any_redis.client.pttl(f"asyncq:{{q}}:unique:{other.unique_key or _suffix(any_redis, other.id)}")
            > 0
        )
        await assert_sound(inspector)


def _suffix(redis: AnyRedis, task_id: str) -> str:
    found: Any = redis.client.hget(f"asyncq:{{q}}:t:{task_id}", "unique")
    return str(found.decode())


async def test_an_archived_task_is_repaired_and_runs(any_redis: AnyRedis) -> None:
    """What the archive is for."""
    async with both(any_redis) as (client, inspector):
        info = await client.enqueue(Task("x", "wrong"), queue="q")
        await inspector.tasks.archive("q", info.id)
        await inspector.tasks.edit("q", info.id, payload="right")
        at = datetime.now(UTC) + timedelta(hours=1)
        moved = await inspector.tasks.reschedule("q", info.id, at=at)
        assert (moved.state, moved.payload, moved.next_process_at) == ("scheduled", "right", at)
        await inspector.tasks.run("q", info.id)
        moved = await inspector.tasks.reschedule("q", info.id, at=at)
        assert moved.state == "scheduled"
        await assert_sound(inspector)


async def test_what_cannot_be_changed_says_why(any_redis: AnyRedis) -> None:
    """By its state, or because it is not there."""
    async with both(any_redis) as (client, inspector):
        info = await client.enqueue(Task("x", 1), queue="q", group="g")
        with pytest.raises(TaskStateError, match="is aggregating, and would have to be scheduled"):
            await inspector.tasks.reschedule("q", info.id, delay=5)
        assert (await inspector.tasks.edit("q", info.id, payload=2)).payload == 2
        any_redis.client.zrem("asyncq:{q}:g:g", info.id)
        with pytest.raises(TaskStateError, match="being aggregated"):
            await inspector.tasks.edit("q", info.id, payload=3)
        with pytest.raises(TaskNotFoundError):
            await inspector.tasks.edit("q", "nobody", payload=3)
        with pytest.raises(QueueNotFoundError):
            await inspector.tasks.reschedule("nowhere", info.id, delay=3)
        with pytest.raises(PayloadError, match="limit"):
            await inspector.tasks.edit("q", info.id, payload=b"x" * 2_000_000)
        with pytest.raises(PayloadError, match="codec"):
            await inspector.tasks.edit("q", info.id, payload=object())


async def test_a_time_after_its_deadline_is_refused(any_redis: AnyRedis) -> None:
    """It would be dropped unseen."""
    async with both(any_redis) as (client, inspector):
        info = await client.enqueue(Task("x"), queue="q", expires_in=600, process_in=5)
        with pytest.raises(ConfigError, match="expires_at"):
            await inspector.tasks.reschedule("q", info.id, delay=3600)
        await inspector.tasks.reschedule("q", info.id, delay=300)


@pytest.mark.parametrize(
    ("method", "arguments", "told"),
    [
        ("edit", {}, "something to change"),
        ("edit", {"group": "r"}, "something that can be changed"),
        ("edit", {"process_in": 5}, "something that can be changed"),
        ("edit", {"max_retry": -1}, "max_retry"),
        ("edit", {"headers": {"a": 1}}, "headers"),
        ("reschedule", {}, "at or delay"),
        ("reschedule", {"at": datetime.now(UTC), "delay": 5}, "at or delay"),
        ("reschedule", {"at": datetime(2026, 1, 1)}, "naive"),  # noqa: DTZ001 - that is the mistake
        ("reschedule", {"delay": -1}, "delay"),
        ("reschedule", {"delay": math.inf}, "delay"),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    method: str, arguments: dict[str, Any], told: str
) -> None:
    """There is no Redis here at all."""
    async with Inspector("redis://127.0.0.1:1") as inspector:
        with pytest.raises(ConfigError, match=told):
            await getattr(inspector.tasks, method)("q", "id", **arguments)

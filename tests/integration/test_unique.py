"""The lock of a unique task goes with its owner, on whatever way the owner goes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from redis import Redis
from redis.cluster import RedisCluster

from asyncq import Client, Context, Inspector, Mux, RetryIn, RevokeTask, Server, SkipRetry, Task
from asyncq.errors import DuplicateTaskError, TaskIdConflictError
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, settled

UNIQUE: dict[str, Any] = {"unique": 3600}


def _locks(client: Redis | RedisCluster) -> list[str]:
    """The owners of all locks."""
    found = list(cast("Any", client).scan_iter(match="*{default}:unique:*"))
    return [cast("Any", client).get(key).decode() for key in found]


async def _is_refused(client: Client, kind: str) -> bool:
    """Whether another one is a duplicate. One that is not waits for an hour, and is deleted by nobody."""
    try:
        await client.enqueue(Task(kind), process_in=3600, **UNIQUE)
    except DuplicateTaskError:
        return True
    return False


def _mux() -> Mux:
    mux = Mux()

    @mux.handle("done")
    async def done(_: Task) -> None:
        """Succeed."""

    errors = {
        "revoke": RevokeTask(),
        "skip": SkipRetry(),
        "fail": OSError("always"),
        "later": RetryIn(3600, counts=False),
    }
    for name, error in errors.items():
        mux.handle(name, _raising(error))
    return mux


def _raising(error: Exception) -> Any:
    async def handler(_: Task) -> None:
        raise error

    return handler


@pytest.mark.parametrize(
    ("kind", "options", "place", "is_held"),
    [
        ("done", {}, "done", False),
        ("done", {"retention": 60}, "completed", False),
        ("revoke", {}, "revoked", False),
        ("done", {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "expired", False),
        ("fail", {}, "retry", True),
        ("later", {}, "retry", True),
        ("unknown", {}, "scheduled", True),
        ("fail", {"max_retry": 0}, "archived", True),
        ("skip", {}, "archived", True),
    ],
)
async def test_the_lock_is_held_for_as_long_as_its_owner_may_run(
    any_redis: AnyRedis, kind: str, options: dict[str, Any], place: str, *, is_held: bool
) -> None:
    """And in the archive, as in asynq, for the rest of its time."""
    async with at_work(any_redis.url, _mux(), unknown_delay=60) as (client, _):
        info = await client.enqueue(Task(kind), **options, **UNIQUE)
        await settled(any_redis.client, **{place: 1})
        assert _locks(any_redis.client) == ([info.id] if is_held else [])
        assert await _is_refused(client, kind) == is_held
    async with Inspector(any_redis.url) as inspector:
        assert (await inspector.audit()).is_clean


@pytest.mark.parametrize(("kind", "options"), [("fail", {"max_retry": 0}), ("skip", {})])
async def test_the_archive_gives_up_locks_where_it_is_told_to(
    any_redis: AnyRedis, kind: str, options: dict[str, Any]
) -> None:
    """For those who want the next one to run although this one failed."""
    async with at_work(any_redis.url, _mux(), unlock_archived=True) as (client, _):
        await client.enqueue(Task(kind), **options, **UNIQUE)
        await settled(any_redis.client, archived=1)
        assert _locks(any_redis.client) == []
        assert not await _is_refused(client, kind)
    async with Inspector(any_redis.url) as inspector:
        assert (await inspector.audit()).is_clean


async def test_a_task_that_cannot_be_read_gives_up_its_lock_too(redis_url: str, redis_client: Redis) -> None:
    """What its message says of a lock cannot be read either; its hash says it."""
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("done"), **UNIQUE)
        redis_client.hset(f"asyncq:{{default}}:t:{info.id}", "msg", b"\xc1")
        async with at_work(redis_url, _mux(), unlock_archived=True):
            await settled(redis_client, archived=1)
        assert not await _is_refused(client, "done")


async def test_a_task_that_is_handed_back_keeps_its_lock(redis_url: str, redis_client: Redis) -> None:
    """A server that leaves in order gives back the task, and not what makes it unique."""
    mux, began = Mux(), asyncio.Event()

    @mux.handle("slow")
    async def slow(_: Task, __: Context) -> None:
        began.set()
        await asyncio.Event().wait()

    async with Client(redis_url) as client:
        info = await client.enqueue(Task("slow"), **UNIQUE)
        async with Server(redis_url, shutdown_timeout=0).running(mux):
            await began.wait()
        await settled(redis_client, pending=1)
        assert _locks(redis_client) == [info.id]
        assert await _is_refused(client, "slow")


async def test_what_the_janitor_removes_loses_its_lock(redis_url: str, redis_client: Redis) -> None:
    """An archived task that is one too many, and a completed one whose time is over."""
    options = {"archive_max_count": 0, "janitor_interval": 0.05}
    async with at_work(redis_url, _mux(), **options) as (client, _):
        await client.enqueue(Task("skip"), **UNIQUE)
        await client.enqueue(Task("done"), retention=0.01, **UNIQUE)
        await settled(redis_client, trimmed=1, reaped=1)
        assert _locks(redis_client) == []
        for kind in ("skip", "done"):
            assert not await _is_refused(client, kind)


async def test_an_id_that_is_taken_takes_no_lock(any_redis: AnyRedis) -> None:
    """A task that was refused must not keep others away for an hour."""
    async with Client(any_redis.url) as client:
        await client.enqueue(Task("other"), task_id="taken")
        with pytest.raises(TaskIdConflictError):
            await client.enqueue(Task("x"), task_id="taken", **UNIQUE)
        assert _locks(any_redis.client) == []
        assert not await _is_refused(client, "x")


async def test_the_owner_itself_may_be_enqueued_again(any_redis: AnyRedis) -> None:
    """With its own id it is the same task, which is there already: neither a duplicate nor a second one."""
    async with Client(any_redis.url) as client:
        task = Task("x", task_id="mine", **UNIQUE)
        await client.enqueue(task)
        with pytest.raises(TaskIdConflictError):
            await client.enqueue(task)
        assert _locks(any_redis.client) == ["mine"]
        assert await _is_refused(client, "x")


@pytest.mark.parametrize("damage", ["gone", "another"])
async def test_a_lock_without_a_living_owner_is_void(any_redis: AnyRedis, damage: str) -> None:
    """Its owner was deleted by hand, and perhaps its id was given to a task that holds no lock."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        await client.enqueue(Task("x"), task_id="owner", process_in=3600, **UNIQUE)
        any_redis.client.delete("asyncq:{default}:t:owner")
        any_redis.client.zrem("asyncq:{default}:scheduled", "owner")
        if damage == "another":
            await client.enqueue(Task("y"), task_id="owner")
        assert _locks(any_redis.client) == ["owner"]
        assert not await _is_refused(client, "x")
        (owner,) = _locks(any_redis.client)
        assert owner != "owner"
        await inspector.repair(await inspector.audit())
        assert _locks(any_redis.client) == [owner]


async def test_the_time_is_a_limit_also_while_the_owner_waits(redis_url: str, redis_client: Redis) -> None:
    """As in asynq: no lock stands for ever. What it outlives is said in the guide."""
    async with Client(redis_url) as client:
        first = await client.enqueue(Task("x"), unique=0.05)
        key = f"asyncq:{{default}}:unique:{first.unique_key}"
        assert 0 < cast("int", redis_client.pttl(key)) <= 50
        # Its time is over: no need to wait for it.
        redis_client.pexpire(key, 0)
        second = await client.enqueue(Task("x"), **UNIQUE)
        async with at_work(redis_url, _mux(), unknown_delay=60):
            await settled(redis_client, scheduled=2)
        # The first is not the owner any more, whatever becomes of it.
        assert _locks(redis_client) == [second.id]

"""What a handler does, and what becomes of its task."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack
import pytest
from redis import Redis

from asyncq._wire.native import decode_result
from asyncq.context import Context
from asyncq.errors import RetryIn, RevokeTask, SkipRetry
from asyncq.mux import Mux
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, settled, task_hash
from tests.support.waiting import wait_until


def _raising(make: Callable[[], BaseException]) -> Mux:
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        raise make()

    @mux.handle("fine")
    async def fine(task: Task) -> None:
        """Succeed."""

    return mux


async def test_every_kind_of_outcome_on_every_kind_of_redis(any_redis: AnyRedis) -> None:
    """The same features on each."""
    mux = Mux()
    errors = {
        "fail": ValueError("why"),
        "skip": SkipRetry("no"),
        "revoke": RevokeTask("no"),
        "later": RetryIn(60),
    }

    @mux.handle("ok")
    async def ok(task: Task) -> None:
        """Succeed."""

    @mux.handle("kept")
    async def kept(task: Task) -> dict[str, int]:
        return {"answer": 42}

    @mux.handle("error:")
    async def failing(task: Task) -> None:
        raise errors[task.type.removeprefix("error:")]

    async with at_work(any_redis.url, mux) as (client, _):
        await client.enqueue(Task("ok"), unique=60)
        info = await client.enqueue(Task("kept"), retention=60)
        failed = await client.enqueue(Task("error:fail"))
        for name in ("skip", "revoke", "later"):
            await client.enqueue(Task(f"error:{name}"))
        await client.enqueue(Task("unknown"))
        census = await settled(
            any_redis.client, done=1, completed=1, retry=2, archived=1, revoked=1, scheduled=1
        )
    assert not census.locks
    kept_hash = task_hash(any_redis.client, info.id)
    codec, raw = decode_result(kept_hash["result"].encode("utf-8", "surrogateescape"))
    assert (codec, msgpack.unpackb(raw)) == ("msgpack", {"answer": 42})
    assert task_hash(any_redis.client, failed.id)["error"] == "ValueError: why"


@pytest.mark.parametrize(
    ("signal", "place"),
    [
        (SkipRetry("no use"), {"archived": 1}),
        (RevokeTask("never mind"), {"revoked": 1}),
        (RetryIn(60), {"retry": 1}),
    ],
)
@pytest.mark.parametrize("wrapping", ["plain", "group", "nested group", "cause"])
async def test_signals_are_heard_however_they_come(
    redis_url: str, redis_client: Redis, signal: Exception, place: dict[str, int], wrapping: str
) -> None:
    """A handler that uses a task group can only raise them in a group."""

    def wrapped() -> BaseException:
        if wrapping == "plain":
            return signal
        if wrapping == "cause":
            outer = ValueError("outer")
            outer.__cause__ = signal
            return outer
        group = ExceptionGroup("several", [ValueError("other"), signal])
        return ExceptionGroup("outer", [group]) if wrapping == "nested group" else group

    async with at_work(redis_url, _raising(wrapped)) as (client, _):
        await client.enqueue(Task("work"))
        await settled(redis_client, **place)


@pytest.mark.parametrize(("counts", "retried"), [(True, "1"), (False, None)])
async def test_retry_in_may_cost_nothing(
    redis_url: str, redis_client: Redis, *, counts: bool, retried: str | None
) -> None:
    """Waiting for somebody else's rate limit is no failure."""
    async with at_work(redis_url, _raising(lambda: RetryIn(30, counts=counts))) as (client, _):
        info = await client.enqueue(Task("work"), max_retry=1)
        census = await settled(redis_client, retry=1)
    assert task_hash(redis_client, info.id).get("retried") == retried
    assert census["retry"] == [info.id]
    due = redis_client.zscore("asyncq:{default}:retry", info.id)
    assert due == pytest.approx(datetime.now(UTC).timestamp() + 30, abs=5)


@pytest.mark.parametrize(
    "make",
    [SystemExit, KeyboardInterrupt, GeneratorExit, lambda: BaseExceptionGroup("g", [KeyboardInterrupt()])],
    ids=["SystemExit", "KeyboardInterrupt", "GeneratorExit", "group"],
)
@pytest.mark.parametrize("where", ["loop", "thread"])
async def test_nothing_that_a_handler_raises_ends_the_server(
    redis_url: str, redis_client: Redis, make: Callable[[], BaseException], where: str
) -> None:
    """Whatever it raises is the outcome of its task and nobody else's business."""
    mux = Mux()

    def blocking(task: Task) -> None:
        raise make()

    async def on_loop(task: Task) -> None:
        raise make()

    mux.handle("bad", on_loop if where == "loop" else blocking)

    @mux.handle("fine")
    async def fine(task: Task) -> None:
        """Succeed."""

    async with at_work(redis_url, mux) as (client, _):
        info = await client.enqueue(Task("bad"))
        await settled(redis_client, retry=1)
        await client.enqueue(Task("fine"))
        await settled(redis_client, retry=1, done=1)
    assert task_hash(redis_client, info.id)["retried"] == "1"


async def _cancel_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.Event().wait()


async def _raise_cancelled() -> None:
    raise asyncio.CancelledError


async def _cancel_something_inside() -> None:
    inner = asyncio.ensure_future(asyncio.Event().wait())
    asyncio.get_running_loop().call_soon(inner.cancel)
    await inner


@pytest.mark.parametrize("cancel", [_cancel_itself, _raise_cancelled, _cancel_something_inside])
async def test_a_handler_that_cancels_itself_has_failed(
    redis_url: str, redis_client: Redis, cancel: Callable[[], Any]
) -> None:
    """Putting its task back, as a shutdown does, would run it again and again without end."""
    runs = 0
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        nonlocal runs
        runs += 1
        await cancel()

    async with at_work(redis_url, mux) as (client, _):
        info = await client.enqueue(Task("work"))
        await settled(redis_client, retry=1)
    assert runs == 1
    assert "cancelled itself" in task_hash(redis_client, info.id)["error"]


async def test_a_thread_may_end_an_iteration_too_many(redis_url: str, redis_client: Redis) -> None:
    """`next()` on an empty iterator: asyncio cannot carry a StopIteration, and would wait for ever."""
    mux = Mux()

    @mux.handle("work")
    def work(task: Task) -> None:
        next(iter(()))

    async with at_work(redis_url, mux) as (client, _):
        info = await client.enqueue(Task("work"))
        await settled(redis_client, retry=1)
    assert "StopIteration" in task_hash(redis_client, info.id)["error"]


@pytest.mark.parametrize(
    ("limit", "word"),
    [({"timeout": 0.05}, "timeout"), ({"timeout": timedelta(seconds=0.05)}, "timeout"), ({}, "deadline")],
)
async def test_time_limits_stop_a_handler(
    redis_url: str, redis_client: Redis, limit: dict[str, Any], word: str
) -> None:
    """Also those below a second. The handler sees a cancellation and may clean up."""
    cleaned_up = False
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task, ctx: Context) -> None:
        nonlocal cleaned_up
        assert ctx.deadline is not None
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up = ctx.is_cancelled

    async with at_work(redis_url, mux) as (client, _):
        given = limit or {"deadline": datetime.now(UTC) + timedelta(seconds=0.1)}
        info = await client.enqueue(Task("work", **given))
        await settled(redis_client, retry=1)
    assert cleaned_up
    assert word in task_hash(redis_client, info.id)["error"]


async def test_a_task_that_is_taken_after_its_deadline_is_not_run(
    redis_url: str, redis_client: Redis
) -> None:
    """Nor is a handler that never waits, and that nobody could stop. The attempt counts as failed."""
    ran: list[str] = []
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        ran.append(task.payload)

    async with at_work(redis_url, mux) as (client, _):
        info = await client.enqueue(Task("work", "late"), deadline=datetime.now(UTC) - timedelta(seconds=1))
        await client.enqueue(Task("work", "in time"), deadline=datetime.now(UTC) + timedelta(seconds=60))
        await settled(redis_client, retry=1, done=1)
    assert ran == ["in time"]
    assert "deadline" in task_hash(redis_client, info.id)["error"]


async def test_a_handler_may_finish_although_it_is_told_to_stop(redis_url: str, redis_client: Redis) -> None:
    """It was about to be done; what it says counts, and not what we wished."""
    mux = Mux()

    @mux.handle("work")
    def work(task: Task, ctx: Context) -> str:
        assert ctx.wait_cancelled(10)
        return "done all the same"

    async with at_work(redis_url, mux) as (client, _):
        info = await client.enqueue(Task("work"), timeout=0.05, retention=60)
        await settled(redis_client, completed=1)
    assert "done all the same" in task_hash(redis_client, info.id)["result"]


async def test_a_task_that_waits_for_a_thread_does_not_run_after_its_time(
    redis_url: str, redis_client: Redis
) -> None:
    """It was settled as timed out: running it then would be a second run nobody knows of."""
    release = threading.Event()
    ran: list[str] = []
    mux = Mux()

    @mux.handle("work")
    def work(task: Task) -> None:
        ran.append(task.payload)
        release.wait(10)

    async with at_work(redis_url, mux, threads=1) as (client, _):
        await client.enqueue(Task("work", "first"))
        await wait_until(lambda: ran, "the first to run")
        await client.enqueue(Task("work", "second"), timeout=0.05)
        await settled(redis_client, active=1, retry=1)
        release.set()
        await settled(redis_client, done=1, retry=1)
    assert ran == ["first"]

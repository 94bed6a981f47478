"""What a handler does, and what becomes of its task."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack
import pytest
from redis import Redis

from asyncq._wire.native import decode_result
from asyncq.config import Failure
from asyncq.context import Context, current_context
from asyncq.errors import RetryIn, RevokeTask, SkipRetry
from asyncq.mux import Mux
from asyncq.retry import Fixed
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, inside, settled, task_hash
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


async def test_a_policy_is_asked_for_by_name(redis_url: str, redis_client: Redis) -> None:
    """An unknown name falls back to the server's own, and is reported."""
    policies = {"patient": Fixed(5000.0), "by hand": lambda retried, error, task: 700.0 + retried}
    async with at_work(redis_url, _raising(ValueError), retry_policies=policies) as (client, _):
        due = {}
        for name in ("patient", "by hand", "unheard-of"):
            due[name] = (await client.enqueue(Task("work", retry=name))).id
        await settled(redis_client, retry=3)
    now = datetime.now(UTC).timestamp()
    for name, delay in (("patient", 5000), ("by hand", 700), ("unheard-of", 60)):
        assert redis_client.zscore("asyncq:{default}:retry", due[name]) == pytest.approx(now + delay, abs=5)


@pytest.mark.parametrize("max_retry", [0, 1, 2])
async def test_retries_are_used_up(redis_url: str, redis_client: Redis, max_retry: int) -> None:
    """Then the task is archived; `ctx` says which attempt it is."""
    attempts: list[tuple[int, int, bool]] = []
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task, ctx: Context) -> None:
        assert current_context() is ctx
        attempts.append((ctx.attempt, ctx.deliveries, ctx.is_last_attempt))
        raise ValueError("again")

    async with at_work(redis_url, mux, retry=Fixed(0)) as (client, _):
        info = await client.enqueue(Task("work"), max_retry=max_retry)
        await settled(redis_client, archived=1)
    assert attempts == [(n + 1, n, n == max_retry) for n in range(max_retry + 1)]
    assert task_hash(redis_client, info.id)["reason"] == "exhausted"


async def test_an_error_that_is_no_failure_uses_no_retry_up(redis_url: str, redis_client: Redis) -> None:
    """`is_failure` decides."""
    async with at_work(redis_url, _raising(ValueError), is_failure=lambda error: False) as (client, _):
        info = await client.enqueue(Task("work"), max_retry=0)
        await settled(redis_client, retry=1)
    assert "retried" not in task_hash(redis_client, info.id)
    assert redis_client.get("asyncq:{default}:failed") is None


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
async def test_an_is_failure_that_fails_says_yes(
    redis_url: str, redis_client: Redis, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """The error counts, and the bug is reported."""

    def is_failure(_: BaseException) -> bool:
        raise error

    async with at_work(redis_url, _raising(ValueError), is_failure=is_failure) as (client, _):
        info = await client.enqueue(Task("work"))
        await settled(redis_client, retry=1)
    assert task_hash(redis_client, info.id)["retried"] == "1"
    assert "is_failure failed" in caplog.text


@pytest.mark.parametrize("kind", ["sync", "async", "failing", "exiting"])
async def test_the_error_handler_is_told(redis_url: str, redis_client: Redis, kind: str) -> None:
    """Whatever it does itself, the outcome of the task is the same."""
    told: list[Failure] = []

    def note(failure: Failure) -> None:
        told.append(failure)
        if kind == "failing":
            raise ValueError("of the error handler")
        if kind == "exiting":
            raise SystemExit

    async def note_later(failure: Failure) -> None:
        await asyncio.sleep(0)
        note(failure)

    on_error = note_later if kind == "async" else note
    async with at_work(redis_url, _raising(lambda: ValueError("why")), on_error=on_error) as (client, _):
        await client.enqueue(Task("work", "p"), max_retry=3)
        await client.enqueue(Task("work", "q"), max_retry=0)
        await settled(redis_client, retry=1, archived=1)
    first, last = sorted(told, key=lambda failure: not failure.will_retry)
    assert (first.task.payload, str(first.error), first.retried, first.max_retry) == ("p", "why", 0, 3)
    assert (first.will_retry, first.delay, last.will_retry, last.delay) == (True, 60.0, False, 0.0)


async def test_an_error_handler_that_is_cancelled_does_not_lose_the_outcome(
    redis_url: str, redis_client: Redis
) -> None:
    """The time-out of the task hits while it waits. The task was once active for ever after."""

    async def slow(failure: Failure) -> None:
        await asyncio.Event().wait()

    async with at_work(redis_url, _raising(ValueError), on_error=slow) as (client, server):
        await client.enqueue(Task("work"), timeout=0.05)
        await settled(redis_client, retry=1)
        await wait_until(lambda: not inside(server)._held, "nothing to be held")  # noqa: SLF001 - no public name


async def test_expired_tasks_are_dropped_and_the_hook_told(redis_url: str, redis_client: Redis) -> None:
    """Not started in time is not worth starting; one that was started once goes on."""
    told: list[str] = []

    async def on_expired(task: Task) -> None:
        told.append(task.id)

    async with at_work(redis_url, _raising(AssertionError), on_expired=on_expired) as (client, _):
        info = await client.enqueue(Task("work"), expires_at=datetime(2020, 1, 1, tzinfo=UTC), unique=60)
        census = await settled(redis_client, expired=1)
    assert told == [info.id]
    assert not census.locks


async def test_what_cannot_be_read_is_archived_and_the_rest_goes_on(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """One damaged message must not stop a queue."""
    for task_id, message in (("garbage", b"\xff\x00"), ("newer", msgpack.packb([99, "fine", b"", 0.0]))):
        redis_client.hset(f"asyncq:{{default}}:t:{task_id}", mapping={"msg": message})
        redis_client.lpush("asyncq:{default}:pending", task_id)
        redis_client.hincrby("asyncq:{default}:flow", "created", 1)
    redis_client.lpush("asyncq:{default}:pending", "vanished")
    redis_client.hincrby("asyncq:{default}:flow", "created", 1)
    with caplog.at_level(logging.ERROR, "asyncq.server"):
        async with at_work(redis_url, _raising(ValueError)) as (client, _):
            await client.enqueue(Task("fine"))
            await settled(redis_client, archived=2, done=1, vanished=1)
    assert task_hash(redis_client, "newer")["reason"] == "unreadable"
    assert "version 99" in task_hash(redis_client, "newer")["error"]
    assert [getattr(record, "event", "") for record in caplog.records] == ["unreadable", "unreadable"]


async def test_a_type_that_nobody_knows_goes_back_for_a_while(redis_url: str, redis_client: Redis) -> None:
    """In the middle of a deployment the next server may know it. No retry is counted."""
    seen: list[int] = []
    async with at_work(redis_url, _raising(ValueError), unknown_delay=0.01) as (client, server):
        info = await client.enqueue(Task("tomorrow"), max_retry=0)
        counts = inside(server).executor._conclusions.counts  # type: ignore[union-attr]  # noqa: SLF001 - no public name
        await wait_until(lambda: counts.unknown >= 2, "it to be offered again")
    mux = Mux()

    @mux.handle("tomorrow")
    async def tomorrow(task: Task, ctx: Context) -> None:
        seen.append(ctx.retried)

    async with at_work(redis_url, mux):
        await settled(redis_client, done=1)
    assert seen == [0]
    assert task_hash(redis_client, info.id) == {}

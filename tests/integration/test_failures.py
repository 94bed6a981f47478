"""Tasks that fail, expire, or cannot be run here: retries, and who is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

import msgpack
import pytest
from redis import Redis

from asyncq.config import Failure
from asyncq.context import Context, current_context
from asyncq.mux import Mux
from asyncq.retry import Fixed
from asyncq.task import Task
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

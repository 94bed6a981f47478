"""A scheduler that enqueues nothing though it should, and how that is said."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from asyncq import Inspector, Scheduler, Task
from asyncq.errors import AsyncqError, BrokerUnavailableError, SchedulerStalledError
from asyncq.options import TaskOptions
from asyncq.task_info import TaskInfo
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until


async def test_a_scheduler_that_enqueues_nothing_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """In its health, in the log, and to whoever wants to be told; and again when it is over."""
    told: list[AsyncqError | None] = []
    with RedisProcess() as redis:
        scheduler = Scheduler(
            redis.url,
            stalled_after=1.0,
            enqueue_timeout=1.0,
            heartbeat_interval=1.0,
            health_check=told.append,
        )
        scheduler.register("@every 1s", Task("work"))
        assert scheduler.health.state == "stopped"
        async with Inspector(redis.url) as inspector, scheduler.running():
            await wait_until(lambda: told, "the first health check")
            assert told[0] is None
            await wait_until(lambda: scheduler.health.last_tick_at is not None, "the first time")
            redis.pause()
            await wait_until(lambda: isinstance(told[-1], SchedulerStalledError), "somebody to be told")
            health = scheduler.health
            assert health.state == "stalled"
            assert health.overdue_since is not None
            redis.resume()
            await wait_until(lambda: told[-1] is None, "somebody to be told that it is over")
            assert scheduler.health.state == "ok"

            async def is_shown() -> bool:
                (info,) = await inspector.schedulers.list()
                return info.health == "ok" and info.last_tick_at is not None

            await wait_until(is_shown, "its health to be shown")
            await scheduler.stop()
            assert scheduler.health.state == "stopped"
    events = [getattr(record, "event", "") for record in caplog.records if record.levelno >= logging.WARNING]
    assert events.index("scheduler_stalled") < events.index("scheduler_recovered")


async def test_a_health_check_says_when_redis_is_away(redis_url: str) -> None:
    """Also while nothing is due."""
    told: list[AsyncqError | None] = []
    with RedisProcess() as redis:
        scheduler = Scheduler(redis.url, health_check=told.append, health_check_interval=1.0)
        async with scheduler.running():
            await wait_until(lambda: told, "the first health check")
            redis.kill()
            await wait_until(lambda: isinstance(told[-1], BrokerUnavailableError), "the error")
            redis.start()
            await wait_until(lambda: told[-1] is None, "all to be well")


async def test_middleware_that_hangs_makes_no_other_entry_late(redis_url: str) -> None:
    """It is given up, and what hung is tried again while the others go on."""
    errors: list[Exception] = []
    placed: list[str] = []

    async def hang(task: Task, options: TaskOptions, call_next: Any) -> TaskInfo:
        if task.type == "hangs":
            await asyncio.Event().wait()
        return await call_next(task, options)  # type: ignore[no-any-return]

    def after(outcome: TaskInfo | Exception) -> None:
        if isinstance(outcome, TaskInfo):
            placed.append(outcome.type)

    scheduler = Scheduler(
        redis_url,
        middleware=[hang],
        enqueue_timeout=1.0,
        post_enqueue=after,
        on_error=lambda _, error: errors.append(error),
    )
    scheduler.register("@every 1s", Task("hangs"), catch_up="all")
    scheduler.register("@every 1s", Task("works"))
    async with scheduler.running():
        await wait_until(lambda: len(errors) >= 2, "what hangs to be given up")
        assert all(isinstance(error, TimeoutError) for error in errors)
        assert len(placed) >= 2
        assert scheduler.health.state == "ok"
    assert set(placed) == {"works"}

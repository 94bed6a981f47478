"""Runs of an entry that take longer than the time to the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from asyncq import Client, Inspector, Mux, Scheduler, Server, SkipRetry, Task
from asyncq._wire.keys import Keys
from tests.conftest import AnyRedis
from tests.support.keyspace import read_task
from tests.support.waiting import wait_until

QUEUE = Keys().queue("default")


class Work:
    """A handler whose runs last until they are let go."""

    def __init__(self) -> None:
        self.mux = Mux()
        self.mux.handle("work")(self.run)
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.most = 0
        self._going: dict[str, asyncio.Event] = {}

    async def run(self, task: Task) -> None:
        """Run until it is let go."""
        event = self._going[task.id] = asyncio.Event()
        self.started.append(task.id)
        self.most = max(self.most, len(self._going))
        try:
            await event.wait()
        except asyncio.CancelledError:
            self.cancelled.append(task.id)
            raise
        finally:
            del self._going[task.id]

    def let_go(self) -> None:
        """End all runs."""
        for event in self._going.values():
            event.set()

    async def until_started(self, count: int) -> None:
        """Wait for so many runs to begin."""
        await wait_until(lambda: len(self.started) >= count, f"run {count}")


def _tick(client: Any) -> dict[str, str]:
    found = read_task(client, QUEUE.tick("x"))
    return {name.decode(): value.decode() for name, value in found.items()}


async def _until_over(client: Any, more_than: float = 0.0) -> float:
    """Wait until a later time of the entry is over; which one it is."""

    def later() -> bool:
        return float(_tick(client).get("at", 0)) > more_than

    await wait_until(later, "the next time")
    return float(_tick(client)["at"])


def _scheduler(url: str, overlap: Any, **options: Any) -> Scheduler:
    scheduler = Scheduler(url, **options)
    scheduler.register("@every 1s", Task("work"), entry_id="x", overlap=overlap)
    return scheduler


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_times_are_left_out_while_a_run_goes_on(any_redis: AnyRedis) -> None:
    """And the history says which run stood in the way."""
    work = Work()
    async with Inspector(any_redis.url) as inspector, Server(any_redis.url).running(work.mux):
        async with _scheduler(any_redis.url, "skip").running():
            await work.until_started(1)
            await _until_over(any_redis.client, await _until_over(any_redis.client) + 1.5)

            async def is_noted() -> bool:
                events = await inspector.schedulers.events("x")
                return any(f"(task {work.started[0]})" in event.error for event in events)

            await wait_until(is_noted, "the reason in the history")
            assert len(work.started) == 1
            work.let_go()
            await work.until_started(2)
        work.let_go()
    assert work.most == 1


@pytest.mark.parametrize("any_redis", ["cluster"], indirect=True)
async def test_one_time_waits_for_the_end_of_a_run(any_redis: AnyRedis) -> None:
    """It begins when that ends, and not at its next time; what comes meanwhile is left out."""
    work = Work()
    scheduler = _scheduler(any_redis.url, "queue_one")
    async with Server(any_redis.url).running(work.mux), scheduler.running():
        await work.until_started(1)
        await wait_until(lambda: "queued" in _tick(any_redis.client), "one to wait")
        queued = _tick(any_redis.client)["queued"]
        await _until_over(any_redis.client, float(queued))
        assert _tick(any_redis.client)["queued"] == queued
        await scheduler.stop()  # so that no other time can come
        work.let_go()
        await work.until_started(2)
        assert work.started[1].endswith(f"-{float(queued):.3f}")
        work.let_go()
        await wait_until(lambda: "queued" not in _tick(any_redis.client), "nobody to wait")
    assert work.most == 1
    assert len(work.started) == 2


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_who_waits_is_not_forgotten_with_its_scheduler(any_redis: AnyRedis) -> None:
    """It stands in Redis: another scheduler enqueues it when its turn comes."""
    work = Work()
    async with Server(any_redis.url).running(work.mux):
        first = _scheduler(any_redis.url, "queue_one")
        async with first.running():
            await work.until_started(1)
            await wait_until(lambda: "queued" in _tick(any_redis.client), "one to wait")
        queued = float(_tick(any_redis.client)["queued"])
        # Its own times are far away: what it enqueues soon is what waits.
        other = Scheduler(any_redis.url)
        other.register("@yearly", Task("work"), entry_id="x", overlap="queue_one")
        async with other.running():
            work.let_go()
            await work.until_started(2)
            assert work.started[1].endswith(f"-{queued:.3f}")
            work.let_go()


async def test_who_waits_in_a_queue_that_its_entry_has_left_waits_no_more(
    redis_url: str, redis_client: Any
) -> None:
    """Nobody may enqueue it there by the old definition, and the history says so."""
    work = Work()
    async with (
        Client(redis_url) as client,
        Server(redis_url).running(work.mux),
        Scheduler(redis_url).running(),
    ):
        schedules = client.schedules
        await schedules.add("@every 1s", Task("work"), entry_id="x", overlap="queue_one")
        await work.until_started(1)
        await wait_until(lambda: "queued" in _tick(redis_client), "one to wait")
        await schedules.upsert("@yearly", Task("work"), entry_id="x", overlap="queue_one", queue="other")
        work.let_go()
        await wait_until(lambda: "queued" not in _tick(redis_client), "nobody to wait")

        async def is_told() -> bool:
            return "changed" in {event.reason for event in await schedules.history("x")}

        await wait_until(is_told, "the reason in the history")
        assert len(work.started) == 1


@pytest.mark.parametrize("how", ["pause", "remove"])
async def test_what_waits_when_its_entry_is_paused_or_removed_never_runs(
    redis_url: str, redis_client: Any, how: str
) -> None:
    """Not when its turn comes, not when the entry is back, and the history says why."""
    work = Work()
    async with (
        Client(redis_url) as client,
        Server(redis_url).running(work.mux),
        Scheduler(redis_url).running(),
    ):
        schedules = client.schedules
        await schedules.add("@every 1s", Task("work"), entry_id="x", overlap="queue_one")
        await work.until_started(1)
        await wait_until(lambda: "queued" in _tick(redis_client), "one to wait")
        queued = float(_tick(redis_client)["queued"])
        await (schedules.pause("x") if how == "pause" else schedules.remove("x"))
        assert not [name for name in _tick(redis_client) if name not in ("at", "kept", "run")]
        (told,) = [event for event in await schedules.history("x") if event.count and not event.task_id]
        assert (told.nominal_at.timestamp(), told.reason) == (queued, f"{how}d")
        work.let_go()
        if how == "pause":
            await schedules.resume("x")
        else:
            await schedules.add("@every 1s", Task("work"), entry_id="x", overlap="queue_one")
        await work.until_started(2)
        assert float(work.started[1].rpartition("-")[2]) > queued + 0.5
        work.let_go()


@pytest.mark.parametrize("any_redis", ["cluster"], indirect=True)
async def test_a_run_that_takes_too_long_is_cancelled(any_redis: AnyRedis) -> None:
    """When the next one comes, which does not wait for it."""
    work = Work()
    async with Server(any_redis.url).running(work.mux):
        async with _scheduler(any_redis.url, "cancel_running").running():
            await work.until_started(3)
            await wait_until(lambda: len(work.cancelled) >= 2, "two to be cancelled")
        assert work.cancelled[:2] == work.started[:2]

        def is_done() -> bool:
            return not [name for name in _tick(any_redis.client) if name.startswith("cancel:")]

        await wait_until(is_done, "nothing to be left to cancel")
        work.let_go()


def _failing(error: Callable[[], Exception]) -> tuple[Mux, list[str]]:
    mux, ran = Mux(), list[str]()

    @mux.handle("work")
    async def work(task: Task) -> None:
        ran.append(task.id)
        raise error()

    return mux, ran


@pytest.mark.parametrize("overlap", ["skip", "queue_one"])
async def test_a_run_that_is_archived_blocks_none(redis_url: str, overlap: str) -> None:
    """It will never end by itself; it has ended."""
    mux, ran = _failing(lambda: SkipRetry("it is broken"))
    async with Server(redis_url).running(mux), _scheduler(redis_url, overlap).running():
        await wait_until(lambda: len(set(ran)) >= 2, "the second run")


async def test_a_run_that_is_to_be_retried_is_not_over(redis_url: str, redis_client: Any) -> None:
    """It will run again, so that the next one would run beside it."""
    mux, ran = _failing(lambda: ValueError("later"))
    async with Server(redis_url).running(mux), _scheduler(redis_url, "skip").running():
        at = await _until_over(redis_client)
        await _until_over(redis_client, at + 1)
        assert len(set(ran)) == 1

"""Cancelling: what waits does not run, and what runs is stopped, wherever it runs and whatever was missed."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis

from asyncq import Client, Context, Inspector, Mux, RetryIn, RevokeTask, Server, Task
from asyncq.errors import (
    ConfigError,
    DuplicateTaskError,
    QueueNotFoundError,
    TaskArchivedError,
    TaskCancelledError,
)
from asyncq.inspector import BulkReport, cancelling
from asyncq.inspector.cancelling import CancelAnswer
from tests.conftest import AnyRedis
from tests.integration import process_handlers
from tests.integration.serving import at_work, inside, settled, task_hash
from tests.support.servers import RedisProcess, is_gone
from tests.support.waiting import wait_until

EXECUTORS = ["loop", "thread", "process"]


def _in_its_own_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in a loop that ends with it: anyio keeps idle processes for as long as their loop lives."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


@contextmanager
def _deaf(process: RedisProcess) -> Generator[str]:
    """Give the URL of a user who may not subscribe: whatever is said to him is missed."""
    with process.client() as client:
        rights = ("~*", "&*", "+@all", "-subscribe")
        cast("Any", client).execute_command("ACL", "SETUSER", "deaf", "on", ">secret", *rights)
        try:
            yield process.url.replace("://", "://deaf:secret@", 1)
        finally:
            cast("Any", client).execute_command("ACL", "DELUSER", "deaf")


def _say(note: str) -> None:
    Path(note).write_text("0", encoding="ascii")


class Stopped:
    """Handlers that run until they are stopped, one for each executor; the payload is where they say so."""

    def __init__(self) -> None:
        self.mux = Mux()
        self.mux.handle("loop")(self._in_loop)
        self.mux.handle("thread")(self._in_thread)
        self.mux.handle("process", process_handlers.hang, executor="process")
        self.ended = asyncio.Event()

    async def _in_loop(self, task: Task) -> None:
        _say(task.payload)
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    def _in_thread(self, task: Task, ctx: Context) -> None:
        _say(task.payload)
        assert ctx.wait_cancelled(30)
        assert ctx.cancel_reason == "cancelled"
        message = "stopped half-way"
        raise InterruptedError(message)


async def _begun(note: Path) -> int:
    """Wait until a handler runs; the process that it runs in, 0 for this one."""

    def read() -> str:
        return note.read_text(encoding="ascii") if note.exists() else ""

    await wait_until(lambda: read() != "", "the handler to begin")
    return int(read())


@pytest.mark.parametrize("executor", EXECUTORS)
@_in_its_own_loop
async def test_a_running_task_is_stopped(
    redis_url: str, redis_client: Redis, tmp_path: Path, executor: str
) -> None:
    """A coroutine is cancelled, a thread is told, a process is killed; the task is archived, not retried."""
    note, stopped = tmp_path / "note", Stopped()
    async with (
        at_work(redis_url, stopped.mux, lease=60) as (client, _),
        Inspector(redis_url) as inspector,
    ):
        info = await client.enqueue(Task(executor, str(note)), unique=60)
        pid = await _begun(note)
        assert await inspector.tasks.cancel("default", info.id, wait=30) == "cancelled"
        if pid:
            await wait_until(lambda: is_gone(pid), "the process to be gone")
        seen = await inspector.tasks.get("default", info.id)
        assert (seen.state, seen.retried) == ("archived", 0)
        assert "TaskCancelledError" in seen.last_error
        assert task_hash(redis_client, info.id)["reason"] == "cancelled"
        assert await client.enqueue(Task(executor, str(note)), unique=60, process_in=60), "its lock is free"
        await settled(redis_client, archived=1, scheduled=1)
        assert (await inspector.audit()).is_clean


@pytest.mark.parametrize("executor", EXECUTORS)
@_in_its_own_loop
async def test_a_missed_message_is_found_with_the_lease(
    redis_url: str, redis_process: RedisProcess, redis_client: Redis, tmp_path: Path, executor: str
) -> None:
    """The wish stands in the task, and whoever extends its lease looks."""
    note, stopped = tmp_path / "note", Stopped()
    with _deaf(redis_process) as deaf_url:
        async with (
            at_work(deaf_url, stopped.mux, lease=1, task_check_interval=0.05) as (client, _),
            Inspector(redis_url) as inspector,
        ):
            info = await client.enqueue(Task(executor, str(note)))
            await _begun(note)
            assert await inspector.tasks.cancel("default", info.id) == "requested"
            await settled(redis_client, archived=1)
            assert task_hash(redis_client, info.id)["reason"] == "cancelled"


async def test_an_end_that_nobody_told_of_is_still_by_our_wish(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wish is sent again after a while, and finds the task archived: by the wish before."""
    monkeypatch.setattr(cancelling, "ASK_AGAIN", 0.1)
    base = "asyncq:{default}:"
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        info = await client.enqueue(Task("loop"))
        task = f"{base}t:{info.id}"
        redis_client.lrem(f"{base}pending", 0, info.id)
        redis_client.zadd(f"{base}lease", {info.id: 9e9})
        redis_client.hset(task, mapping={"state": "active", "delivery": "server:1"})
        answer = asyncio.ensure_future(inspector.tasks.cancel("default", info.id, wait=10))
        await wait_until(lambda: redis_client.hexists(task, "cancel"), "the wish")
        with redis_client.pipeline() as at_once:
            at_once.hset(task, mapping={"state": "archived", "reason": "cancelled", "failed_at": 1})
            at_once.hdel(task, "delivery", "cancel")
            at_once.zrem(f"{base}lease", info.id)
            at_once.zadd(f"{base}archived", {info.id: 1})
            at_once.execute()
        assert await answer == "cancelled"
        assert (await inspector.audit()).is_clean


async def test_a_wish_is_bound_to_one_delivery(redis_url: str, redis_client: Redis, tmp_path: Path) -> None:
    """Neither a message that comes late nor a wish that is left over stops a later attempt."""
    note, stopped = tmp_path / "note", Stopped()
    async with (
        at_work(redis_url, stopped.mux, lease=1) as (client, server),
        Inspector(redis_url) as inspector,
    ):
        info = await client.enqueue(Task("loop", str(note)))
        await _begun(note)
        (run,) = inside(server).executor.active  # type: ignore[union-attr]
        earlier = f"{server.id}:{int(run.delivery.token.rpartition(':')[2]) + 7}"
        redis_client.hset(f"asyncq:{{default}}:t:{info.id}", "cancel", earlier)
        cast("Any", redis_client).publish(f"asyncq:to:{server.id}", f"cancel {earlier}")
        # Two extensions of the lease go by, which would have found it.
        ends = redis_client.zscore("asyncq:{default}:lease", info.id)
        for _ in range(2):
            before = ends

            def is_extended(before: object = before) -> bool:
                nonlocal ends
                ends = redis_client.zscore("asyncq:{default}:lease", info.id)
                return ends != before

            await wait_until(is_extended, "the lease to be extended")
        assert not stopped.ended.is_set()
        assert await inspector.tasks.cancel("default", info.id, wait=30) == "cancelled"


async def test_a_waiting_task_is_cancelled(any_redis: AnyRedis) -> None:
    """In each state in which it may wait, once, with its lock; what is over is left alone."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        infos = [
            await client.enqueue(Task("x", 1), unique=3600),
            await client.enqueue(Task("x", 2), process_in=3600, unique=3600),
            await client.enqueue(Task("x", 3), group="g"),
            await client.enqueue(Task("x", 4), group="g"),
        ]
        for info in infos[:3]:
            assert await inspector.tasks.cancel("default", info.id) == "cancelled"
            assert await inspector.tasks.cancel("default", info.id) == "archived"
            seen = await inspector.tasks.get("default", info.id)
            assert (seen.state, seen.last_error) == ("archived", "TaskCancelledError: cancelled: on request")
            with pytest.raises(TaskArchivedError, match=r"\(cancelled\)"):
                await client.result(info)
        await client.enqueue(Task("x", 1), unique=3600)
        await client.enqueue(Task("x", 2), unique=3600)
        assert (await inspector.audit()).is_clean
    await settled(any_redis.client, archived=3, pending=2, aggregating=1)


async def test_a_task_that_waits_for_its_retry_is_cancelled(any_redis: AnyRedis) -> None:
    """And keeps the error for which it was to be retried."""
    mux = Mux()

    @mux.handle("fail")
    async def fail(_: Task) -> None:
        message = "not now"
        raise OSError(message)

    async with at_work(any_redis.url, mux) as (client, _), Inspector(any_redis.url) as inspector:
        info = await client.enqueue(Task("fail"), unique=3600)
        await settled(any_redis.client, retry=1)
        with pytest.raises(DuplicateTaskError):
            await client.enqueue(Task("fail"), unique=3600)
        assert await inspector.tasks.cancel("default", info.id) == "cancelled"
        assert (await inspector.tasks.get("default", info.id)).last_error == "OSError: not now"
        await client.enqueue(Task("fail"), unique=3600, process_in=60)
        assert (await inspector.audit()).is_clean


@pytest.mark.parametrize(
    ("what", "archived"),
    [(ValueError("in between"), True), (RetryIn(0), True), (RevokeTask(), False), (None, None)],
)
async def test_what_a_handler_makes_of_it(
    redis_url: str, redis_client: Redis, what: Exception | None, *, archived: bool | None
) -> None:
    """An error while it cleans up does not bring it back. It may finish, or have the task forgotten."""
    mux, began = Mux(), asyncio.Event()

    @mux.handle("stubborn")
    async def stubborn(_: Task) -> str:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if what is not None:
                raise what from None
        return "finished all the same"

    failures: list[Any] = []
    async with (
        at_work(redis_url, mux, on_error=failures.append) as (client, _),
        Inspector(redis_url) as inspector,
    ):
        info = await client.enqueue(Task("stubborn"), retention=60)
        await began.wait()
        expected: dict[bool | None, CancelAnswer] = {True: "cancelled", False: "gone", None: "completed"}
        assert await inspector.tasks.cancel("default", info.id, wait=30) == expected[archived]
        if archived:
            assert type(what).__name__ in task_hash(redis_client, info.id)["error"]
            (failure,) = failures
            assert isinstance(failure.error, TaskCancelledError)
            assert not failure.will_retry
        if archived is None:
            assert await client.result(info) == "finished all the same"


async def test_a_server_that_leaves_does_not_put_it_back(redis_url: str, redis_client: Redis) -> None:
    """Whoever cancelled was told that it is requested: nobody shall run it again."""
    mux, began = Mux(), asyncio.Event()

    @mux.handle("slow")
    async def slow(_: Task) -> None:
        began.set()
        await asyncio.Event().wait()

    # It hears nothing but its own end: no messages, and no extension of a lease in time.
    server = Server(redis_url, concurrency=1, waking="poll", lease=60, shutdown_timeout=0)
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        async with server.running(mux):
            info = await client.enqueue(Task("slow"))
            await began.wait()
            assert await inspector.tasks.cancel("default", info.id) == "requested"
        assert task_hash(redis_client, info.id)["reason"] == "cancelled"
        await settled(redis_client, archived=1)
        assert (await inspector.audit()).is_clean


async def test_waiting_for_the_end_has_an_end(redis_url: str, redis_client: Redis) -> None:
    """A handler that does not let itself be stopped takes its time; the answer is what is known by then."""
    mux, began, go = Mux(), asyncio.Event(), asyncio.Event()

    @mux.handle("slow")
    async def slow(_: Task) -> None:
        began.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue

    async with at_work(redis_url, mux) as (client, _), Inspector(redis_url) as inspector:
        info = await client.enqueue(Task("slow"))
        await began.wait()
        answer = await inspector.tasks.cancel("default", info.id, wait=timedelta(seconds=0.1))
        assert answer == "requested"
        go.set()
        await settled(redis_client, done=1)


async def test_a_wrong_wait_is_named_before_anything_is_sent() -> None:
    """Nobody listens at this address."""
    async with Inspector("redis://127.0.0.1:1") as inspector:
        with pytest.raises(ConfigError, match="wait"):
            await inspector.tasks.cancel("default", "id", wait=-1)


async def test_tasks_may_be_cancelled_while_they_are_taken(any_redis: AnyRedis) -> None:
    """Each ends in one place, whichever came first; none runs again."""
    mux, ran = Mux(), set[str]()

    @mux.handle("short")
    async def short(_: Task, ctx: Context) -> None:
        assert ctx.id not in ran
        ran.add(ctx.id)
        await asyncio.sleep(0.005)

    async with (
        at_work(any_redis.url, mux, concurrency=2) as (client, _),
        Inspector(any_redis.url) as inspector,
    ):
        infos = await asyncio.gather(*(client.enqueue(Task("short"), retention=60) for _ in range(100)))
        wishes = [inspector.tasks.cancel("default", info.id, wait=30) for info in reversed(infos)]
        answers = await asyncio.gather(*wishes)
        assert set(answers) <= {"cancelled", "completed"}
        cancelled = answers.count("cancelled")
        assert cancelled
        counts = {"archived": cancelled, "completed": 100 - cancelled}
        census = await settled(
            any_redis.client, **cast("Any", {place: count for place, count in counts.items() if count})
        )
        assert set(census["completed"]) <= ran
        assert (await inspector.audit()).is_clean


async def test_all_that_match_are_cancelled(any_redis: AnyRedis) -> None:
    """What runs is stopped and what waits is archived; counted first, and no more than was said."""
    mux, running = Mux(), asyncio.Semaphore(0)

    @mux.handle("slow")
    async def slow(_: Task) -> None:
        running.release()
        await asyncio.Event().wait()

    reports: list[BulkReport] = []
    async with (
        at_work(any_redis.url, mux, concurrency=4) as (client, _),
        Inspector(any_redis.url) as inspector,
    ):
        for number in range(3):
            await client.enqueue(Task("slow", number))
        for number in range(250):
            await client.enqueue(Task("later" if number % 2 else "soon", number), process_in=3600)
            await client.enqueue(Task("x", number), queue="idle")
        await client.enqueue(Task("x"), queue="idle", group="g")
        for _ in range(3):
            await asyncio.wait_for(running.acquire(), 20)
        tasks = inspector.tasks
        counted = await tasks.cancel_all("default", "active", dry_run=True)
        assert (counted.matched, counted.done, counted.is_complete) == (3, 0, True)
        stopped = await tasks.cancel_all("default", "active")
        assert (stopped.action, stopped.total, stopped.done) == ("cancel", 3, 3)
        limited = await tasks.cancel_all("default", "scheduled", limit=10, type="later")
        assert (limited.done, limited.is_complete) == (10, False)
        rest = await tasks.cancel_all("default", "scheduled", type="later", on_progress=reports.append)
        assert (rest.done, rest.is_complete, reports[-1]) == (115, True, rest)
        assert len(reports) > 1
        await settled(any_redis.client, scheduled=125, archived=128)
        assert (await tasks.cancel_all("idle", "pending")).done == 250
        assert (await tasks.cancel_all("idle", "aggregating", group="g")).done == 1
        await settled(any_redis.client, "idle", archived=251)
        archived = await tasks.list("default", "archived", type="slow")
        assert {info.reason for info in archived} == {"cancelled"}
        assert (await inspector.audit()).is_clean


async def test_what_cannot_be_cancelled_together_is_refused(redis_url: str) -> None:
    """Before anything is sent; and an unknown queue is named."""
    async with Inspector(redis_url) as inspector:
        with pytest.raises(ConfigError, match="active, pending, scheduled, retry or aggregating"):
            await inspector.tasks.cancel_all("q", "archived")
        with pytest.raises(QueueNotFoundError):
            await inspector.tasks.cancel_all("q", "active")

"""Where handlers run: on the loop, in threads, in processes that are really killed, and beyond control."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgpack
import pytest
from redis import Redis

from asyncq._wire.native import decode_result, encode_result
from asyncq.config import Failure
from asyncq.context import Context, current_context
from asyncq.errors import WorkerProcessDiedError
from asyncq.logs import task_fields
from asyncq.mux import Mux
from asyncq.task import Task
from tests.integration import process_handlers
from tests.integration.serving import at_work, inside, settled, task_hash
from tests.support.census import take_census
from tests.support.servers import is_gone
from tests.support.waiting import wait_until


async def test_blocking_handlers_run_in_threads(redis_url: str, redis_client: Redis) -> None:
    """Side by side, away from the loop, with their context at hand."""
    here = threading.get_ident()
    seen: set[tuple[int, str]] = set()
    together = threading.Barrier(3, timeout=10)
    mux = Mux()

    @mux.handle("work")
    def work(task: Task, ctx: Context) -> None:
        together.wait()
        assert current_context() is ctx
        assert (task_fields() or {}).get("task_id") == ctx.id
        seen.add((threading.get_ident(), ctx.id))

    async with at_work(redis_url, mux, threads=3) as (client, _):
        for _ in range(3):
            await client.enqueue(Task("work"))
        await settled(redis_client, done=3)
    assert len({ident for ident, _ in seen}) == 3
    assert here not in {ident for ident, _ in seen}


def _in_its_own_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in a loop that ends with it: anyio keeps idle processes for as long as their loop lives."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


@pytest.fixture
def process_mux() -> Mux:
    """Handlers that run in processes."""
    mux = Mux()
    for name in ("tell_pid", "die", "hang", "fail", "leave", "say_fields"):
        mux.handle(name, getattr(process_handlers, name), executor="process")
    return mux


@_in_its_own_loop
async def test_handlers_run_in_processes(redis_url: str, redis_client: Redis, process_mux: Mux) -> None:
    """Results and errors come back; a process is used again."""
    async with at_work(redis_url, process_mux, processes=1) as (client, _):
        first = await client.enqueue(Task("tell_pid"), retention=60)
        second = await client.enqueue(Task("tell_pid"), retention=60)
        said = await client.enqueue(Task("say_fields"), retention=60)
        failed = await client.enqueue(Task("fail", "why"))
        left = await client.enqueue(Task("leave"))
        await settled(redis_client, completed=3, retry=2)
    # What log records say of the task is sent along, as a process has no context.
    expected = {"task_id": said.id, "type": "say_fields", "queue": "default", "attempt": 1}
    assert _result(redis_client, said.id) == expected
    results = {_result(redis_client, info.id) for info in (first, second)}
    assert len(results) == 1
    assert os.getpid() not in results
    assert task_hash(redis_client, failed.id)["error"] == "ValueError: why"
    assert "SystemExit" in task_hash(redis_client, left.id)["error"]


def _result(client: Redis, task_id: str) -> object:
    raw = client.hget(f"asyncq:{{default}}:t:{task_id}", "result")
    assert isinstance(raw, bytes)
    codec, payload = decode_result(raw)
    assert codec == "msgpack"
    return msgpack.unpackb(payload)


@_in_its_own_loop
async def test_a_handler_that_wants_its_process_to_end_costs_no_other_task(
    redis_url: str, redis_client: Redis, process_mux: Mux
) -> None:
    """It has failed, and the next task gets a process that lives: the same one."""
    told: list[Failure] = []
    async with at_work(redis_url, process_mux, processes=1, on_error=told.append) as (client, _):
        infos = []
        for round_ in range(1, 6):
            infos.append(await client.enqueue(Task("tell_pid"), retention=60))
            await client.enqueue(Task("leave"))
            await settled(redis_client, completed=round_, retry=round_)
    assert [str(one.error) for one in told] == ["the handler crashed: SystemExit: 3"] * 5
    assert len({_result(redis_client, info.id) for info in infos}) == 1


@_in_its_own_loop
async def test_a_process_that_dies_is_a_failure_like_others(
    redis_url: str, redis_client: Redis, process_mux: Mux
) -> None:
    """The kernel ends what takes too much memory. The next task gets another process."""
    told: list[Failure] = []
    async with at_work(redis_url, process_mux, processes=1, on_error=told.append) as (client, _):
        await client.enqueue(Task("die"))
        await settled(redis_client, retry=1)
        await client.enqueue(Task("tell_pid"))
        await settled(redis_client, retry=1, done=1)
    assert isinstance(told[0].error, WorkerProcessDiedError)


@_in_its_own_loop
async def test_a_process_is_killed_when_its_time_is_up(
    redis_url: str, redis_client: Redis, process_mux: Mux, tmp_path: Path
) -> None:
    """What a thread cannot promise: it does not go on in secret."""
    note = tmp_path / "pid"
    async with at_work(redis_url, process_mux, processes=1) as (client, _):
        await client.enqueue(Task("tell_pid"))
        await settled(redis_client, done=1)  # the process is there, which can take longer than the limit
        await client.enqueue(Task("hang", str(note)), timeout=2)
        await wait_until(lambda: note.exists() and note.read_text(), "the handler to begin")
        pid = int(note.read_text())
        assert not is_gone(pid)
        await settled(redis_client, done=1, retry=1)
        await wait_until(lambda: is_gone(pid), "the process to be gone")


@_in_its_own_loop
async def test_a_process_is_killed_when_the_server_leaves(
    redis_url: str, redis_client: Redis, process_mux: Mux, tmp_path: Path
) -> None:
    """And its task put back."""
    note = tmp_path / "pid"
    async with at_work(redis_url, process_mux, shutdown_timeout=0.0) as (client, server):
        await client.enqueue(Task("hang", str(note)))
        await wait_until(lambda: note.exists() and note.read_text(), "the handler to begin")
        pid = int(note.read_text())
        await server.shutdown()
        assert take_census(redis_client).counts == {"pending": 1}
        await wait_until(lambda: is_gone(pid), "the process to be gone")


# -- beyond control -------------------------------------------------------------------------------


async def test_a_handler_that_ignores_its_cancellation_leaks_its_slot_and_is_reported(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The task goes on elsewhere; the slot is taken for as long as it really is."""
    release = asyncio.Event()
    mux = Mux()

    @mux.handle("stubborn")
    async def stubborn(task: Task) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    @mux.handle("fine")
    async def fine(task: Task) -> None:
        """Succeed."""

    with caplog.at_level(logging.ERROR, "asyncq.server"):
        async with at_work(redis_url, mux, concurrency=1, cancel_grace=0.05) as (client, server):
            info = await client.enqueue(Task("stubborn"), timeout=0.05)
            await settled(redis_client, retry=1)
            executor = inside(server).executor
            assert executor is not None
            assert executor.free == 0
            release.set()
            await client.enqueue(Task("fine"))
            await settled(redis_client, retry=1, done=1)
            assert executor.free == 1
    assert [getattr(record, "event", "") for record in caplog.records] == ["slot_leaked"]
    assert "timeout" in task_hash(redis_client, info.id)["error"]


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_stubborn_handler_does_not_keep_the_server_from_leaving(
    redis_url: str, redis_client: Redis, kind: str
) -> None:
    """It gets its grace, and is left behind."""
    release = threading.Event()
    let_go = asyncio.Event()
    mux = Mux()

    async def on_loop(task: Task) -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    def in_thread(task: Task) -> None:
        release.wait(10)

    mux.handle("stubborn", on_loop if kind == "loop" else in_thread)
    async with at_work(redis_url, mux, shutdown_timeout=0.05, cancel_grace=0.05) as (client, server):
        await client.enqueue(Task("stubborn"))
        await settled(redis_client, active=1)
        workers = [run.worker for run in inside(server).executor.active]  # type: ignore[union-attr]
        await server.shutdown()
        assert take_census(redis_client).counts == {"pending": 1}
    release.set()
    let_go.set()
    await asyncio.gather(*(worker for worker in workers if worker), return_exceptions=True)


async def test_an_error_handler_that_hangs_is_asked_once_and_left_behind(
    redis_url: str, redis_client: Redis
) -> None:
    """The outcome was decided before it was told."""
    told: list[Failure] = []
    let_go = asyncio.Event()
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        raise ValueError("why")

    async def on_error(failure: Failure) -> None:
        told.append(failure)
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    options = {"shutdown_timeout": 0.05, "cancel_grace": 0.05, "on_error": on_error}
    async with at_work(redis_url, mux, **options) as (client, server):
        await client.enqueue(Task("work"))
        await wait_until(lambda: told, "the error handler to be told")
        workers = [run.worker for run in inside(server).executor.active]  # type: ignore[union-attr]
        await server.shutdown()
        assert take_census(redis_client).counts == {"retry": 1}
    assert len(told) == 1
    let_go.set()
    await asyncio.gather(*(worker for worker in workers if worker), return_exceptions=True)


# -- what running tasks say, and hear --------------------------------------------------------------


async def test_progress_and_results_are_written_while_it_runs(redis_url: str, redis_client: Redis) -> None:
    """From the loop and from threads; the last word counts."""
    go_on = threading.Event()
    mux = Mux()

    @mux.handle("loop")
    async def on_loop(task: Task, ctx: Context) -> str:
        for step in range(1000):
            ctx.progress(step, 1000, "counting")
        assert await ctx.write_result("half") == len(encode_result("msgpack", msgpack.packb("half")))
        await asyncio.to_thread(go_on.wait, 10)
        return "whole"

    @mux.handle("thread")
    def in_thread(task: Task, ctx: Context) -> None:
        ctx.progress(1, note="begun")
        go_on.wait(10)

    async with at_work(redis_url, mux) as (client, _):
        on_loop_id = (await client.enqueue(Task("loop"), retention=60)).id
        in_thread_id = (await client.enqueue(Task("thread"), retention=60)).id
        await wait_until(lambda: _progress(redis_client, on_loop_id) == [999, 1000, "counting"], "progress")
        await wait_until(lambda: _progress(redis_client, in_thread_id) == [1, None, "begun"], "progress")
        await wait_until(lambda: "result" in task_hash(redis_client, on_loop_id), "the first result")
        assert _result(redis_client, on_loop_id) == "half"
        go_on.set()
        await settled(redis_client, completed=2)
    assert _result(redis_client, on_loop_id) == "whole"


def _progress(client: Redis, task_id: str) -> object:
    raw = client.hget(f"asyncq:{{default}}:t:{task_id}", "progress")
    return msgpack.unpackb(raw) if isinstance(raw, bytes) else None


async def test_a_result_that_cannot_be_stored_does_not_undo_the_work(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Running it again for the sake of its result would do it twice."""
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> object:
        return object()

    async with at_work(redis_url, mux) as (client, _):
        info = await client.enqueue(Task("work"), retention=60)
        await settled(redis_client, completed=1)
    assert "result" not in task_hash(redis_client, info.id)
    assert "cannot be stored" in caplog.text


@pytest.mark.parametrize("heard", ["by message", "with the lease"])
async def test_a_running_task_is_cancelled_on_request(
    redis_url: str, redis_client: Redis, heard: str
) -> None:
    """By a message, or, when that was missed, when its lease is prolonged."""
    running = asyncio.Event()
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        running.set()
        await asyncio.Event().wait()

    async with at_work(redis_url, mux, lease=1.0) as (client, _):
        info = await client.enqueue(Task("work"))
        await running.wait()
        if heard == "by message":
            notes = client._connected().notes  # noqa: SLF001 - the inspector's door is not built yet
            assert await notes.cancel("default", info.id) == "requested"
        else:
            key = f"asyncq:{{default}}:t:{info.id}"
            token = redis_client.hget(key, "delivery")
            assert isinstance(token, bytes)
            redis_client.hset(key, "cancel", token)
        await settled(redis_client, archived=1)
    assert task_hash(redis_client, info.id)["reason"] == "cancelled"


async def test_a_lost_lease_stops_the_work_and_writes_nothing(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else has the task: two at work on it are one too many."""
    running, stopped = asyncio.Event(), asyncio.Event()
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with at_work(redis_url, mux, lease=1.0) as (client, server):
        info = await client.enqueue(Task("work"))
        await running.wait()
        redis_client.hset(f"asyncq:{{default}}:t:{info.id}", "delivery", "somebody:1")
        await asyncio.wait_for(stopped.wait(), 10)
        await wait_until(lambda: not inside(server)._held, "it to be let go")  # noqa: SLF001 - no public name
    assert task_hash(redis_client, info.id)["delivery"] == "somebody:1"
    assert "lease" in caplog.text

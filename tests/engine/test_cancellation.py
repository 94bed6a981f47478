"""Cancel at every await, then count: no task lost, none in two places, none stuck.

The work below has every kind of outcome. It is interrupted after each turn of the event loop, in
each of the ways in which programs are interrupted; then the server is shut down, and nothing may
be active any more: whoever leaves in order gives back what it holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from asyncq._engine.offload import Offload
from asyncq.client import Client
from asyncq.config import Failure
from asyncq.context import Context
from asyncq.errors import ClosedError, RetryIn, RevokeTask, SkipRetry
from asyncq.mux import Mux
from asyncq.server import Server
from asyncq.task import Task
from tests.engine.stepping import Stepper, every_step
from tests.support.census import take_census
from tests.support.waiting import wait_until

_KINDS = ("ok", "kept", "locked", "fail", "skip", "revoke", "later", "slow", "thread", "expired", "unknown")


async def _pause() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def _mux() -> Mux:
    mux = Mux()

    @mux.handle("ok")
    async def ok(task: Task) -> None:
        await _pause()

    @mux.handle("locked")
    async def locked(task: Task) -> None:
        await _pause()

    @mux.handle("kept")
    async def kept(task: Task, ctx: Context) -> str:
        ctx.progress(1, 2)
        await ctx.write_result("half")
        return "whole"

    @mux.handle("slow")
    async def slow(task: Task) -> None:
        await asyncio.Event().wait()

    @mux.handle("thread")
    def thread(task: Task) -> int:
        return 1

    errors = {"fail": ValueError("why"), "skip": SkipRetry(), "revoke": RevokeTask(), "later": RetryIn(60)}
    for name, error in errors.items():
        mux.handle(name, _raising(error))
    mux.handle("expired", _raising(AssertionError("it had expired")))
    return mux


def _raising(error: Exception) -> Callable[[Task], Awaitable[None]]:
    async def handler(task: Task) -> None:
        await asyncio.sleep(0)
        raise error

    return handler


async def _on_error(failure: Failure) -> None:
    await _pause()


async def _on_expired(task: Task) -> None:
    await _pause()


def _server(url: str) -> Server:
    return Server(
        url,
        concurrency=4,
        on_error=_on_error,
        on_expired=_on_expired,
        retry=lambda retried, error, task: 60.0,
        unknown_delay=60.0,
        shutdown_timeout=0.5,
        cancel_grace=0.5,
    )


async def _enqueue_all(url: str) -> None:
    async with Client(url) as client:
        for kind in _KINDS:
            await client.enqueue(
                Task(kind, kind),
                **({"timeout": 0.03} if kind == "slow" else {}),
                **({"retention": 60.0} if kind == "kept" else {}),
                **({"unique": 60.0} if kind == "locked" else {}),
                **({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)} if kind == "expired" else {}),
            )


async def _all_done(server: Server) -> None:
    supervisor = server._supervisor  # noqa: SLF001 - no public name for "nothing is held"
    assert supervisor is not None
    executor = supervisor.executor
    assert executor is not None
    await wait_until(
        lambda: executor._conclusions.counts.delivered >= len(_KINDS) and not supervisor._held,  # noqa: SLF001 - as above
        "every task to be settled",
    )


def _check(client: Redis, step: int, *, may_be_active: bool = False) -> None:
    census = take_census(client)
    assert census.created == len(_KINDS), f"step {step}"
    assert may_be_active or not census["active"], f"step {step}: {census.hashes}"
    client.flushall()


@pytest.fixture
def url(redis_url: str) -> str:
    """An empty Redis, as each run below wants it."""
    return redis_url


@pytest.mark.slow
@pytest.mark.timeout(120)  # some two hundred servers, one after the other
def test_shutting_down_at_every_step_loses_nothing(url: str, redis_client: Redis) -> None:
    """SIGTERM comes when it comes."""

    async def scenario(loop: Stepper) -> None:
        await _enqueue_all(url)
        server = _server(url)
        await server.start(_mux())
        stopping: list[asyncio.Task[None]] = []
        loop.arm(lambda: stopping.append(loop.create_task(server.shutdown(now=loop.step % 2 == 0))))
        await wait_until(lambda: stopping or _is_idle(server), "the end")
        loop.disarm()
        await server.shutdown()
        await asyncio.gather(*stopping)

    for step in every_step(scenario):
        _check(redis_client, step)


def _is_idle(server: Server) -> bool:
    supervisor = server._supervisor  # noqa: SLF001 - no public name for "nothing is held"
    assert supervisor is not None
    assert supervisor.executor is not None
    return supervisor.executor._conclusions.counts.delivered >= len(_KINDS) and not supervisor._held  # noqa: SLF001 - as above


@pytest.mark.slow
@pytest.mark.timeout(120)  # some two hundred servers, one after the other
def test_cancelling_the_handlers_at_every_step_loses_nothing(url: str, redis_client: Redis) -> None:
    """Somebody cancels the asyncio tasks of handlers: code of theirs, or a test harness."""

    async def scenario(loop: Stepper) -> None:
        await _enqueue_all(url)
        server = _server(url)
        await server.start(_mux())
        supervisor = server._supervisor  # noqa: SLF001 - what is under test
        assert supervisor is not None
        assert supervisor.executor is not None
        executor = supervisor.executor

        def cancel() -> None:
            for run in executor.active:
                if run.worker is not None:
                    run.worker.cancel()

        loop.arm(cancel)
        await _all_done(server)
        loop.disarm()
        await server.shutdown()

    for step in every_step(scenario):
        _check(redis_client, step)


@pytest.mark.slow
@pytest.mark.timeout(120)  # some two hundred servers, one after the other
def test_cancelling_serve_at_every_step_loses_nothing(url: str, redis_client: Redis) -> None:
    """From its first step on: a server that is cancelled while it starts leaves nothing running."""

    async def scenario(loop: Stepper) -> None:
        await _enqueue_all(url)
        server = _server(url)
        serving = loop.create_task(server.serve(_mux()))
        loop.arm(serving.cancel)
        await wait_until(lambda: loop.has_acted or _is_started_and_idle(server), "the end")
        loop.disarm()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    for step in every_step(scenario):
        _check(redis_client, step)


def _is_started_and_idle(server: Server) -> bool:
    supervisor = server._supervisor  # noqa: SLF001 - as above
    return supervisor is not None and supervisor.executor is not None and _is_idle(server)


@pytest.mark.slow
@pytest.mark.timeout(120)  # some two hundred servers, one after the other
def test_cancelling_everything_at_every_step_loses_nothing(url: str, redis_client: Redis) -> None:
    """What `asyncio.run` does when the main coroutine ends: all tasks are cancelled, in no order.

    A call to Redis that was on its way may be among them. What it took is then still active, and
    comes back when its lease is over.
    """

    async def scenario(loop: Stepper) -> None:
        await _enqueue_all(url)
        main = asyncio.current_task()
        server = _server(url)
        serving = loop.create_task(server.serve(_mux()))

        def cancel_all() -> None:
            for task in asyncio.all_tasks(loop) - {main}:
                task.cancel()

        loop.arm(cancel_all)
        await wait_until(lambda: loop.has_acted or _is_started_and_idle(server), "the end")
        loop.disarm()
        serving.cancel()
        with suppress(asyncio.CancelledError, ClosedError):
            await serving
        await wait_until(lambda: asyncio.all_tasks(loop) == {main}, "everything to end")

    for step in every_step(scenario):
        _check(redis_client, step, may_be_active=True)


async def test_an_expired_task_is_dropped_whatever_becomes_of_its_hook(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would run when its lease is over: a delivery that was lost counts as a start in time."""

    def spawn(self: Offload, work: Coroutine[Any, Any, None]) -> None:
        self._errands.start(work, name="conclusion").cancel()

    monkeypatch.setattr(Offload, "spawn", spawn)
    async with Client(redis_url) as client, _server(redis_url).running(_mux()):
        await client.enqueue(Task("expired"), expires_at=datetime(2020, 1, 1, tzinfo=UTC))
        await wait_until(
            lambda: redis_client.hget("asyncq:{default}:flow", "expired") == b"1", "the drop", 5.0
        )
    assert take_census(redis_client).counts == {}

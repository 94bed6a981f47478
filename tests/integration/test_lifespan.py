"""What is set up around a server and around each task, and torn down whatever happens."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from redis import Redis

from asyncq._engine import lifespan as lifespan_module
from asyncq.client import Client
from asyncq.context import Context
from asyncq.errors import ClosedError
from asyncq.mux import Call, Mux
from asyncq.server import Server
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, inside, settled
from tests.support.census import take_census
from tests.support.waiting import wait_until


class _Story:
    """Writes down what happens, in a lifespan, a task lifespan and handlers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.mux = Mux()
        self.running = asyncio.Event()
        self.go_on = asyncio.Event()
        self.mux.handle("fine", self._fine)
        self.mux.handle("fail", self._fail)
        self.mux.handle("hold", self._hold)
        self.mux.handle("thread", self._thread)

    @asynccontextmanager
    async def server(self) -> AsyncIterator[str]:
        self.lines.append("server in")
        yield "state"
        self.lines.append("server out")

    @asynccontextmanager
    async def task(self, task: Task, ctx: Context) -> AsyncIterator[str]:
        self.lines.append(f"{task.type} in")
        try:
            yield f"local of {ctx.type}"
        except BaseException as error:
            self.lines.append(f"{task.type} broke: {type(error).__name__} {ctx.cancel_reason or ''}".rstrip())
            raise
        finally:
            await asyncio.sleep(0)
            self.lines.append(f"{task.type} out")

    async def _fine(self, task: Task, ctx: Context) -> None:
        self.lines.append(f"{ctx.state}, {ctx.local}")

    async def _fail(self, task: Task) -> None:
        raise ValueError("no")

    async def _hold(self, task: Task) -> None:
        self.running.set()
        await self.go_on.wait()

    def _thread(self, task: Task, ctx: Context) -> None:
        self.lines.append(f"{ctx.state}, {ctx.local}")


async def test_everything_happens_between_set_up_and_teardown(any_redis: AnyRedis) -> None:
    """Of the server around all tasks, of the task around each, however it ends and wherever it runs."""
    story = _Story()
    story.mux.use(_noting(story))
    async with at_work(
        any_redis.url, story.mux, concurrency=1, lifespan=story.server, task_lifespan=story.task
    ) as (client, _):
        await client.enqueue(Task("fine"))
        await settled(any_redis.client, done=1)
        await client.enqueue(Task("thread"))
        await settled(any_redis.client, done=2)
        await client.enqueue(Task("fail"))
        await settled(any_redis.client, done=2, retry=1)
    assert story.lines == [
        "server in",
        *("fine in", "middleware with local of fine", "state, local of fine", "fine out"),
        *("thread in", "middleware with local of thread", "state, local of thread", "thread out"),
        *("fail in", "middleware with local of fail", "fail broke: ValueError", "fail out"),
        "server out",
    ]


def _noting(story: _Story) -> object:
    async def middleware(task: Task, ctx: Context, call_next: Call) -> object:
        story.lines.append(f"middleware with {ctx.local}")
        return await call_next(task, ctx)

    return middleware


async def test_the_server_is_torn_down_behind_the_last_outcome(redis_url: str, redis_client: Redis) -> None:
    """What is put back at the end of the grace period could still use it."""
    story = _Story()
    left: list[dict[str, int]] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        left.append(take_census(redis_client).counts)

    async with at_work(
        redis_url, story.mux, lifespan=lifespan, task_lifespan=story.task, shutdown_timeout=0.0
    ) as (client, server):
        await client.enqueue(Task("hold"))
        await story.running.wait()
        await server.shutdown()
    assert story.lines == ["hold in", "hold broke: CancelledError shutdown", "hold out"]
    assert left == [{"pending": 1}]


async def test_a_server_whose_set_up_fails_does_not_start(redis_url: str, redis_client: Redis) -> None:
    """It says why, and has taken nothing; its own time-out is not taken for ours."""
    async with Client(redis_url) as client:
        await client.enqueue(Task("fine"))

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        raise TimeoutError("of the database")
        yield

    server = Server(redis_url, lifespan=lifespan)
    with pytest.raises(TimeoutError, match="of the database"):
        await server.start(_Story().mux)
    with pytest.raises(ClosedError):
        _ = server.id
    assert take_census(redis_client).counts == {"pending": 1}


async def test_a_teardown_that_fails_is_not_hidden(redis_url: str) -> None:
    """It ends the server with that error, and everything else was in order before."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        raise ValueError("of the teardown")

    server = Server(redis_url, lifespan=lifespan)
    await server.start(Mux())
    with pytest.raises(ValueError, match="of the teardown"):
        await server.shutdown()


@pytest.mark.parametrize("is_hurried", [False, True])
async def test_a_server_that_enters_can_be_told_to_leave(redis_url: str, *, is_hurried: bool) -> None:
    """A database that does not answer must not keep it; what was set up half-way may clean up.

    Who is in a hurry says so again meanwhile.
    """
    entering, cleaning, may_go_on, cleaned = (asyncio.Event() for _ in range(4))

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        entering.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await may_go_on.wait()
            cleaned.set()
        yield

    server = Server(redis_url, lifespan=lifespan)
    told = [asyncio.ensure_future(server.start(Mux()))]
    await entering.wait()
    told.append(asyncio.ensure_future(server.shutdown()))
    await cleaning.wait()
    if is_hurried:
        told.append(asyncio.ensure_future(server.shutdown(now=True)))
        await asyncio.sleep(0)
    may_go_on.set()
    await asyncio.gather(*told)
    assert cleaned.is_set()


async def test_a_teardown_that_hangs_can_be_hurried(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The second signal means that somebody waits; what hangs is said."""
    monkeypatch.setattr(lifespan_module, "HURRIED", 0.05)
    leaving = asyncio.Event()

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        leaving.set()
        await asyncio.Event().wait()

    server = Server(redis_url, lifespan=lifespan)
    await server.start(Mux())
    shutdown = asyncio.ensure_future(server.shutdown())
    await leaving.wait()
    with caplog.at_level(logging.ERROR, "asyncq.server"):
        await server.shutdown(now=True)
    await shutdown
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [getattr(record, "event", "") for record in errors] == ["lifespan_abandoned"]


async def test_who_hurries_after_the_teardown_is_not_told_off(redis_url: str) -> None:
    """A second signal may come in any moment of leaving."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        torn_down.append(True)

    torn_down: list[bool] = []
    server = Server(redis_url, lifespan=lifespan)
    await server.start(Mux())
    shutdown = asyncio.ensure_future(server.shutdown())
    hurries: list[asyncio.Future[None]] = []
    while not shutdown.done():
        hurries.append(asyncio.ensure_future(server.shutdown(now=bool(torn_down))))
        await asyncio.sleep(0)
    await asyncio.gather(shutdown, *hurries)
    assert torn_down == [True]


async def test_a_broken_task_group_of_the_lifespan_ends_the_server(redis_url: str) -> None:
    """It is entered and left in one asyncio task, as a task group needs it."""

    async def watch() -> None:
        raise ValueError("of the watcher")

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            yield

    server = Server(redis_url, lifespan=lifespan)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - either the group's error, or its cancellation
        await server.serve(Mux())
    assert isinstance(caught.value, BaseExceptionGroup)
    assert caught.group_contains(ValueError, match="of the watcher")


async def test_a_task_whose_set_up_fails_has_failed(redis_url: str, redis_client: Redis) -> None:
    """It is retried as any failure is, and its handler was not called."""
    story = _Story()

    @contextmanager
    def no_session(task: Task, ctx: Context) -> Iterator[None]:
        raise ConnectionError("no session")
        yield

    async with at_work(redis_url, story.mux, task_lifespan=no_session) as (client, _):
        await client.enqueue(Task("fine"))
        await settled(redis_client, retry=1)
    assert story.lines == []


async def test_a_plain_context_manager_will_do(redis_url: str, redis_client: Redis) -> None:
    """And context variables that it sets are seen by the handler, also in a thread."""
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")
    seen: list[str] = []
    mux = Mux()

    @contextmanager
    def of_tenant(task: Task, ctx: Context) -> Iterator[None]:
        token = tenant.set(task.payload)
        yield
        tenant.reset(token)

    @mux.handle("loop")
    async def on_loop(task: Task) -> None:
        seen.append(tenant.get())

    @mux.handle("thread")
    def in_thread(task: Task) -> None:
        seen.append(tenant.get())

    async with at_work(redis_url, mux, task_lifespan=of_tenant) as (client, _):
        await client.enqueue(Task("loop", "a"))
        await client.enqueue(Task("thread", "b"))
        await settled(redis_client, done=2)
    assert sorted(seen) == ["a", "b"]


async def test_a_set_up_that_hangs_ends_with_the_time_of_its_task(
    redis_url: str, redis_client: Redis
) -> None:
    """It is inside the limits, and so is the teardown."""
    story = _Story()

    @asynccontextmanager
    async def stuck(task: Task, ctx: Context) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield

    async with at_work(redis_url, story.mux, task_lifespan=stuck) as (client, _):
        await client.enqueue(Task("fine"), timeout=0.05)
        await settled(redis_client, retry=1)


async def test_without_a_lifespan_there_is_nothing(redis_url: str, redis_client: Redis) -> None:
    """And the mux that was given is the one that is asked."""
    story = _Story()
    async with at_work(redis_url, story.mux) as (client, server):
        await client.enqueue(Task("fine"))
        await settled(redis_client, done=1)
        executor = inside(server).executor
        assert executor is not None
        assert executor._mux is story.mux  # noqa: SLF001 - that nothing is in between shows nowhere else
    assert story.lines == ["None, None"]


async def test_what_is_registered_later_is_found_inside_a_task_lifespan(
    redis_url: str, redis_client: Redis
) -> None:
    """A mux may grow while it is served, and unknown types stay unknown."""
    story = _Story()
    async with at_work(redis_url, story.mux, task_lifespan=story.task) as (client, _):
        await client.enqueue(Task("late"))
        await settled(redis_client, scheduled=1)
        story.mux.handle("later", story._fine)  # noqa: SLF001 - a handler like any other
        await client.enqueue(Task("later"))
        await wait_until(lambda: "later out" in story.lines, "the task to run")
        await settled(redis_client, scheduled=1, done=1)
    assert not any(line.startswith("late ") for line in story.lines)

"""Waiting for results: told at once, and found out all the same when the message was missed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis

from asyncq import Client, Connection, Context, Inspector, Mux, RevokeTask, SkipRetry, Task, TaskInfo
from asyncq import sync as blocking
from asyncq._broker import results
from asyncq.errors import (
    AsyncqError,
    BrokerUnavailableError,
    ClosedError,
    ResultNotKeptError,
    ResultTimeoutError,
    TaskArchivedError,
    TaskNotFoundError,
)
from asyncq.task_info import Progress
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, is_told, subscribers, task_hash
from tests.support.proxy import Proxy
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

# Far more than a message takes, far less than a look every now and then.
PROMPT = 1.0


@pytest.fixture
def only_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself: what is found out was told."""
    monkeypatch.setattr(results, "LOOK_EVERY", 3600.0)


class Handlers:
    """A mux whose handlers wait until they are let go."""

    def __init__(self) -> None:
        self.mux = Mux()
        self.began, self.go = asyncio.Event(), asyncio.Event()
        self.mux.handle("echo")(self.echo)
        self.mux.handle("fail")(self.fail)
        self.mux.handle("revoke")(self.revoke)
        self.mux.handle("steps")(self.steps)

    async def _wait(self) -> None:
        self.began.set()
        await self.go.wait()

    async def echo(self, task: Task) -> Any:
        """Give back what came."""
        await self._wait()
        return task.payload

    async def fail(self, task: Task) -> None:
        """Fail for good."""
        await self._wait()
        raise SkipRetry(f"not {task.payload}")

    async def revoke(self, _: Task) -> None:
        """Ask to be forgotten."""
        await self._wait()
        raise RevokeTask

    async def steps(self, _: Task, ctx: Context) -> None:
        """Say how far it is, and leave a result."""
        ctx.progress(1, 2, "half")
        await ctx.write_result("written")
        await self._wait()


async def _has_looked(client: Client) -> None:
    """Wait until a client knows that the task is not over."""
    area = client._connected().results  # noqa: SLF001 - it has no public name
    await wait_until(lambda: area._listening is not None, "the first look")  # noqa: SLF001 - as above


async def test_who_waits_is_told_at_once(any_redis: AnyRedis, only_told: None) -> None:
    """On each kind of Redis; in a cluster the message crosses from node to node."""
    handlers = Handlers()
    async with at_work(any_redis.url, handlers.mux) as (client, _):
        info = await client.enqueue(Task("echo", {"n": 1}), retention=60)
        waiting = asyncio.create_task(client.result(info, timeout=30))
        await handlers.began.wait()
        await is_told(any_redis)
        assert not waiting.done()
        began = time.monotonic()
        handlers.go.set()
        assert await waiting == {"n": 1}
        assert time.monotonic() - began < PROMPT
    assert "awaited" not in task_hash(any_redis.client, info.id)


async def test_a_result_that_is_there_needs_no_waiting(any_redis: AnyRedis) -> None:
    """And no subscription; by an id, in a queue that is named."""
    handlers = Handlers()
    handlers.go.set()
    async with at_work(any_redis.url, handlers.mux, queues=["q"]) as (client, _):
        info = await client.enqueue(Task("echo", b"bytes"), queue="q", retention=60)
        assert await client.result(info, timeout=30) == b"bytes"
    async with Client(any_redis.url) as client:
        assert await client.result(info.id, queue="q") == b"bytes"
        assert await client.result(info.id, 0, queue="q") == b"bytes"
        assert subscribers(any_redis.client) == 0


async def test_many_wait_over_one_subscription(any_redis: AnyRedis, only_told: None) -> None:
    """Some for the same task: a thousand requests that wait are one connection more."""
    handlers = Handlers()
    async with at_work(any_redis.url, handlers.mux, concurrency=300) as (client, _):
        infos = [
            await client.enqueue(Task("echo", number), retention=60, queue="default") for number in range(250)
        ]
        waiting = [asyncio.create_task(client.result(info, 30)) for info in infos * 2]
        await handlers.began.wait()
        await is_told(any_redis)
        handlers.go.set()
        assert await asyncio.gather(*waiting) == [*range(250)] * 2
        assert subscribers(any_redis.client) == 1


async def test_two_clients_wait_for_one_task(any_redis: AnyRedis, only_told: None) -> None:
    """Each is told on a channel of its own."""
    handlers = Handlers()
    async with at_work(any_redis.url, handlers.mux) as (client, _), Client(any_redis.url) as other:
        info = await client.enqueue(Task("echo", 1), retention=60)
        waiting = [asyncio.create_task(one.result(info, 30)) for one in (client, other)]
        await handlers.began.wait()
        await wait_until(lambda: subscribers(any_redis.client) == 2, "both to listen")
        handlers.go.set()
        assert await asyncio.gather(*waiting) == [1, 1]


async def test_a_task_that_failed_for_good_says_why(any_redis: AnyRedis, only_told: None) -> None:
    """With the error of its last attempt, to those who waited and those who come later."""
    handlers = Handlers()
    async with at_work(any_redis.url, handlers.mux) as (client, _):
        info = await client.enqueue(Task("fail", "today"), retention=60)
        waiting = asyncio.create_task(client.result(info, 30))
        await handlers.began.wait()
        await is_told(any_redis)
        handlers.go.set()
        for later in (waiting, client.result(info)):
            with pytest.raises(TaskArchivedError, match="SkipRetry: not today") as raised:
                await later
            assert (raised.value.reason, raised.value.task_id) == ("skip_retry", info.id)


@pytest.mark.parametrize(("kind", "how"), [("echo", "done"), ("revoke", "revoked")])
async def test_a_task_of_which_nothing_is_kept_says_so(
    redis_url: str, only_told: None, kind: str, how: str
) -> None:
    """Without retention there is no result, however it ended."""
    handlers = Handlers()
    async with at_work(redis_url, handlers.mux) as (client, _):
        info = await client.enqueue(Task(kind, 1))
        waiting = asyncio.create_task(client.result(info.id, 30))
        await handlers.began.wait()
        await _has_looked(client)
        handlers.go.set()
        with pytest.raises(ResultNotKeptError, match="retention") as raised:
            await waiting
        assert raised.value.how in (how, "")
        with pytest.raises(ResultNotKeptError):
            await client.result(info)  # it is known to have been there
        with pytest.raises(TaskNotFoundError) as missing:
            await client.result(info.id)
        assert not isinstance(missing.value, ResultNotKeptError)


async def test_patience_has_an_end(any_redis: AnyRedis) -> None:
    """The task goes on; 0 looks once. The error is a `TimeoutError` and one of ours."""
    async with Client(any_redis.url) as client:
        info = await client.enqueue(Task("x"))
        for limit in (0, 0.05, timedelta(milliseconds=50)):
            with pytest.raises(TimeoutError) as raised:
                await client.result(info, limit)
            assert isinstance(raised.value, ResultTimeoutError)
            assert isinstance(raised.value, AsyncqError)
            assert info.id in str(raised.value)

        # The mark is taken away beside us.
        await wait_until(lambda: "awaited" not in task_hash(any_redis.client, info.id), "the mark to go")
    async with Inspector(any_redis.url) as inspector:
        assert (await inspector.tasks.get("default", info.id)).state == "pending"
        assert (await inspector.audit()).is_clean


async def test_giving_up_leaves_the_others_waiting(redis_url: str, redis_client: Redis) -> None:
    """Whether by a timeout or because the caller was cancelled."""
    handlers = Handlers()
    async with at_work(redis_url, handlers.mux) as (client, _):
        info = await client.enqueue(Task("echo", 1), retention=60)
        first, second = (asyncio.create_task(client.result(info, 30)) for _ in range(2))
        await wait_until(lambda: "awaited" in task_hash(redis_client, info.id), "the mark")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert "awaited" in task_hash(redis_client, info.id)
        handlers.go.set()
        assert await second == 1


async def test_progress_is_shown_while_we_wait(any_redis: AnyRedis, only_told: None) -> None:
    """As soon as the server has written it."""
    handlers = Handlers()
    shown: list[Progress] = []

    def show(progress: Progress) -> None:
        shown.append(progress)
        handlers.go.set()

    async with at_work(any_redis.url, handlers.mux) as (client, _):
        info = await client.enqueue(Task("steps"), retention=60)
        assert await client.result(info, 30, on_progress=show) == "written"
    assert shown == [Progress(1, 2, "half")]


async def test_what_on_progress_raises_ends_the_wait(redis_url: str) -> None:
    """Also when it is a timeout of its own."""
    handlers = Handlers()

    def show(_: Progress) -> None:
        raise TimeoutError("of the callback")

    async with at_work(redis_url, handlers.mux) as (client, _):
        info = await client.enqueue(Task("steps"), retention=60)
        with pytest.raises(TimeoutError, match="of the callback"):
            await client.result(info, 30, on_progress=show)
        handlers.go.set()
        assert await client.result(info, 30) == "written"


@contextmanager
def _behind(proxy: Proxy) -> Generator[Proxy]:
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()


async def test_a_missed_message_costs_one_look(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where subscriptions are not let through, and where they are lost, results come a little later."""
    monkeypatch.setattr(results, "LOOK_EVERY", 0.1)

    def hear_nothing(*_: object) -> None:
        """The message was lost."""

    monkeypatch.setattr(results.Results, "_on_message", hear_nothing)
    handlers = Handlers()
    async with at_work(redis_url, handlers.mux) as (client, _):
        info = await client.enqueue(Task("echo", 1), retention=60)
        waiting = asyncio.create_task(client.result(info, 30))
        await handlers.began.wait()
        await _has_looked(client)
        handlers.go.set()
        assert await waiting == 1


async def test_a_connection_that_is_cut_is_made_again(
    redis_url: str, redis_process: RedisProcess, only_told: None
) -> None:
    """When listening begins again, everything is looked at: what was said meanwhile was not heard."""
    handlers = Handlers()
    with _behind(Proxy(redis_process)) as proxy:
        async with at_work(redis_url, handlers.mux) as (_, _), Client(proxy.url) as client:
            info = await client.enqueue(Task("echo", 1), retention=60)
            waiting = asyncio.create_task(client.result(info, 30))
            await handlers.began.wait()
            await wait_until(lambda: proxy.commands["SUBSCRIBE"] == 1, "the client to listen")
            proxy.refuse()
            handlers.go.set()

            async def is_over() -> bool:
                async with Inspector(redis_url) as inspector:
                    return (await inspector.tasks.get("default", info.id)).state == "completed"

            await wait_until(is_over, "the task to end while nobody hears it")
            proxy.start()
            assert await waiting == 1


async def test_redis_that_stays_away_ends_the_wait(redis_url: str, redis_process: RedisProcess) -> None:
    """With the error of any other call: the patience is the client's."""
    with _behind(Proxy(redis_process)) as proxy:
        async with Client(proxy.url, patience=0.2) as client:
            info = await client.enqueue(Task("x"))
            proxy.refuse()
            with pytest.raises(BrokerUnavailableError):
                await client.result(info, 30)


async def test_closing_ends_every_wait(redis_url: str) -> None:
    """And leaves no connection; also of a connection that is shared."""
    async with Connection(redis_url) as connection:
        client = Client(connection)
        info = await client.enqueue(Task("x"))
        waiting = [asyncio.create_task(client.result(info)) for _ in range(3)]
        await _has_looked(client)
        await client.aclose()
        for one in waiting:
            with pytest.raises(ClosedError):
                await one
        with pytest.raises(ClosedError):
            await client.result(info)


async def test_the_subscription_is_given_up_when_nobody_waits(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that waited once a day does not keep a connection for it; and it is made again."""
    monkeypatch.setattr(results, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(results, "LINGER", 0.1)
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("x"))
        for _ in range(2):
            waiting = asyncio.create_task(client.result(info))
            await wait_until(lambda: subscribers(redis_client) == 1, "the client to listen")
            waiting.cancel()
            await asyncio.wait([waiting])
            await wait_until(lambda: subscribers(redis_client) == 0, "the subscription to end")


async def test_threads_wait_with_the_blocking_client(redis_url: str, redis_client: Redis) -> None:
    """Many at a time, over the same two connections."""
    handlers = Handlers()
    async with at_work(redis_url, handlers.mux) as (_, _):

        def work() -> list[Any]:
            with blocking.Client(redis_url) as client, ThreadPoolExecutor(5) as threads:
                infos = [client.enqueue(Task("echo", number), retention=60) for number in range(5)]
                with pytest.raises(ResultTimeoutError):
                    client.result(infos[0], 0.01)
                loop.call_soon_threadsafe(handlers.go.set)

                def wait(info: TaskInfo) -> Any:
                    return client.result(info.id, 30, queue=info.queue)

                return list(threads.map(wait, infos))

        loop = asyncio.get_running_loop()
        assert await asyncio.to_thread(work) == [0, 1, 2, 3, 4]

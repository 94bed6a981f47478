"""Handlers with a limit: at most so many run over all servers, and nobody waits in a server's place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import pytest
from redis import Redis

from asyncq import Client, Connection, Context, Limit, Mux, Semaphore, Server, Task
from asyncq._engine import limiter
from asyncq.errors import ConfigError
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, inside, settled, task_hash
from tests.support.remains import assert_sound
from tests.support.waiting import wait_until

KEY = "asyncq:sema:{bank}"
LIMIT = Limit("bank", 2)


class Counter:
    """Handlers at work, and how many of them at the same time."""

    def __init__(self) -> None:
        self.inside = self.peak = self.done = 0
        self.gate = asyncio.Event()

    @asynccontextmanager
    async def work(self) -> AsyncGenerator[None]:
        """Count one who is at work."""
        self.inside += 1
        self.peak = max(self.peak, self.inside)
        try:
            yield
            self.done += 1
        finally:
            self.inside -= 1

    def mux(self, limit: Limit | Semaphore = LIMIT, *, wait: float | None = None) -> Mux:
        """Handlers of `bank:`, which wait for the gate or so many seconds, and of `free`, which do not."""
        mux = Mux()

        @mux.handle("bank:", limit=limit)
        async def bank(task: Task) -> None:
            async with self.work():
                await (self.gate.wait() if wait is None else asyncio.sleep(wait))

        @mux.handle("free")
        async def free(task: Task) -> None:
            """Succeed."""

        return mux


async def test_no_more_run_than_the_limit_on_every_kind_of_redis(any_redis: AnyRedis) -> None:
    """Over all servers and queues; every task has its turn, and no retry is counted."""
    counter = Counter()
    options: dict[str, Any] = {"queues": {"default": 1, "low": 1}, "concurrency": 5}
    async with (
        at_work(any_redis.url, counter.mux(wait=0.01), **options) as (client, _),
        Server(any_redis.url, **options).running(counter.mux(wait=0.01)),
    ):
        for number in range(40):
            task = Task(f"bank:{number % 3}", queue=("default", "low")[number % 2], retention=60)
            await client.enqueue(task)
        await wait_until(lambda: counter.done == 40, "every task to be done", 30.0)
        await settled(any_redis.client, completed=20)
        await settled(any_redis.client, "low", completed=20)
    assert counter.peak == 2
    assert not any_redis.client.exists(KEY)


async def test_without_a_slot_a_task_is_scheduled_and_its_place_is_free(
    redis_url: str, redis_client: Redis
) -> None:
    """Others run meanwhile, although the server has but one place more than the limit."""
    counter = Counter()
    async with at_work(redis_url, counter.mux(), concurrency=3) as (client, _):
        for _ in range(5):
            await client.enqueue(Task("bank:pay"))
        parked = await client.enqueue(Task("bank:pay"))
        await settled(redis_client, scheduled=4, active=2)
        free = [await client.enqueue(Task("free")) for _ in range(10)]
        await settled(redis_client, scheduled=4, active=2, done=len(free))
        found = task_hash(redis_client, parked.id)
        assert "retried" not in found
        assert "error" not in found
        counter.gate.set()
        await settled(redis_client, done=6 + len(free))
    assert counter.peak == 2


async def test_a_slot_that_gets_free_is_used_at_once(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a message: long before anybody would have looked, and on another server, too."""
    for name in ("LOOK", "STAND", "PUT_BACK"):
        monkeypatch.setattr(limiter, name, 120.0)
    monkeypatch.setattr(limiter.Limiter, "longest_delay", 120.0)
    counter = Counter()
    async with aclosing(Semaphore(redis_url, "bank", 2)) as semaphore:
        slots = [await semaphore.acquire() for _ in range(2)]
        async with at_work(redis_url, counter.mux(wait=0.0)) as (client, _):
            await client.enqueue(Task("bank:pay"))
            await settled(redis_client, scheduled=1)
            await wait_until(lambda: redis_client.zcard(KEY + ":parked") == 1, "the server to ask")
            await slots[0].release()
            await wait_until(lambda: counter.done == 1, "the task to run")


async def test_a_slot_of_one_who_died_is_used_when_it_runs_out(redis_url: str, redis_client: Redis) -> None:
    """Nobody says a word then; the server knows when to look."""
    counter = Counter()
    now = _now(redis_client)
    redis_client.zadd(KEY, {"dead:1": now + 1.2, "dead:2": now + 60})
    async with at_work(redis_url, counter.mux(wait=0.0)) as (client, _):
        await client.enqueue(Task("bank:pay"))
        await settled(redis_client, scheduled=1)
        await settled(redis_client, done=1)
    assert 1.1 < _now(redis_client) - now < 2.2


def _now(client: Redis) -> float:
    seconds, micros = cast("tuple[int, int]", client.time())
    return float(seconds) + micros / 1e6


@pytest.mark.parametrize("waking", ["push", "poll"])
async def test_polling_servers_find_slots_too(redis_url: str, redis_client: Redis, waking: str) -> None:
    """Where subscriptions are forbidden they look once a second."""
    counter = Counter()
    async with at_work(redis_url, counter.mux(wait=0.0), waking=waking, task_check_interval=0.05) as (
        client,
        _,
    ):
        for _ in range(6):
            await client.enqueue(Task("bank:pay"))
        await settled(redis_client, done=6)
    assert counter.peak <= 2


async def test_a_leaving_server_leaves_its_waiting_tasks_to_others(
    redis_url: str, redis_client: Redis
) -> None:
    """They do not know of them, and would leave them alone until their time comes."""
    counter = Counter()
    async with at_work(redis_url, counter.mux(), shutdown_timeout=0.1) as (client, _):
        for _ in range(6):
            await client.enqueue(Task("bank:pay"))
        await settled(redis_client, scheduled=4, active=2)
    await settled(redis_client, pending=6)
    counter.gate.set()
    async with at_work(redis_url, counter.mux()):
        await settled(redis_client, done=6)


async def test_a_handler_that_loses_its_slot_is_stopped_and_put_back(
    redis_url: str, redis_client: Redis
) -> None:
    """Somebody else may have the slot; the task gets another one when there is one, and loses no retry."""
    counter = Counter()
    async with at_work(redis_url, counter.mux(), lease=1.0) as (client, _):
        info = await client.enqueue(Task("bank:pay"))
        await wait_until(lambda: counter.inside == 1, "it to run")
        redis_client.delete(KEY)
        redis_client.zadd(KEY, {"x:1": _now(redis_client) + 60, "x:2": _now(redis_client) + 60})
        await settled(redis_client, scheduled=1)
        assert (counter.inside, counter.done) == (0, 0)
        assert "retried" not in task_hash(redis_client, info.id)
        counter.gate.set()
        redis_client.delete(KEY)
        await settled(redis_client, done=1)


async def test_a_handler_in_a_thread_is_limited_too(redis_url: str, redis_client: Redis) -> None:
    """The slot is taken on the loop and given back when the thread has returned."""
    mux, peak, inside_now = Mux(), [0], [0]
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    @mux.handle("bank:", limit=Limit("bank", 1))
    def pay(task: Task, ctx: Context) -> None:
        inside_now[0] += 1
        peak[0] = max(peak[0], inside_now[0])
        loop.call_soon_threadsafe(started.set)
        ctx.wait_cancelled(0.01)
        inside_now[0] -= 1

    async with at_work(redis_url, mux) as (client, _):
        for _ in range(5):
            await client.enqueue(Task("bank:pay"))
        await settled(redis_client, done=5)
    assert peak == [1]


async def test_middleware_and_time_begin_with_the_slot(redis_url: str, redis_client: Redis) -> None:
    """A task that is put back was not run: nobody around the handler sees it."""
    counter, seen = Counter(), []
    mux = counter.mux(Limit("bank", 1))

    async def note(task: Task, ctx: Context, call_next: Any) -> Any:
        seen.append(task.id)
        return await call_next(task, ctx)

    mux.use(note)
    async with at_work(redis_url, mux) as (client, _):
        first = await client.enqueue(Task("bank:pay"))
        await wait_until(lambda: counter.inside == 1, "the first to run")
        second = await client.enqueue(Task("bank:pay"))
        await settled(redis_client, active=1, scheduled=1)
        assert seen == [first.id]
        counter.gate.set()
        await settled(redis_client, done=2)
    assert seen == [first.id, second.id]


async def test_a_semaphore_in_a_handler_belongs_to_the_delivery(redis_url: str, redis_client: Redis) -> None:
    """It needs no connection of its own, and what a handler forgets is given back for it."""
    semaphore = Semaphore(redis_url, "bank", 1)
    mux, tokens = Mux(), []

    @mux.handle("forgets")
    async def forgets(task: Task) -> None:
        tokens.append((await semaphore.acquire()).token)

    @mux.handle("holds")
    async def holds(task: Task) -> None:
        async with semaphore as slot:
            tokens.append(slot.token)

    async with at_work(redis_url, mux, lease=1.0) as (client, server):
        await client.enqueue(Task("holds"))
        await settled(redis_client, done=1)
        await client.enqueue(Task("forgets"))
        await settled(redis_client, done=2)
        await wait_until(lambda: not redis_client.exists(KEY), "the slot to be given back")
        assert all(token.startswith(inside(server).server_id + ":") for token in tokens)
        names = {entry["name"] for entry in redis_client.client_list()}
        assert not {name for name in names if "semaphore" in name}
    await semaphore.aclose()


async def test_a_semaphore_elsewhere_is_no_limit_for_a_server(redis_url: str) -> None:
    """The server would count in its own Redis, and both would be wrong."""
    for semaphore in (
        Semaphore(redis_url, "bank", 1, prefix="other:"),
        Semaphore("redis://elsewhere", "bank", 1),
    ):
        server = Server(redis_url)
        with pytest.raises(ConfigError, match="limit"):
            await server.start(Counter().mux(semaphore))
    mux = Counter().mux(Semaphore(redis_url, "bank", 1))
    async with Connection(redis_url) as connection, Server(connection).running(mux):
        """The same place, however it was given."""


async def test_nothing_is_wrong_while_tasks_come_and_go(redis_url: str, redis_client: Redis) -> None:
    """The auditor looks while tasks are put back, let in, and given up by a server that leaves."""

    class Place:
        url = redis_url

    counter = Counter()
    async with Client(redis_url) as client:
        for _ in range(4):
            for _ in range(
                20
            ):  # each time anew: how many are done while the auditor looks is nobody's business
                await client.enqueue(Task("bank:pay"))
            target = counter.done + 8
            async with at_work(redis_url, counter.mux(wait=0.005), shutdown_timeout=0.0):
                await wait_until(lambda: counter.done >= target, "some to be done")  # noqa: B023
                await assert_sound(Place())  # type: ignore[arg-type]
            await assert_sound(Place())  # type: ignore[arg-type]
        async with at_work(redis_url, counter.mux(wait=0.0)):
            await wait_until(
                lambda: redis_client.hget("asyncq:{default}:flow", "done") == b"80", "every task to be done"
            )
    assert counter.peak <= 2

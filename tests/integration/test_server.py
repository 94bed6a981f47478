"""The life of a server: started, stopped, shut down, hurried, broken, and called at the wrong moment."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from redis import Redis

from asyncq._engine import fetcher, supervisor
from asyncq.client import Client
from asyncq.errors import (
    AlreadyRunningError,
    BrokerUnavailableError,
    ClosedError,
    ConfigError,
    NotStartedError,
)
from asyncq.mux import Mux
from asyncq.server import Server
from asyncq.shared import Connection
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, inside, settled, task_hash
from tests.support.census import take_census
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.waiting import wait_until

_REPORT_AFTER = 30.0  # nothing here takes so long, unless it hangs


def _sleeper(running: asyncio.Event) -> Mux:
    mux = Mux()

    @mux.handle("sleep")
    async def sleep(task: Task) -> None:
        running.set()
        await asyncio.Event().wait()

    @mux.handle("fine")
    async def fine(task: Task) -> None:
        """Succeed."""

    return mux


async def test_what_runs_may_finish(any_redis: AnyRedis) -> None:
    """A shutdown waits for it, and takes nothing new meanwhile."""
    running, go_on = asyncio.Event(), asyncio.Event()
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        running.set()
        await go_on.wait()

    async with at_work(any_redis.url, mux, shutdown_timeout=20) as (client, server):
        await client.enqueue(Task("work"))
        await running.wait()
        leaving = asyncio.ensure_future(server.shutdown())
        await wait_until(lambda: inside(server).executor.free == 0, "the server to drain")  # type: ignore[union-attr]
        await client.enqueue(Task("work"))
        assert take_census(any_redis.client).counts == {"active": 1, "pending": 1}
        go_on.set()
        await leaving
    assert take_census(any_redis.client).counts == {"pending": 1}


@pytest.mark.parametrize("hurry", ["grace is over", "asked for", "second shutdown"])
async def test_what_does_not_finish_goes_back_to_the_front(
    redis_url: str, redis_client: Redis, hurry: str
) -> None:
    """And no retry is counted: it is not the task's fault."""
    running = asyncio.Event()
    timeout = 0.05 if hurry == "grace is over" else 20
    async with at_work(redis_url, _sleeper(running), concurrency=1, shutdown_timeout=timeout) as (
        client,
        server,
    ):
        first = await client.enqueue(Task("sleep"))
        await client.enqueue(Task("sleep"))
        await running.wait()
        if hurry == "second shutdown":
            leaving = asyncio.ensure_future(server.shutdown())
            await wait_until(lambda: inside(server).executor.free == 0, "the server to drain")  # type: ignore[union-attr]
            await server.shutdown(now=True)
            await leaving
        else:
            await server.shutdown(now=hurry == "asked for")
    assert take_census(redis_client)["pending"][-1] == first.id
    assert task_hash(redis_client, first.id).keys() == {"deliveries", "delivered_at"}


async def test_stop_takes_no_more_and_lets_the_rest_go_on(redis_url: str, redis_client: Redis) -> None:
    """A pause for one server; shutting down is another step."""
    running, go_on = asyncio.Event(), asyncio.Event()
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        running.set()
        await go_on.wait()

    async with at_work(redis_url, mux) as (client, server):
        await client.enqueue(Task("work"))
        await running.wait()
        await server.stop()
        await server.stop()
        await client.enqueue(Task("work"))
        go_on.set()
        await settled(redis_client, done=1, pending=1)


async def test_a_server_that_was_stopped_can_go_on(redis_url: str, redis_client: Redis) -> None:
    """Also while it still waits for the stop, and as often as one likes."""
    async with at_work(redis_url, _sleeper(asyncio.Event())) as (client, server):
        for number in range(1, 4):
            await server.stop()
            await client.enqueue(Task("fine"))
            assert take_census(redis_client).counts == {"pending": 1}
            await server.resume()
            await server.resume()
            await settled(redis_client, done=number)
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.sleep(0)  # its first step
        await server.resume()
        await stopping
        await client.enqueue(Task("fine"))
        await settled(redis_client, done=4)
        leaving = asyncio.ensure_future(server.shutdown())
        await asyncio.sleep(0)  # its first step
        with pytest.raises(ClosedError):
            await server.resume()
        await leaving


async def test_stop_while_it_starts_is_not_forgotten(redis_url: str, redis_client: Redis) -> None:
    """It begins with taking nothing."""
    async with Client(redis_url) as client:
        await client.enqueue(Task("fine"))
    server = Server(redis_url)
    starting = asyncio.ensure_future(server.start(_sleeper(asyncio.Event())))
    await asyncio.sleep(0)  # its first step
    await server.stop()
    await starting
    await wait_until(lambda: redis_client.zcard("asyncq:servers") == 1, "it to be there")
    assert take_census(redis_client).counts == {"pending": 1}
    await server.resume()
    await settled(redis_client, done=1)
    await server.shutdown()


async def test_calls_at_the_wrong_moment_say_so(redis_url: str) -> None:
    """Each with its own error, and nothing else happens."""
    mux = Mux()
    server = Server(redis_url)
    await server.shutdown()  # nothing to do
    for call in (server.stop, server.resume, server.wait):
        with pytest.raises(NotStartedError):
            await call()
    with pytest.raises(NotStartedError):
        _ = server.id
    with pytest.raises(ConfigError, match="a Mux"):
        await server.start("no mux")  # type: ignore[arg-type]
    with pytest.raises(AlreadyRunningError, match="event loop"):
        server.run(mux)
    await server.start(mux)
    assert server.id
    for again in (server.start, server.serve):
        with pytest.raises(AlreadyRunningError):
            await again(mux)
    await server.shutdown()
    await server.shutdown()
    await server.wait()
    for again in (server.start, server.serve):
        with pytest.raises(ClosedError):
            await again(mux)
    for call in (server.stop, server.resume):
        with pytest.raises(ClosedError):
            await call()
    with pytest.raises(ClosedError):
        _ = server.id


async def test_many_shutdowns_at_once_are_one(redis_url: str) -> None:
    """Each returns when the server has left."""
    server = Server(redis_url)
    await server.start(Mux())
    await asyncio.gather(*(server.shutdown(now=number % 2 == 0) for number in range(10)), server.wait())


async def test_doors_may_share_a_connection(redis_url: str, redis_client: Redis) -> None:
    """Which outlives them, and is closed by whoever made it."""
    async with Connection(redis_url) as connection:
        client = Client(connection)
        async with Server(connection).running(_sleeper(asyncio.Event())):
            await client.enqueue(Task("fine"))
            await settled(redis_client, done=1)
        await client.aclose()
        again = Client(connection)
        await again.enqueue(Task("fine"))
        await again.aclose()
    assert take_census(redis_client).counts == {"pending": 1}


async def test_a_server_is_seen_while_it_is_there(redis_url: str, redis_client: Redis) -> None:
    """By tools; recovery does not depend on it."""
    async with at_work(redis_url, _sleeper(asyncio.Event()), name="mine") as (_, server):
        key = f"asyncq:servers:{{{server.id}}}"
        # The list names who has said something, and so comes after it.
        await wait_until(lambda: redis_client.exists("asyncq:servers"), "the server to be listed")
        assert redis_client.zrange("asyncq:servers", 0, -1) == [server.id.encode()]
        assert redis_client.exists(key)
    assert not redis_client.exists(key, "asyncq:servers")


# -- Redis away -----------------------------------------------------------------------------------


async def test_a_redis_that_is_away_at_the_start_is_said_so(tmp_path: Any) -> None:
    """Where, why, and what to try; after waiting for as long as was agreed."""
    path = tmp_path / "nobody.sock"
    server = Server(f"unix://{path}", start_patience=0.2)
    with pytest.raises(BrokerUnavailableError) as caught:
        await server.start(Mux())
    assert str(path) in str(caught.value)
    assert "redis-cli" in str(caught.value)
    await server.shutdown()


async def test_a_redis_that_comes_late_is_waited_for() -> None:
    """Server and Redis are often started together."""
    with RedisProcess() as process:
        process.kill()
        server = Server(process.url, start_patience=20)
        starting = asyncio.ensure_future(server.start(Mux()))
        await asyncio.to_thread(process.start)
        await starting
        await server.shutdown()


async def test_cancelling_a_start_does_not_wait_for_a_redis_that_is_away(tmp_path: Any) -> None:
    """And leaves nothing running in the background."""
    server = Server(f"unix://{tmp_path / 'nobody.sock'}", start_patience=_REPORT_AFTER)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(server.start(Mux()), 0.1)
    assert time.monotonic() - started < 5


async def test_a_redis_that_is_away_at_the_end_does_not_keep_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is reported; its tasks run again when their leases end."""
    # Seconds of patience, several after each other: the same with less of it.
    monkeypatch.setattr(fetcher, "STOP_PATIENCE", 0.2)
    monkeypatch.setattr(supervisor, "LAST_WORDS", 0.2)
    running = asyncio.Event()
    with RedisProcess(RedisOptions(appendonly=True)) as process:
        async with Client(process.url) as client:
            await client.enqueue(Task("sleep"))
        server = Server(process.url, shutdown_timeout=0.1)
        await server.start(_sleeper(running))
        await running.wait()
        process.kill()
        with caplog.at_level(logging.WARNING, "asyncq.server"):
            started = time.monotonic()
            await server.shutdown()
        assert time.monotonic() - started < 5
        process.start()
        with process.client() as look:
            assert take_census(look).counts == {"active": 1}
    events = {getattr(record, "event", "") for record in caplog.records}
    assert {"fetch_abandoned", "outcomes_lost"} <= events


async def test_a_redis_that_comes_back_finds_the_server_at_work(caplog: pytest.LogCaptureFixture) -> None:
    """One line when it goes, one when it is back; outcomes were kept, and are written."""
    go_on = asyncio.Event()
    running = asyncio.Event()
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        running.set()
        await go_on.wait()

    with RedisProcess(RedisOptions(appendonly=True)) as process:
        async with at_work(process.url, mux, lease=30) as (client, server):
            await client.enqueue(Task("work"))
            await running.wait()
            process.kill()
            go_on.set()
            settler = inside(server).settler
            assert settler is not None
            await wait_until(lambda: settler.outstanding == 1, "the outcome to wait")
            await asyncio.to_thread(process.start)
            with process.client() as look:
                await settled(look, done=1)
            await client.enqueue(Task("work"))
            with process.client() as look:
                await settled(look, done=2)
    away = [record for record in caplog.records if getattr(record, "event", "") == "redis_away"]
    assert len({getattr(record, "actor", "") for record in away}) == len(away)


# -- the archive ----------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"archive_max_age": 3600}, {"archive_max_count": 2}])
@pytest.mark.parametrize("kind", ["sync", "async", "failing"])
async def test_the_archive_is_trimmed_and_says_so(
    redis_url: str, redis_client: Redis, limits: dict[str, Any], kind: str
) -> None:
    """By age and by number, oldest first."""
    told: list[tuple[str, list[str]]] = []

    def on_dropped(queue: str, ids: list[str]) -> None:
        told.append((queue, ids))
        if kind == "failing":
            raise ValueError("of the callback")

    async def on_dropped_later(queue: str, ids: list[str]) -> None:
        await asyncio.sleep(0)
        on_dropped(queue, ids)

    now = time.time()
    for number, age in enumerate((9000, 8000, 10, 5)):
        redis_client.hset(f"asyncq:{{default}}:t:a{number}", mapping={"msg": "m", "state": "archived"})
        redis_client.zadd("asyncq:{default}:archived", {f"a{number}": now - age})
    redis_client.hset("asyncq:{default}:flow", "created", 4)
    hook = on_dropped_later if kind == "async" else on_dropped
    async with at_work(redis_url, Mux(), on_dropped=hook, **limits):
        await wait_until(lambda: told, "the hook to be told")
    assert told == [("default", ["a0", "a1"])]
    census = take_census(redis_client)
    assert (census["archived"], census.gone) == (["a2", "a3"], {"trimmed": 2})

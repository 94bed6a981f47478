"""The program is told whether its server reaches Redis, and Redis is looked at on request."""

from __future__ import annotations

import asyncio
import logging

import pytest
from redis import Redis

from asyncq.client import Client
from asyncq.errors import AsyncqError, BrokerUnavailableError, ClosedError
from asyncq.mux import Mux
from asyncq.scheduler import Scheduler
from asyncq.server import Server
from asyncq.shared import Connection
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, settled
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.waiting import wait_until


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_it_is_told_again_and_again_that_all_is_well(any_redis: AnyRedis, kind: str) -> None:
    """The first time at the start, for a program that waits for it."""
    told: list[AsyncqError | None] = []

    async def later(error: AsyncqError | None) -> None:
        await asyncio.sleep(0)
        told.append(error)

    check = later if kind == "async" else told.append
    async with at_work(any_redis.url, Mux(), health_check=check, health_check_interval=0.02):
        await wait_until(lambda: len(told) >= 3, "three checks")
    assert set(told) == {None}
    count = len(told)
    await asyncio.sleep(0)
    assert len(told) == count


async def test_an_outage_is_told_and_its_end() -> None:
    """With the error that says where and why; the server goes on."""
    told: list[AsyncqError | None] = []
    with RedisProcess(RedisOptions(appendonly=True)) as process:
        async with at_work(process.url, Mux(), health_check=told.append, health_check_interval=0.02):
            await wait_until(lambda: told == [None] * len(told) and told, "all to be well")
            process.kill()
            await wait_until(lambda: isinstance(told[-1], BrokerUnavailableError), "the outage to be told")
            assert process.url.removeprefix("unix://").partition("?")[0] in str(told[-1])
            await asyncio.to_thread(process.start)
            await wait_until(lambda: told[-1] is None, "the end to be told")


async def test_a_check_that_fails_is_logged_and_made_again(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the program's own failure, and no reason to stop working."""
    calls = 0
    mux = Mux()

    @mux.handle("fine")
    async def fine(task: Task) -> None:
        """Succeed."""

    def check(error: AsyncqError | None) -> None:
        nonlocal calls
        calls += 1
        raise ValueError("of the check")

    with caplog.at_level(logging.ERROR, "asyncq.server"):
        async with at_work(redis_url, mux, health_check=check, health_check_interval=0.02) as (client, _):
            await wait_until(lambda: calls >= 5, "five checks")
            await client.enqueue(Task("fine"))
            await settled(redis_client, done=1)
    events = [getattr(record, "event", "") for record in caplog.records]
    assert set(events) == {"callback_failed"}
    assert len(events) == calls


async def test_a_check_that_hangs_does_not_keep_the_server(redis_url: str) -> None:
    """It ends with the server."""
    begun = asyncio.Event()

    async def check(error: AsyncqError | None) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with Server(redis_url, health_check=check).running(Mux()):
        await begun.wait()


async def test_every_door_can_ask(any_redis: AnyRedis) -> None:
    """And says where it asked."""
    server = Server(any_redis.url)
    pongs = [await server.ping()]
    async with server.running(Mux()):
        pongs.append(await server.ping())
    with pytest.raises(ClosedError):
        await server.ping()
    async with Client(any_redis.url) as client:
        pongs.append(await client.ping())
    async with Connection(any_redis.url) as connection:
        pongs.append(await Server(connection).ping())
    scheduler = Scheduler(any_redis.url)
    async with scheduler.running():
        pongs.append(await scheduler.ping())
    with pytest.raises(ClosedError):
        await scheduler.ping()
    assert len({pong.where for pong in pongs}) == 1


def test_asking_first_does_not_tie_the_server_to_a_loop(redis_url: str) -> None:
    """A program that looks before it serves has two event loops, one after the other."""
    server = Server(redis_url)
    asyncio.run(server.ping())

    async def serve() -> None:
        async with server.running(Mux()):
            await server.ping()

    asyncio.run(serve())


async def test_an_answer_that_does_not_come_is_said(tmp_path: object) -> None:
    """With what to try."""
    server = Server(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(BrokerUnavailableError, match=r"nobody\.sock"):
        await server.ping()

"""Servers come and go while there is work: every task is done, and each run of each is accounted for."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from redis import Redis

from asyncq.client import Client
from asyncq.context import Context
from asyncq.mux import Mux
from asyncq.server import Server
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.integration.serving import inside, settled

_TASKS = 400
_QUEUES = {"a": 3, "b": 1}


class _Fleet:
    """Three places for servers, in each of which one follows the other."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.draw = random.Random(seed)
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.enough = asyncio.Event()
        self.mux = Mux()
        self.mux.handle("work", self.work)

    async def work(self, task: Task, ctx: Context) -> None:
        """Take a moment, or fail first."""
        self.begun[ctx.id] += 1
        for _ in range(self.draw.randrange(5)):
            await asyncio.sleep(0.001)
        if ctx.retried < task.payload:
            self.ended[ctx.id] += 1
            raise ValueError("not yet")
        self.ended[ctx.id] += 1

    async def keep_a_place(self) -> None:
        """One server after the other, each leaving in some way after a while."""
        while not self.enough.is_set():
            server = Server(
                self.url,
                concurrency=self.draw.choice([1, 5, 40]),
                queues=_QUEUES,
                retry=lambda retried, error, task: 0.0,
                shutdown_timeout=self.draw.choice([0.0, 0.01, 5.0]),
                task_check_interval=60.0,
            )
            serving = asyncio.ensure_future(server.serve(self.mux))
            a_while = asyncio.ensure_future(self._a_while(server))
            await asyncio.wait([serving, a_while], return_when="FIRST_COMPLETED")
            a_while.cancel()
            if self.draw.random() < 0.3:
                serving.cancel()
            else:
                await server.shutdown(now=self.draw.random() < 0.3)
            await asyncio.gather(serving, return_exceptions=True)

    async def _a_while(self, server: Server) -> None:
        """Some leave while they begin. If all did, as where it takes long, nobody would do the work."""
        if self.draw.random() < 0.7:
            await inside(server).started.wait()
        await asyncio.sleep(self.draw.random() * 0.1)


@pytest.mark.parametrize("seed", [1])
async def test_no_task_is_lost_and_no_run_unexplained(any_redis: AnyRedis, seed: int) -> None:
    """A run that was begun has ended, or its task was put back and ran again."""
    fleet = _Fleet(any_redis.url, seed)
    places = [asyncio.ensure_future(fleet.keep_a_place()) for _ in range(3)]
    retries = 0
    async with Client(any_redis.url) as client:
        for number in range(_TASKS):
            payload = int(number % 10 == 0)
            retries += payload
            queue = "a" if number % 2 else "b"
            await client.enqueue(Task("work", payload), queue=queue, process_in=0.01 * (number % 3))
    try:
        for queue in _QUEUES:
            await settled(any_redis.client, queue, done=_TASKS // 2)
    finally:
        fleet.enough.set()
        await asyncio.gather(*places)
    assert len(fleet.ended) == _TASKS
    assert fleet.ended.total() == _TASKS + retries, "a task was done twice"
    assert all(fleet.begun[task_id] >= runs for task_id, runs in fleet.ended.items())


async def test_a_server_that_is_started_and_stopped_all_the_time_leaves_nothing(
    redis_url: str, redis_client: Redis
) -> None:
    """No thread, no connection, no key."""
    for _ in range(30):
        server = Server(redis_url)
        await server.start(Mux())
        await server.shutdown()
    # What is left goes away by itself.
    assert [key for key in redis_client.keys("*") if redis_client.ttl(key) < 0] == []

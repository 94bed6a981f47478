"""A client and a server at work, and ways to see what became of tasks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

from redis import Redis
from redis.cluster import RedisCluster

from asyncq._engine.supervisor import Supervisor
from asyncq._wire.keys import Keys
from asyncq.client import Client
from asyncq.mux import Mux
from asyncq.server import Server
from tests.conftest import AnyRedis
from tests.support.census import Census, take_census
from tests.support.keyspace import read_task
from tests.support.waiting import wait_until

__all__ = ["at_work", "inside", "is_told", "settled", "subscribers", "task_hash"]


@asynccontextmanager
async def at_work(url: str, mux: Mux, **options: Any) -> AsyncGenerator[tuple[Client, Server]]:
    """Run a server for the length of a block, and a client beside it."""
    given = {
        "concurrency": 10,
        "retry": lambda retried, error, task: 60.0,
        "shutdown_timeout": 2.0,
        **options,
    }
    async with Client(url) as client, Server(url, **given).running(mux) as server:
        yield client, server


def inside(server: Server) -> Supervisor:
    """Return the actors of a running server."""
    supervisor = server._supervisor  # noqa: SLF001 - actors have no public name
    assert supervisor is not None
    return supervisor


async def settled(client: Redis | RedisCluster, queue: str = "default", **expected: int) -> Census:
    """Wait until so many tasks are in each place and no other, and return where they are.

    `done=2` counts what is gone by success; the same with revoked, expired and vanished.
    """
    found: dict[str, int] = {}
    census: Census | None = None

    def is_so() -> bool:
        nonlocal census, found
        try:
            census = take_census(client, queue)
        except AssertionError:
            return False  # looked while a script was between two of our looks
        found = {**census.counts, **census.gone}
        return found == expected

    try:
        await wait_until(is_so, f"{expected}")
    except AssertionError:
        message = f"waited for {expected}, found {found}"
        raise AssertionError(message) from None
    assert census is not None
    return census


def task_hash(client: Redis | RedisCluster, task_id: str, queue: str = "default") -> dict[str, str]:
    """Return the hash of a task, without its message."""
    found = read_task(client, Keys().queue(queue).task(task_id))
    found.pop(b"msg", None)
    return {name.decode(): value.decode("utf-8", "surrogateescape") for name, value in found.items()}


def subscribers(client: Redis | RedisCluster) -> int:
    """Return how many wait for messages of ours about results, on all nodes."""
    entries: list[dict[str, Any]] = []
    if isinstance(client, RedisCluster):
        for node in cast("Any", client).get_primaries():
            entries += cast("Any", client).client_list(target_nodes=node)
    else:
        entries += cast("Any", client).client_list()
    return sum(entry["name"].startswith("asyncq:results:") and int(entry["sub"]) > 0 for entry in entries)


async def is_told(any_redis: AnyRedis) -> None:
    """Wait until the one client that waits for results listens."""
    await wait_until(lambda: subscribers(any_redis.client) == 1, "the client to listen")

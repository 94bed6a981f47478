"""One connection for several doors."""

from __future__ import annotations

import asyncio

import pytest
from redis import Redis

from asyncq import Client, Connection, ConnectionOptions, Mux, Server, Task
from asyncq.errors import ClosedError, ConfigError
from tests.support.waiting import wait_until


async def test_doors_share_the_connection_and_leave_it_open(redis_url: str, redis_client: Redis) -> None:
    """A client and a server of one program: one connection for calls, not two."""
    ran = asyncio.Event()
    mux = Mux()

    @mux.handle("x")
    async def handle(task: Task) -> None:
        del task
        ran.set()

    async with Connection(redis_url) as connection:
        async with Client(connection) as client, Server(connection, concurrency=1).running(mux):
            await client.enqueue(Task("x"))
            await asyncio.wait_for(ran.wait(), 5)
            names = [entry["name"] for entry in redis_client.client_list()]
            assert names.count("asyncq:shared") == 1
        assert (await Client(connection).ping()).server
    with pytest.raises(ClosedError):
        await Client(connection).ping()


async def test_a_door_of_its_own_closes_with_its_door(redis_url: str, redis_client: Redis) -> None:
    """Given a URL, a client leaves nothing behind."""
    async with Client(redis_url) as client:
        await client.ping()
    await wait_until(
        lambda: not [c for c in redis_client.client_list() if c["name"].startswith("asyncq:")],
        "the client's connection to be gone",
    )


async def test_programs_with_different_prefixes_do_not_see_each_other(
    redis_url: str, redis_client: Redis
) -> None:
    """Two applications, or two stages, in one Redis."""
    async with Client(redis_url, prefix="blue:") as blue, Client(redis_url, prefix="green:") as green:
        await blue.enqueue(Task("x"))
        await green.enqueue(Task("x"))
    assert redis_client.llen("blue:{default}:pending") == 1
    assert redis_client.llen("green:{default}:pending") == 1
    assert not redis_client.exists("asyncq:{default}:pending")


@pytest.mark.parametrize("prefix", ["", "blue", "{blue}:", 5])
def test_a_prefix_that_would_break_the_key_space_is_refused(prefix: object) -> None:
    """Braces would move every key of every queue into one cluster slot."""
    with pytest.raises(ConfigError, match="prefix"):
        Client("redis://localhost", prefix=prefix)  # type: ignore[arg-type]


def test_a_prefix_beside_a_connection_is_refused() -> None:
    """The connection has one; two would contradict each other."""
    with pytest.raises(ConfigError, match="prefix"):
        Client(Connection("redis://localhost", prefix="blue:"), prefix="green:")


@pytest.mark.parametrize("url", [None, 5, b"redis://localhost"])
def test_what_is_no_url_is_refused_before_any_connection(url: object) -> None:
    """With what would be right."""
    with pytest.raises(ConfigError, match="redis://localhost:6379/0"):
        Client(url)  # type: ignore[arg-type]


async def test_options_do_for_a_url(redis_url: str) -> None:
    """For those who build them from their own configuration."""
    options = ConnectionOptions.from_url(redis_url, response_timeout=3.0)
    async with Client(options) as client:
        assert "valkey" in (await client.ping()).server or "redis" in (await client.ping()).server

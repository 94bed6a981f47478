"""Listening goes on whatever happens to the connection, and costs little where it cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from asyncq._redis import subscription
from asyncq._redis.router import Router
from asyncq._redis.subscription import Subscription
from asyncq.connection import ConnectionOptions
from tests.support.proxy import Proxy
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.waiting import wait_until


@asynccontextmanager
async def _listening(url: str) -> AsyncGenerator[asyncio.Event]:
    """Set each time listening begins."""
    router, begun = Router(ConnectionOptions.from_url(url), name="test"), asyncio.Event()
    one = Subscription(router, ("channel",), name="test", on_message=lambda *_: None, on_listening=begun.set)
    task = asyncio.ensure_future(one.run())
    try:
        yield begun
        assert not task.done(), "it has ended"
    finally:
        task.cancel()
        await asyncio.wait([task])
        await router.aclose()


async def test_a_connection_that_is_lost_with_the_handshake_is_made_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That ended it, and nobody was woken any more."""
    connect, times = AbstractConnection.connect, 0

    async def connect_and_lose(self: AbstractConnection) -> None:
        nonlocal times
        times += 1
        await connect(self)
        if times == 1:
            await self.disconnect()

    monkeypatch.setattr(AbstractConnection, "connect", connect_and_lose)
    async with _listening(redis_url) as begun, asyncio.timeout(5.0):
        await begun.wait()
    assert times == 2


async def test_a_server_that_freezes_is_noticed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the answers of other calls are late: nobody waits for what is heard here."""
    assert subscription.PING_EVERY + subscription.PONG_WITHIN <= 15.0
    monkeypatch.setattr(subscription, "PING_EVERY", 0.2)
    monkeypatch.setattr(subscription, "PONG_WITHIN", 0.3)
    with RedisProcess(RedisOptions(transport="tcp")) as server, Proxy(server) as proxy:
        async with _listening(proxy.url) as begun:
            async with asyncio.timeout(5.0):
                await begun.wait()
            begun.clear()
            before = proxy.accepted
            proxy.freeze()
            await wait_until(lambda: proxy.accepted > before, "another connection", 5.0)
            proxy.cut()
            proxy.thaw()
            async with asyncio.timeout(10.0):
                await begun.wait()


async def test_who_may_not_subscribe_asks_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt is a connection of its own, and a line in the log of refused commands."""
    monkeypatch.setattr(subscription, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(subscription, "LONGEST_DELAY", 0.02)
    loop = asyncio.get_running_loop()
    with RedisProcess(RedisOptions(transport="tcp")) as server, server.client() as plain:
        client: Any = plain
        client.execute_command("ACL", "SETUSER", "deaf", "on", ">secret", "~*", "resetchannels", "+@all")
        url = server.url.replace("redis://", "redis://deaf:secret@")

        def refused() -> int:
            return int(client.info("errorstats").get("errorstat_NOPERM", {}).get("count", 0))

        began = loop.time()
        async with _listening(url) as begun:
            await wait_until(lambda: refused() >= 8, "eight attempts", 30.0)
            assert loop.time() - began > 0.01 / 2 * (2**7 - 1)
            assert not begun.is_set()
            client.execute_command("ACL", "SETUSER", "deaf", "allchannels")
            async with asyncio.timeout(10.0):
                await begun.wait()

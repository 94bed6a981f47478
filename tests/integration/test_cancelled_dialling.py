"""Whoever is cancelled while it looks for Redis ends, at whatever step it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from asyncq._redis.link import Link, dial
from asyncq._redis.router import Router
from asyncq._redis.topology import SentinelPrimary
from asyncq.connection import ConnectionOptions
from asyncq.errors import ClosedError
from tests.support.sentinel import SentinelProcesses

_STEPS = 40  # more than it takes to connect


async def _cancelled_after(steps: int, begin: Callable[[], Awaitable[object]]) -> bool:
    """Cancel it after so many turns of the loop. Tells whether it ended by that; it may have been faster."""

    async def work() -> None:
        await begin()

    task = asyncio.ensure_future(work())
    for _ in range(steps):
        await asyncio.sleep(0)
    was_faster = task.done()
    task.cancel()
    await asyncio.wait([task])
    return was_faster or task.cancelled()


@pytest.mark.sentinel
async def test_dialling_and_asking_sentinels_lose_no_cancellation(sentinel: SentinelProcesses) -> None:
    """Half of them got lost in the client library, and a server that left waited for ever."""
    options = ConnectionOptions.from_url(sentinel.url)
    primary = SentinelPrimary(options)
    address = await primary.locate(0)
    await primary.aclose()
    for steps in range(_STEPS):
        link = Link(address, response_timeout=5.0)
        ended = await _cancelled_after(steps, lambda link=link: dial(link, options, name="test"))
        link.close()
        assert ended, f"dialling went on after step {steps}"

        primary = SentinelPrimary(options)
        ended = await _cancelled_after(steps, lambda primary=primary: primary.locate(0))
        await primary.aclose()
        assert ended, f"asking went on after step {steps}"


async def test_a_router_that_is_closed_dials_nobody(redis_url: str) -> None:
    """A connection that is made then would be closed by nobody."""
    router = Router(ConnectionOptions.from_url(redis_url), name="test")
    await router.aclose()
    with pytest.raises(ClosedError):
        await router.ask(await router.address_of(), ("PING",))

"""Closing that is cancelled still closes."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from asyncq import Client, Task
from asyncq.errors import ClosedError
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until


async def test_a_client_whose_closing_is_cancelled_leaves_no_connection() -> None:
    """It waits for a Redis that does not answer, and whoever waits for it has a limit."""
    with RedisProcess() as process:
        client = Client(process.url)
        await client.enqueue(Task("t"))
        process.pause()
        waiting = asyncio.ensure_future(client.enqueue(Task("t")))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.aclose()
        with pytest.raises(ClosedError):
            await waiting
        process.resume()
        with process.client() as raw:
            await wait_until(
                lambda: cast("Any", raw).info("clients")["connected_clients"] == 1,
                "the connection to be closed",
            )

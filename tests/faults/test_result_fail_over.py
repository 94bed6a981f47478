"""A primary dies while clients wait for results, and its replica takes over."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from asyncq import Client, Inspector, Mux, Task
from tests.integration.serving import at_work
from tests.support.sentinel import SentinelProcesses
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.sentinel, pytest.mark.timeout(120)]


async def test_who_waits_has_the_result_from_the_new_primary() -> None:
    """The subscription is made again there; what was said in between is found by looking."""
    mux, began, go = Mux(), asyncio.Event(), asyncio.Event()

    @mux.handle("slow")
    async def slow(task: Task) -> object:
        began.set()
        await go.wait()
        return task.payload

    with SentinelProcesses(sentinels=1) as redis:
        async with (
            at_work(redis.url, mux, lease=60) as (_, _),
            Client(redis.url, patience=60) as client,
            Inspector(redis.url, patience=60) as inspector,
        ):
            infos = [await client.enqueue(Task("slow", number), retention=600) for number in range(2)]
            waiting = [asyncio.create_task(client.result(info, 60)) for info in infos]
            await began.wait()
            with redis.primary().client() as raw:
                listening = "asyncq:{default}:awaited"
                await wait_until(lambda: raw.exists(listening), "the clients to wait")
                assert cast("Any", raw).execute_command("WAIT", 1, 5000) >= 1
            heir = redis.kill_primary()
            await asyncio.to_thread(redis.wait_promoted, heir)
            assert not any(one.done() for one in waiting)
            go.set()
            assert await asyncio.gather(*waiting) == [0, 1]
            assert (await inspector.audit()).is_clean

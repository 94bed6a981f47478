"""Tasks that were handed over while the event loop was blocked are not run once their lease may be over."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from asyncq import Client, Context, Mux, Server, Task
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until, wait_until_sync

pytestmark = [pytest.mark.faults, pytest.mark.slow]

_LEASE = 1.0
_FIRST, _SECOND = 20, 10  # the first call is filled; the second is on its way when the loop is blocked


def _serve(url: str, mux: Mux, enough: threading.Event) -> None:
    async def serve() -> None:
        async with Server(url, lease=_LEASE).running(mux):
            await wait_until(enough.is_set, "the test to be over", 30.0)

    asyncio.run(serve())


async def test_what_was_handed_over_while_the_loop_was_blocked_runs_once(own_redis: RedisProcess) -> None:
    """Nobody could extend those leases, so another server has recovered them."""
    runs: Counter[str] = Counter()
    others, blocking = Mux(), Mux()
    enough = threading.Event()
    other = threading.Thread(target=_serve, args=(own_redis.url, others, enough))

    async def work(task: Task, ctx: Context) -> None:
        runs[ctx.id] += 1

    async def block(task: Task, ctx: Context) -> None:
        runs[ctx.id] += 1
        other.start()
        wait_until_sync(lambda: len(runs) == _FIRST + _SECOND, "the other server to do the rest", 20.0)

    others.handle("work", work)
    blocking.handle("work", work)
    blocking.handle("block", block)
    async with Client(own_redis.url) as client:
        for number in range(_FIRST + _SECOND):
            await client.enqueue(Task("block" if number == _FIRST - 1 else "work", None))
        try:
            async with Server(own_redis.url, lease=_LEASE, concurrency=2 * _FIRST).running(
                blocking
            ) as server:
                inside = server._supervisor  # noqa: SLF001 - actors have no public name
                assert inside is not None
                await wait_until(lambda: len(runs) == _FIRST + _SECOND, "all to have run", 20.0)
                await wait_until(lambda: not len(inside._held), "all outcomes to be written", 20.0)  # noqa: SLF001
        finally:
            enough.set()
            other.join()
    assert set(runs.values()) == {1}, runs

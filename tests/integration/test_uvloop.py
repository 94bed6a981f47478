"""The whole path on the other event loop: transports and timers behave a little differently there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from asyncq import Client, Mux, Server, Task
from tests.support.waiting import wait_until

uvloop = pytest.importorskip("uvloop", reason="the extra `fast` is not installed")


def _on_uvloop(main: Callable[[], object]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())  # type: ignore[arg-type]


def test_tasks_run_on_uvloop(redis_url: str) -> None:
    """Connecting hands a transport of the loop from the client library to us: that must work here, too."""
    ran: list[int] = []

    async def main() -> None:
        mux = Mux()

        @mux.handle("n")
        async def handle(task: Task) -> None:
            ran.append(task.payload)

        @mux.handle("thread")
        def in_thread(task: Task) -> None:
            ran.append(task.payload)

        async with Client(redis_url) as client, Server(redis_url, concurrency=10).running(mux):
            await asyncio.gather(*(client.enqueue(Task("n", number)) for number in range(100)))
            await client.enqueue(Task("thread", 100))
            await client.enqueue(Task("n", 101), process_in=0.05)
            await wait_until(lambda: len(ran) == 102, "all tasks to run")

    _on_uvloop(main)
    assert sorted(ran) == list(range(102))

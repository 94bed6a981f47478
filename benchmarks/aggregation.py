"""How many grouped tasks does a server aggregate in a second?

The tasks are there; the clock runs from the start of the server until the last of them is in a new
task. Small groups cost two or three calls each, large ones the reading and the forgetting of
every task.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from _bench import Bench, Variant, run
from _product import PAYLOAD, TYPE

from asyncq import Client, Mux, Server, Task


class Count:
    """An aggregator that counts, and a handler for what it makes."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.is_over = asyncio.Event()

    async def combine(self, _group: str, tasks: list[Task]) -> Task:
        """Make one task of many."""
        return Task(TYPE, len(tasks))

    async def handle(self, task: Task) -> None:
        """Count what it stands for."""
        self._left -= task.payload
        if not self._left:
            self.is_over.set()


async def aggregate(bench: Bench, count: int, *, groups: int, size: int) -> Mapping[str, float]:
    """Fill so many groups, then aggregate them in sets of `size` tasks."""
    async with Client(bench.server.url) as client:
        tasks = (Task(TYPE, PAYLOAD, group=f"g{number % groups}") for number in range(count))
        async for outcome in client.enqueue_many(tasks):
            assert outcome.is_enqueued
    counted, mux = Count(count), Mux()
    mux.handle(TYPE, counted.handle)
    began = time.perf_counter()
    with bench.spend() as spent:
        async with Server(
            bench.server.url,
            concurrency=10,
            group_aggregator=counted.combine,
            group_grace_period=0.01,
            group_max_size=size,
        ).running(mux):
            await counted.is_over.wait()
            wall = time.perf_counter() - began
    bench.server.flush()
    return {
        "tasks/s": count / wall,
        "client CPU µs": spent.client_cpu / count * 1e6,
        "Redis CPU µs": spent.redis_cpu / count * 1e6,
    }


async def measure(bench: Bench) -> None:
    """Few large groups, many small ones, and one group that is taken in pieces."""
    count = bench.size(20_000)
    variants: dict[str, Variant] = {
        "2 groups": lambda: aggregate(bench, count, groups=2, size=10_000),
        "200 groups": lambda: aggregate(bench, count, groups=200, size=10_000),
        "2,000 groups": lambda: aggregate(bench, count, groups=2000, size=10_000),
        "1 group, sets of 100": lambda: aggregate(bench, count, groups=1, size=100),
    }
    bench.table(f"Aggregating {count:,} tasks", await bench.interleave(variants))


if __name__ == "__main__":
    run("aggregation", measure)

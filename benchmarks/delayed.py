"""How late is a delayed task?

The issue's numbers: p50 under 2 ms and p99 under 5 ms. Lateness is from the time that
`TaskInfo` promised to the first line of the handler, by one clock: Redis and the server
are on one machine.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence

from _bench import Bench, Variant, quantile, run
from _product import PAYLOAD, TYPE, idle_servers

from asyncq import Client, Context, Mux, Task


class Arrivals:
    """A handler that notes when it was called, and tells when the last one was."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.at: dict[str, float] = {}
        self.are_complete = asyncio.Event()

    async def handle(self, _task: Task, ctx: Context) -> None:
        """Note the time."""
        now = time.time()
        self.at[ctx.id] = now
        if len(self.at) == self._count:
            self.are_complete.set()

    def mux(self) -> Mux:
        """With this handler in it."""
        mux = Mux()
        mux.handle(TYPE, self.handle)
        return mux


async def lateness(
    bench: Bench, delays: Sequence[float], *, servers: int = 1, queues: Sequence[str] = ("default",)
) -> Mapping[str, float]:
    """Enqueue a task with each of the delays, and see how late they run."""
    arrivals = Arrivals(len(delays))
    async with (
        idle_servers(bench.server.url, arrivals.mux(), servers, concurrency=10, queues=queues),
        Client(bench.server.url) as client,
    ):
        infos = [
            await client.enqueue(Task(TYPE, PAYLOAD, queue=queues[number % len(queues)]), process_in=delay)
            for number, delay in enumerate(delays)
        ]
        await arrivals.are_complete.wait()
    bench.server.flush()
    late: list[float] = []
    for info in infos:
        assert info.next_process_at is not None
        late.append(arrivals.at[info.id] - info.next_process_at.timestamp())
    return {
        "p50 ms": quantile(late, 0.5) * 1000,
        "p99 ms": quantile(late, 0.99) * 1000,
        "latest ms": max(late) * 1000,
        "earliest ms": min(late) * 1000,
    }


def spread(count: int, seconds: float) -> list[float]:
    """Delays at random over a window, from when all are enqueued on."""
    dice = random.Random(7)
    return [seconds * 0.3 + dice.random() * seconds for _ in range(count)]


async def measure(bench: Bench) -> None:
    """A few far apart, many in a window, and more than one server."""
    few = [0.5 + number * 0.05 for number in range(bench.size(100))]
    window = 1.0 if bench.short else 5.0
    many = spread(bench.size(1000), window)
    three = ["critical", "default", "low"]
    variants: dict[str, Variant] = {
        "one each 50 ms": lambda: lateness(bench, few),
        "1,000 in 5 s": lambda: lateness(bench, many),
        "1,000 in 5 s, three queues": lambda: lateness(bench, many, queues=three),
        "1,000 in 5 s, three servers": lambda: lateness(bench, many, servers=3),
    }
    rows = await bench.interleave(variants)
    bench.table("Lateness of `process_in`", rows)
    for name in variants:
        bench.judge(f"p50, ms, {name}", rows[name]["p50 ms"], most=2.0)
        bench.judge(f"p99, ms, {name}", rows[name]["p99 ms"], most=5.0)
    assert all(row["earliest ms"] >= 0 for row in rows.values()), "a task ran before its time"


if __name__ == "__main__":
    run("delayed", measure)

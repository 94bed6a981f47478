"""How long does an idle server take to begin with a task?

The issue's numbers: p50 under 1 ms and p99 under 3 ms. Each task is enqueued when the
one before is done, and the time goes from before `enqueue` to the first line of the
handler; "after enqueue" is from the return of `enqueue` (negative: the handler was there first).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence

from _bench import Bench, Variant, latencies, quantile, run
from _child import start
from _product import PAYLOAD, TYPE, idle_servers

from asyncq import Client, Mux, Task

GAP = 0.003


class Starts:
    """A handler that notes when it was called."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}
        self.next = asyncio.Event()

    async def handle(self, task: Task) -> None:
        """Note the time first, and ask what task it is then."""
        now = time.perf_counter()
        raw = task.payload
        if raw != PAYLOAD:
            self.at[int(json.loads(raw)["number"])] = now
        else:
            self.at[len(self.at)] = now
        self.next.set()

    def mux(self) -> Mux:
        """With this handler in it."""
        mux = Mux()
        mux.handle(TYPE, self.handle)
        return mux


def _summary(begun: Sequence[float], returned: Sequence[float], at: Mapping[int, float]) -> dict[str, float]:
    before = [at[number] - began for number, began in enumerate(begun)]
    after = [at[number] - back for number, back in enumerate(returned)]
    return {
        **latencies(before),
        "after enqueue p50_us": quantile(after, 0.5) * 1e6,
        "woken by a message": _quick(before),
    }


def _quick(seconds: Sequence[float]) -> float:
    """The share that did not have to wait for a safety poll."""
    return sum(one < 0.5 for one in seconds) / len(seconds)


async def same_loop(
    bench: Bench, *, servers: int = 1, concurrency: int = 10, queues: Sequence[str] = ("default",)
) -> Mapping[str, float]:
    """Producer and server in one event loop."""
    starts = Starts()
    begun: list[float] = []
    returned: list[float] = []
    async with (
        idle_servers(bench.server.url, starts.mux(), servers, concurrency=concurrency, queues=queues),
        Client(bench.server.url) as client,
    ):
        await client.ping()
        for number in range(bench.size(300)):
            starts.next.clear()
            begun.append(time.perf_counter())
            await client.enqueue(Task(TYPE, PAYLOAD, queue=queues[number % len(queues)]))
            returned.append(time.perf_counter())
            await starts.next.wait()
            # The server must have said that it idles again, or its next look finds the next task.
            await asyncio.sleep(GAP)
    bench.server.flush()
    return _summary(begun, returned, starts.at)


async def other_process(
    bench: Bench, *, servers: int = 1, concurrency: int = 10, queues: Sequence[str] = ("default",)
) -> Mapping[str, float]:
    """The producer in a process of its own, as it usually is."""
    starts = Starts()
    count = bench.size(300)
    async with idle_servers(bench.server.url, starts.mux(), servers, concurrency=concurrency, queues=queues):
        producer = start("produce", bench.server.url, count, 0.005)
        output, _ = await asyncio.to_thread(producer.communicate)
        assert producer.returncode == 0
        while len(starts.at) < count + 10:
            starts.next.clear()
            await starts.next.wait()
    bench.server.flush()
    seen = json.loads(output)
    return _summary([began for began, _ in seen], [back for _, back in seen], starts.at)


async def measure(bench: Bench) -> None:
    """One server and ten, one queue and ten, few slots and many."""
    ten = [f"queue-{number}" for number in range(9)] + ["default"]
    variants: dict[str, Variant] = {
        "other process, 1 server": lambda: other_process(bench),
        "other process, concurrency 1": lambda: other_process(bench, concurrency=1),
        "other process, concurrency 100, 10 queues": lambda: other_process(
            bench, concurrency=100, queues=ten
        ),
        "other process, 10 servers": lambda: other_process(bench, servers=10),
        "same loop, 1 server": lambda: same_loop(bench),
        "same loop, concurrency 1": lambda: same_loop(bench, concurrency=1),
        "same loop, concurrency 100, 10 queues": lambda: same_loop(bench, concurrency=100, queues=ten),
        "same loop, 10 servers": lambda: same_loop(bench, servers=10),
    }
    rows = await bench.interleave(variants)
    bench.table("From before `enqueue` to the handler", rows)
    for name in (
        "other process, 1 server",
        "other process, concurrency 100, 10 queues",
        "other process, 10 servers",
    ):
        bench.judge(f"p50, ms, {name}", rows[name]["p50_us"] / 1000, most=1.0)
        bench.judge(f"p99, ms, {name}", rows[name]["p99_us"] / 1000, most=3.0)


if __name__ == "__main__":
    run("pickup", measure)

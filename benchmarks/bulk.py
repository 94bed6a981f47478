"""How long does bulk work upon a million tasks take, and does a server notice it?

The issue's number: the pick-up p99 of a server at work stays under 20 ms meanwhile. A client enqueues
a task every 5 ms; the time goes from before `enqueue` to the first line of the handler. The bulk work runs
in a process of its own, as an operator's does, upon the queue that the server serves or upon another one
in the same Redis.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping

from _bench import Bench, Variant, quantile, run
from _child import start
from _many import fill_quickly
from _product import TYPE

from asyncq import Client, Inspector, Mux, Server, Task

FULL = 1_000_000
GAP = 0.005


class Traffic:
    """A task every few milliseconds, and when its handler began."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def handle(self, task: Task) -> None:
        """Note how long it took to get here."""
        if task.raw:
            self.seconds.append(time.perf_counter() - float(task.raw))

    async def go_on(self, client: Client) -> None:
        """Until cancelled."""
        while True:
            await client.enqueue(Task(TYPE, repr(time.perf_counter()).encode()))
            await asyncio.sleep(GAP)


async def _beside(
    bench: Bench, count: int, queue: str, action: str, state: str, filtered: str
) -> Mapping[str, float]:
    """Traffic in one queue, and bulk work."""
    bench.server.flush()
    traffic, mux = Traffic(), Mux()
    mux.handle(TYPE, traffic.handle)
    if action:
        await fill_quickly(bench.server, queue, state, count)
    # As many as there are to be: its janitor would delete them first.
    server = Server(bench.server.url, concurrency=10, queues=["default"], archive_max_count=2 * FULL)
    async with Client(bench.server.url) as client, server.running(mux):
        work = asyncio.ensure_future(traffic.go_on(client))
        await asyncio.sleep(0.5)
        traffic.seconds.clear()
        done, seconds = 0, 1.0
        with bench.spend() as spent:
            if action:
                child = start("bulk", bench.server.url, queue, action, state, filtered)
                output, _ = await asyncio.to_thread(child.communicate)
                assert child.returncode == 0
                done, seconds = json.loads(output)
                assert done == (count // 2 if filtered else count), done
            else:
                await asyncio.sleep(bench.size(20) / 2)
        work.cancel()
        await asyncio.wait([work])
        rest = len(traffic.seconds)
    return {
        "bulk tasks/s": done / seconds,
        "bulk s": seconds,
        "Redis CPU µs a task": spent.redis_cpu / max(1, done) * 1e6,
        "pick-ups": rest,
        "p50 ms": quantile(traffic.seconds, 0.5) * 1e3,
        "p99 ms": quantile(traffic.seconds, 0.99) * 1e3,
        "max ms": max(traffic.seconds) * 1e3,
    }


async def _single(bench: Bench, count: int) -> Mapping[str, float]:
    """One task in the middle of a long pending list, which has to be searched."""
    bench.server.flush()
    await fill_quickly(bench.server, "big", "pending", count)
    times = bench.size(50)
    async with Inspector(bench.server.url) as inspector:
        seen: list[float] = []
        for number in range(times):
            began = time.perf_counter()
            await inspector.tasks.delete("big", f"{count // 2 + number:022d}")
            seen.append(time.perf_counter() - began)
    return {"p50 ms": quantile(seen, 0.5) * 1e3, "max ms": max(seen) * 1e3}


async def measure(bench: Bench) -> None:
    """Each kind of bulk work, and none."""
    count = bench.size(FULL)
    kinds = {
        "no bulk work": ("", "", "", ""),
        "delete archived, same queue": ("default", "delete", "archived", ""),
        "delete scheduled, same queue": ("default", "delete", "scheduled", ""),
        "delete pending, other queue": ("big", "delete", "pending", ""),
        "delete half of pending by a filter": ("big", "delete", "pending", "half"),
        "run archived, other queue": ("big", "run", "archived", ""),
        "archive pending, other queue": ("big", "archive", "pending", ""),
    }
    variants: dict[str, Variant] = {
        name: lambda kind=kind: _beside(bench, count, *kind)  # type: ignore[misc]
        for name, kind in kinds.items()
    }
    rows = await bench.interleave(variants)
    single = await bench.interleave({"delete one of many pending": lambda: _single(bench, count)})
    bench.table(f"Bulk work upon {count:,} tasks beside a server at work", rows)
    bench.table(f"One task out of {count:,}", single)
    for name in kinds:
        bench.judge(f"pick-up p99, ms, {name}", rows[name]["p99 ms"], most=20.0)


if __name__ == "__main__":
    run("bulk", measure)

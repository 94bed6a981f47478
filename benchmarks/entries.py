"""How long until a scheduler has 100,000 entries, and how soon does it hear of one change?

The issue's number: 100,000 entries are there within seconds, and a change costs nothing for those that did
not change. Entries of a few hundred specs, each with a payload of its own, in ten queues. Processing time is
that of this process, which is the scheduler and the one who changes; the wait for a change goes from before
`upsert` until the scheduler has it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from _bench import Bench, quantile, run

from asyncq import Client, PeriodicTask, Scheduler, Task

FULL = 100_000


def _wanted(number: int) -> PeriodicTask:
    spec = f"{number % 60} {number // 60 % 24} * * *"
    task = Task("report", {"customer": number}, queue=f"q{number % 10}")
    return PeriodicTask(spec, task, id=f"customer:{number}")


def _declared(bench: Bench, count: int) -> Scheduler:
    scheduler = Scheduler(bench.server.url)
    for number in range(count):
        wanted = _wanted(number)
        scheduler.register(wanted.spec, wanted.task, entry_id=wanted.id or "")
    return scheduler


async def _code(bench: Bench, count: int) -> Mapping[str, float]:
    """Entries that code declares: stored by the first scheduler, found by the second."""
    bench.server.flush()
    before = bench.server.memory()
    found: dict[str, float] = {}
    for name in ("stored", "found"):
        began = time.perf_counter()
        scheduler = _declared(bench, count)
        found["registered s"] = time.perf_counter() - began
        began = time.perf_counter()
        async with scheduler.running():
            found[f"{name} s"] = time.perf_counter() - began
            assert len(scheduler.entries) == count
    return {**found, "bytes in Redis an entry": (bench.server.memory() - before) / count}


async def _client(bench: Bench, count: int) -> Mapping[str, float]:
    """Entries that a client puts, and single changes of them."""
    bench.server.flush()
    async with Client(bench.server.url) as client:
        began = time.perf_counter()
        await client.schedules.upsert_many(_wanted(number) for number in range(count))
        stored = time.perf_counter() - began
        scheduler = Scheduler(bench.server.url, look_interval=3600)
        began = time.perf_counter()
        async with scheduler.running():
            loaded = time.perf_counter() - began
            seen: list[float] = []
            with bench.spend() as spent:
                changes = bench.size(200)
                for number in range(changes):
                    began = time.perf_counter()
                    task = Task("report", number, queue=f"q{number % 10}")
                    info = await client.schedules.upsert("0 0 * * *", task, entry_id=f"customer:{number}")
                    known = scheduler._roster.known  # noqa: SLF001 - `entries` would sort all of them
                    while known[info.id].version < info.version:  # noqa: ASYNC110 - as soon as it is there
                        await asyncio.sleep(0)
                    seen.append(time.perf_counter() - began)
    return {
        "stored s": stored,
        "loaded s": loaded,
        "change p50 ms": quantile(seen, 0.5) * 1e3,
        "change p99 ms": quantile(seen, 0.99) * 1e3,
        "client CPU µs a change": spent.client_cpu / changes * 1e6,
        "Redis CPU µs a change": spent.redis_cpu / changes * 1e6,
    }


async def measure(bench: Bench) -> None:
    """Declared in code, and put by a client."""
    count = bench.size(FULL) // (10 if bench.short else 1)
    code = await bench.interleave({"declared in code": lambda: _code(bench, count)})
    client = await bench.interleave({"put by a client": lambda: _client(bench, count)})
    bench.table(f"{count:,} entries", code)
    bench.table(f"{count:,} entries and single changes", client)
    bench.judge("start with known entries, s", code["declared in code"]["found s"], most=10.0)
    bench.judge("a change is followed, p99 ms", client["put by a client"]["change p99 ms"], most=50.0)


if __name__ == "__main__":
    run("entries", measure)

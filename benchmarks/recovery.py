"""How long until the tasks of a killed server run again?

The issue's number: the lease and at most one second. A server in a process of its own
holds tasks and is killed with `kill -9`; another one, which was there all the time or which
is started at that moment, runs them. The time goes from the kill to the handler.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from _bench import Bench, Variant, run
from _child import start
from _product import TYPE, fill

from asyncq import Mux, Server, Task

HELD = 100


class Again:
    """Notes when tasks run again."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.are_all_there = asyncio.Event()

    async def handle(self, _task: Task) -> None:
        """Run a task again."""
        self.at.append(time.perf_counter())
        if len(self.at) == HELD:
            self.are_all_there.set()

    def mux(self) -> Mux:
        """With this handler in it."""
        mux = Mux()
        mux.handle(TYPE, self.handle)
        return mux


@asynccontextmanager
async def _survivor(bench: Bench, again: Again, lease: float) -> AsyncIterator[None]:
    async with Server(bench.server.url, concurrency=HELD, lease=lease).running(again.mux()):
        yield


async def recovery(bench: Bench, lease: float, *, is_there: bool) -> Mapping[str, float]:
    """Kill one server, let another one recover."""
    await fill(bench.server.url, HELD)
    victim = start("hold", bench.server.url, HELD, lease)
    assert victim.stdout is not None
    assert await asyncio.to_thread(victim.stdout.readline) == b"full\n"
    again = Again()
    # Long enough for the victim to have prolonged its leases at least once.
    pause = lease * 0.8
    if is_there:
        async with _survivor(bench, again, lease):
            await asyncio.sleep(pause)
            victim.kill()
            killed_at = time.perf_counter()
            await again.are_all_there.wait()
    else:
        await asyncio.sleep(pause)
        victim.kill()
        killed_at = time.perf_counter()
        async with _survivor(bench, again, lease):
            await again.are_all_there.wait()
    victim.wait()
    victim.stdout.close()
    bench.server.flush()
    first, last = min(again.at) - killed_at, max(again.at) - killed_at
    return {"lease s": lease, "first s": first, "last s": last, "beyond the lease s": last - lease}


async def measure(bench: Bench) -> None:
    """A server that was there, and one that comes; the default lease is 30 s, in full runs only."""

    def variant(lease: float, *, is_there: bool) -> Variant:
        return lambda: recovery(bench, lease, is_there=is_there)

    variants: dict[str, Variant] = {}
    for lease in (1,) if bench.short else (2, 5):
        variants[f"there, lease {lease}"] = variant(lease, is_there=True)
        variants[f"new, lease {lease}"] = variant(lease, is_there=False)
    rows = await bench.interleave(variants)
    if not bench.short:
        rows["there, lease 30 (once)"] = dict(await recovery(bench, 30, is_there=True))
    bench.table(f"{HELD} tasks of a killed server", rows)
    for name, row in rows.items():
        bench.judge(f"seconds beyond the lease, {name}", row["beyond the lease s"], most=1.0)


if __name__ == "__main__":
    run("recovery", measure)

"""Does the rate depend on how much is there?

The issue's number: the same rate with 10 thousand and with 1 million pending tasks, and
with 10 thousand other active ones. Each case has a Redis of its own, because the size of
the whole key space is part of the question. What is timed are the next `TIMED` tasks
of the queue; the backlog stays, and is filled up again before the next round.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from _bench import Bench, RedisServer, Variant, run
from _child import start
from _product import Finish, fill

from asyncq import Server

TIMED = 20_000
HELD = 10_000


async def next_tasks(server: RedisServer, count: int) -> Mapping[str, float]:
    """Run the next `count` tasks, and put as many in behind the others before that."""
    await fill(server.url, count)
    finish = Finish(count)
    redis_cpu = server.cpu()
    mux = finish.mux()
    # The handler goes on counting after the last one; what comes behind is put back.
    async with Server(server.url, concurrency=100).running(mux):
        await finish.wait()
        redis_cpu = server.cpu() - redis_cpu
    return {
        "tasks/s": count / finish.wall,
        "client CPU µs": finish.cpu / count * 1e6,
        "Redis CPU µs": redis_cpu / count * 1e6,
    }


@asynccontextmanager
async def backlog(size: int, bench: Bench) -> AsyncIterator[RedisServer]:
    """A Redis with `size` pending tasks."""
    server = RedisServer(bench.kind)
    bench.more_servers.append(server)
    try:
        started = time.perf_counter()
        await fill(server.url, size)
        print(f"\n{size:,} tasks enqueued in {time.perf_counter() - started:.1f} s")
        yield server
    finally:
        bench.more_servers.remove(server)
        server.stop()


@asynccontextmanager
async def others_at_work(server: RedisServer, held: int) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Another server, in another process, that holds many tasks and prolongs their leases."""
    await fill(server.url, held)
    holder = start("hold", server.url, held, 30.0)
    assert holder.stdout is not None
    try:
        assert await asyncio.to_thread(holder.stdout.readline) == b"full\n"
        yield holder
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


async def measure(bench: Bench) -> None:
    """Three servers with a backlog each."""
    small, large, held, timed = (bench.size(n) for n in (10_000, 1_000_000, HELD, TIMED))
    async with AsyncExitStack() as stack:
        few = await stack.enter_async_context(backlog(small, bench))
        many = await stack.enter_async_context(backlog(large, bench))
        busy = await stack.enter_async_context(backlog(0, bench))
        await stack.enter_async_context(others_at_work(busy, held))
        await fill(busy.url, small)

        def variant(server: RedisServer) -> Variant:
            return lambda: next_tasks(server, timed)

        rows = await bench.interleave(
            {
                f"{small:,} pending": variant(few),
                f"{large:,} pending": variant(many),
                f"{small:,} pending, {held:,} others active": variant(busy),
            },
            times=1 if bench.short else 3,
        )
    first, *rest = rows
    for name in rest:
        rows[name]["of the first"] = rows[name]["tasks/s"] / rows[first]["tasks/s"]
    bench.table(f"The next {timed:,} tasks, concurrency 100", rows)
    for name in rest:
        bench.judge(f"rate of the first, {name}", rows[name]["of the first"], least=0.9)


if __name__ == "__main__":
    run("flat", measure)

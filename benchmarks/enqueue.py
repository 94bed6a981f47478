"""What does enqueueing cost beside a bare call?

The issue's numbers: one at a time within 1.3 times of a bare `EVALSHA` round trip of the
same client; 100 at a time by `gather` at least 25,000/s; `enqueue_many` 45,000/s.

"Bare" is the product's own connection and router with a script that does nothing, and
with one that makes the same writes (store the message, push the id, count) and has none of the
checks. Turns are short and interleaved: a machine that drifts does not favour anybody.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from _bench import Bench, Variant, latencies, run
from _product import PAYLOAD, TYPE, fill

from asyncq import Client, Task
from asyncq._redis.router import Router
from asyncq._redis.script import Script
from asyncq.connection import ConnectionOptions

PATIENCE = 5.0


def _script(name: str, source: str) -> Script:
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


NOTHING = _script("nothing", "return 1")
SAME_WRITES = _script(
    "same_writes",
    """redis.call('HSET', KEYS[2], 'msg', ARGV[3])
redis.call('LPUSH', KEYS[1], ARGV[2])
redis.call('HINCRBY', KEYS[3], 'created', 1)
redis.call('SET', KEYS[4], '1 pending', 'EX', 600)
return 1""",
)


async def timed(calls: int, call: Callable[[int], Awaitable[object]]) -> list[float]:
    """Seconds of each of `calls` calls, one after another."""
    seconds: list[float] = []
    for number in range(calls):
        started = time.perf_counter()
        await call(number)
        seconds.append(time.perf_counter() - started)
    return seconds


async def one_at_a_time(bench: Bench) -> None:
    """The ratio of an enqueue to a bare round trip."""
    router = Router(ConnectionOptions.from_url(bench.server.url), name="bare")
    async with Client(bench.server.url) as client:

        async def nothing(number: int) -> object:
            args = (f"{number:022d}", PAYLOAD)
            return await router.run(NOTHING, ("bare:{q}:pending",), args, slot=0, patience=PATIENCE)

        async def same_writes(number: int) -> object:
            task_id = f"{number:022d}"
            keys = ("bare:{q}:pending", f"bare:{{q}}:t:{task_id}", "bare:{q}:flow", "bare:{q}:receipt")
            return await router.run(SAME_WRITES, keys, (task_id, PAYLOAD), slot=0, patience=PATIENCE)

        async def enqueue(_number: int) -> object:
            return await client.enqueue(Task(TYPE, PAYLOAD))

        def variant(call: Callable[[int], Awaitable[object]]) -> Variant:
            async def short_turn() -> Mapping[str, float]:
                seconds = await timed(200, call)
                bench.server.flush()
                return {**latencies(seconds), "mean_us": sum(seconds) / len(seconds) * 1e6}

            return short_turn

        calls: Sequence[tuple[str, Callable[[int], Awaitable[object]]]] = (
            ("bare EVALSHA that does nothing", nothing),
            ("bare EVALSHA with the same writes", same_writes),
            ("client.enqueue", enqueue),
        )
        for _, call in calls:
            await timed(50, call)
        rows = await bench.interleave(
            {name: variant(call) for name, call in calls}, times=1 if bench.short else 10
        )
    await router.aclose()
    bare, writing, ours = (rows[name]["p50_us"] for name, _ in calls)
    rows["client.enqueue"] |= {"of doing nothing": ours / bare, "of the same writes": ours / writing}
    bench.table("One at a time", rows)
    bench.judge("enqueue, of a bare EVALSHA that does nothing", ours / bare, most=1.3)
    bench.judge("enqueue, of a bare EVALSHA with the same writes", ours / writing, most=1.3)


async def many_at_a_time(bench: Bench) -> None:
    """Rates of `gather` and of `enqueue_many`."""

    async def gathered() -> Mapping[str, float]:
        count = bench.size(20_000)
        async with Client(bench.server.url) as client:
            await client.ping()
            with bench.spend() as spent:
                for _ in range(count // 100):
                    await asyncio.gather(*(client.enqueue(Task(TYPE, PAYLOAD)) for _ in range(100)))
        bench.server.flush()
        return {"tasks/s": count / spent.wall, **spent.per(count)}

    async def many() -> Mapping[str, float]:
        count = bench.size(30_000)
        with bench.spend() as spent:
            rate = await fill(bench.server.url, count)
        bench.server.flush()
        return {"tasks/s": rate, **spent.per(count)}

    async def spread() -> Mapping[str, float]:
        count = bench.size(30_000)
        with bench.spend() as spent:
            rate = await fill(bench.server.url, count, queues=["critical", "default", "low"])
        bench.server.flush()
        return {"tasks/s": rate, **spent.per(count)}

    rows = await bench.interleave(
        {"gather of 100": gathered, "enqueue_many": many, "enqueue_many, three queues": spread}
    )
    bench.table("Many at a time", rows)
    bench.judge("gather of 100, tasks/s", rows["gather of 100"]["tasks/s"], least=25_000)
    bench.judge("enqueue_many, tasks/s", rows["enqueue_many"]["tasks/s"], least=45_000)


async def measure(bench: Bench) -> None:
    """Both questions."""
    await one_at_a_time(bench)
    await many_at_a_time(bench)


if __name__ == "__main__":
    run("enqueue", measure)

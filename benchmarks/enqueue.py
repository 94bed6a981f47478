"""What does enqueueing cost beside a bare call?

The issue's numbers: one at a time within 1.3 times of a bare `EVALSHA` round trip of the
same client; 100 at a time by `gather` at least 25,000/s; `enqueue_many` 45,000/s.

"Bare" is the product's own connection and router. With a script that does nothing; with one
that makes the same writes (store the message, push the id, count, remember the call) and none of the
checks; with the very script that enqueues, which leaves what the client adds; and, for
orientation, a script that does nothing by the client that comes with redis-py. A turn has short
blocks of each, in an order that changes, and a ratio is taken within a turn: a machine that drifts
does not favour anybody, nor does whose block comes after whose.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import redis.asyncio
from _bench import Bench, latencies, run
from _product import PAYLOAD, TYPE, fill

from asyncq import Client, Task
from asyncq._broker.enqueue import SCRIPT
from asyncq._redis.router import Router
from asyncq._redis.script import Script, Text
from asyncq.connection import ConnectionOptions

OURS = "client.enqueue"
PATIENCE = 5.0
BLOCK = 100
"""Calls in a row. Enough to be warm again after another's block, and too few to drift meanwhile."""

BLOCKS = 6
PREFIX = "asyncq:{default}:"
HEAD = [f"{PREFIX}{name}" for name in ("pending", "scheduled", "groups", "flow", "waiting", "receipt:bare")]


def _script(name: str, source: str) -> Script:
    return Script(name, {"native": Text.of(source)})


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


class Callers:
    """Ways to make one call; each is given a number that it was not given before."""

    def __init__(self, url: str, path: str, client: Client) -> None:
        self.router = Router(ConnectionOptions.from_url(url), name="bare")
        self.library = redis.asyncio.Redis(unix_socket_path=path, protocol=2)
        self.client = client
        self._numbers = itertools.count(1)
        self.by_name: dict[str, Callable[[int], Awaitable[object]]] = {
            "bare EVALSHA that does nothing": self.nothing,
            "bare EVALSHA with the same writes": self.same_writes,
            "bare EVALSHA of the same script": self.same_script,
            "bare EVALSHA by redis-py's client, nothing": self.by_library,
            OURS: self.enqueue,
        }

    async def nothing(self, number: int) -> object:
        """A round trip."""
        args = (f"{number:022d}", PAYLOAD)
        return await self.router.run(NOTHING, ("bare:{q}:pending",), args, slot=0, patience=PATIENCE)

    async def same_writes(self, number: int) -> object:
        """What is written, and nothing else."""
        task_id = f"{number:022d}"
        keys = ("bare:{q}:pending", f"bare:{{q}}:t:{task_id}", "bare:{q}:flow", "bare:{q}:receipt")
        return await self.router.run(SAME_WRITES, keys, (task_id, PAYLOAD), slot=0, patience=PATIENCE)

    async def same_script(self, number: int) -> object:
        """What `enqueue` calls."""
        task_id = f"{number:022d}"
        keys = (*HEAD, f"{PREFIX}t:{task_id}")
        call = next(self._numbers)
        args = (call, 600, "asyncq:to:", "asyncq:news", "", f"{PREFIX}t:", 0, PAYLOAD, b"")
        return await self.router.run(SCRIPT, keys, args, slot=0, patience=PATIENCE)

    async def by_library(self, number: int) -> object:
        """A round trip, by somebody else's client."""
        return await self.library.evalsha(
            NOTHING.texts["native"].sha, 1, "bare:{q}:pending", f"{number:022d}", PAYLOAD
        )

    async def enqueue(self, _number: int) -> object:
        """What is in question."""
        return await self.client.enqueue(Task(TYPE, PAYLOAD))


async def one_at_a_time(bench: Bench) -> None:
    """The ratio of an enqueue to a bare round trip."""
    async with Client(bench.server.url) as client:
        callers = Callers(bench.server.url, bench.server.path, client)

        for call in callers.by_name.values():
            await timed(50, call)
        turns = await bench.interleave({"turn": partial(turn, callers, bench)}, times=5)
        await callers.router.aclose()
        await callers.library.aclose()
    rows: dict[str, dict[str, float]] = {name: {} for name in callers.by_name}
    for metric, value in turns["turn"].items():
        name, _, what = metric.partition("/")
        rows[name][what] = value
    for name, row in rows.items():
        if name != OURS:
            bench.judge(f"enqueue, times a {name}", row["enqueue is, times"], most=1.3)
    bench.table("One at a time", rows)


async def turn(callers: Callers, bench: Bench) -> Mapping[str, float]:
    """Some blocks of calls of each, and how they compare."""
    seconds: dict[str, list[float]] = {name: [] for name in callers.by_name}
    for number in range(BLOCKS):
        names = list(callers.by_name)
        first = number % len(names)
        names = names[first:] + names[:first]
        for name in reversed(names) if number % 2 else names:
            seconds[name] += (await timed(BLOCK + 10, callers.by_name[name]))[10:]
        bench.server.flush()
    found = {name: latencies(taken) for name, taken in seconds.items()}
    ours = found[OURS]["p50_us"]
    return {
        f"{name}/{what}": value
        for name, row in found.items()
        for what, value in {**row, "enqueue is, times": ours / row["p50_us"]}.items()
    }


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

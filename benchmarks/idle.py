"""What does an idle server ask of Redis?

The issue's number: under 30 commands a minute beside the heartbeat, whatever the
concurrency and the number of queues. Counted from the statistics that Redis keeps, which do not
tell commands of clients from those inside scripts; everything that an idle server sends beside
the heartbeat is a call of a script. A short run counts for some seconds and extrapolates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from _bench import Bench, Variant, run
from _product import TYPE

from asyncq import Mux, Server, Task

HEARTBEAT = 5.0
"""Seconds between two heartbeats, of two commands each."""


async def _no_op(_task: Task) -> None:
    """Never called: there are no tasks."""


def sent(ran: Mapping[str, int]) -> dict[str, int]:
    """What clients sent, of what ran: scripts, and commands that no script of ours calls.

    The heartbeat is the only plain `SET` and `ZADD` there is, and is counted by its beats; others of
    these ran inside scripts.
    """
    control = {"info", "client|list"}
    return {
        "scripts": ran.get("evalsha", 0) + ran.get("eval", 0),
        "other": sum(ran.get(name, 0) for name in ("ping", "subscribe", "sadd", "echo")),
        "inside": sum(
            count
            for name, count in ran.items()
            if name not in control | {"evalsha", "eval", "ping", "subscribe"}
        ),
    }


async def idle(
    bench: Bench, seconds: float, *, concurrency: int, queues: Sequence[str]
) -> Mapping[str, float]:
    """Count for `seconds` what one idle server sends."""
    mux = Mux()
    mux.handle(TYPE, _no_op)
    server = Server(bench.server.url, concurrency=concurrency, queues=list(queues))
    async with server.running(mux):
        await asyncio.sleep(0.5)  # connecting and loading scripts is no idling
        before, redis_cpu = bench.server.calls(), bench.server.cpu()
        await asyncio.sleep(seconds)
        redis_cpu, after = bench.server.cpu() - redis_cpu, bench.server.calls()
    bench.server.flush()
    counts = sent({name: count - before.get(name, 0) for name, count in after.items()})
    minute = 60 / seconds
    beats = 2 * seconds / HEARTBEAT
    return {
        "beside heartbeat": (counts["scripts"] + counts["other"]) * minute,
        "heartbeat": beats * minute,
        "inside scripts": (counts["inside"] - beats) * minute,
        "Redis CPU ms": redis_cpu * minute * 1000,
    }


async def measure(bench: Bench) -> None:
    """Few slots and many, one queue and twenty."""
    seconds = 1.5 if bench.short else 70.0
    twenty = [f"queue-{number}" for number in range(20)]

    def variant(concurrency: int, queues: Sequence[str]) -> Variant:
        return lambda: idle(bench, seconds, concurrency=concurrency, queues=queues)

    variants: dict[str, Variant] = {
        "concurrency 1, 1 queue": variant(1, ["default"]),
        "concurrency 1000, 1 queue": variant(1000, ["default"]),
        "concurrency 1, 20 queues": variant(1, twenty),
        "concurrency 1000, 20 queues": variant(1000, twenty),
    }
    rows = await bench.interleave(variants, timed=False)
    bench.table("Commands a minute of an idle server", rows)
    for name, row in rows.items():
        bench.judge(f"commands a minute beside heartbeat, {name}", row["beside heartbeat"], most=30)


if __name__ == "__main__":
    run("idle", measure, rounds=1)

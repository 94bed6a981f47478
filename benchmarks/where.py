"""Where does the time of a task go?

The server's process by cProfile, as shares of own time by part of the program: profiling makes
small functions look larger than they are, so the shares say where to look and not how much
there is to gain. Redis by its own statistics: µs per task for each command that the scripts
call; what is left of the scripts' time is Lua.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _bench import Bench, run
from _product import Finish, fill

from asyncq import Server

CONCURRENCY = 100

PARTS = {
    "asyncq/_engine/executor": "executor",
    "asyncq/_engine/conclusions": "conclusions",
    "asyncq/_engine/settler": "settler",
    "asyncq/_engine/held": "held deliveries",
    "asyncq/_engine/run": "executor",
    "asyncq/_engine/outcome": "executor",
    "asyncq/_engine/fetcher": "fetcher",
    "asyncq/_engine/supervisor": "fetcher",
    "asyncq/_broker/deliver": "deliver: reading answers",
    "asyncq/_broker/settle": "settle: making calls",
    "asyncq/_broker": "other of _broker",
    "asyncq/_wire": "envelopes and names",
    "asyncq/_redis": "connection",
    "asyncq": "task, context, mux",
    "asyncio": "asyncio",
    "benchmarks": "the handler",
}


def part_of(file: str, function: str) -> str:
    """Which part of the program a profiled function belongs to."""
    if file == "~":
        if "hiredis" in function or "socket" in function:
            return "hiredis and socket"
        if "poll" in function:
            return "waiting for Redis"
        return "built-in functions"
    path = Path(file).as_posix()
    return next((part for piece, part in PARTS.items() if f"/{piece}" in path), "standard library")


async def profile_client(bench: Bench, count: int) -> Mapping[str, Mapping[str, float]]:
    """Drain under cProfile: the share of each part."""
    await fill(bench.server.url, count)
    finish = Finish(count)
    profile = cProfile.Profile()
    async with Server(bench.server.url, concurrency=CONCURRENCY).running(finish.mux()):
        profile.enable()
        await finish.wait(bench.server, ["default"])
        profile.disable()
    bench.server.flush()
    parts: dict[str, float] = {}
    stats: Any = pstats.Stats(profile)
    for (file, _, function), (_, _, own, _, _) in stats.stats.items():
        part = part_of(file, function)
        parts[part] = parts.get(part, 0.0) + own
    total = sum(parts.values())
    ranked = sorted(parts.items(), key=lambda item: -item[1])
    return {part: {"share %": own / total * 100} for part, own in ranked}


async def profile_redis(bench: Bench, count: int) -> Mapping[str, Mapping[str, float]]:
    """Enqueue and drain: µs per task of each command."""
    control = bench.server.control
    rows: dict[str, dict[str, float]] = {}
    for step in ("enqueue", "deliver and settle"):
        control.config_resetstat()
        if step == "enqueue":
            await fill(bench.server.url, count)
        else:
            finish = Finish(count)
            async with Server(bench.server.url, concurrency=CONCURRENCY).running(finish.mux()):
                await finish.wait(bench.server, ["default"])
        stats: Any = control.info("commandstats")
        spent = {name.removeprefix("cmdstat_"): float(stat["usec"]) / count for name, stat in stats.items()}
        scripts = spent.pop("evalsha", 0.0) + spent.pop("eval", 0.0)
        inside = {name: used for name, used in spent.items() if used >= 0.05 and "|" not in name}
        inside.pop("info", None)
        inside["Lua itself"] = scripts - sum(inside.values())
        for name, used in inside.items():
            rows.setdefault(name, {})[f"{step}, µs"] = used
    bench.server.flush()
    return dict(sorted(rows.items(), key=lambda item: -sum(item[1].values())))


async def measure(bench: Bench) -> None:
    """Both sides."""
    count = bench.size(30_000)
    bench.table(f"The server's process, concurrency {CONCURRENCY}", await profile_client(bench, count))
    bench.table("Redis, by command inside scripts", await profile_redis(bench, count))


if __name__ == "__main__":
    run("where", measure, rounds=1)

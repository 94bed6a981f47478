"""Does a page of tasks cost the same out of a million as out of a thousand, wherever it is?

The issue asks for constant time and bounded memory. A page has 50 tasks; "deep" is the page in the
middle, reached by a cursor and by its number. What is judged is the time of Redis, which everybody
waits for, and which other programs disturb least.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Mapping
from typing import Any

from _bench import Bench, Variant, quantile, run
from _many import fill_quickly

from asyncq import Inspector

SIZE = 50
FULL, FEW = 1_000_000, 1_000


async def _pages(bench: Bench, inspector: Inspector, times: int, **how: Any) -> Mapping[str, float]:
    """One page, several times."""
    seen: list[float] = []
    with bench.spend() as spent:
        for _ in range(times):
            began = time.perf_counter()
            page = await inspector.tasks.list("q", size=SIZE, **how)
            seen.append(time.perf_counter() - began)
    assert len(page) == SIZE, len(page)
    return {
        "p50 µs": quantile(seen, 0.5) * 1e6,
        "p99 µs": quantile(seen, 0.99) * 1e6,
        "Redis CPU µs": spent.redis_cpu / times * 1e6,
    }


async def pages(bench: Bench, state: Any, count: int) -> dict[str, Mapping[str, float]]:
    """First and deep pages of one state."""
    times = bench.size(300)
    bench.server.flush()
    await fill_quickly(bench.server, "q", state, count)
    async with Inspector(bench.server.url) as inspector:
        half = count // SIZE // 2
        middle = await inspector.tasks.list("q", state, size=SIZE, page=half)
        rows = {
            "first": await _pages(bench, inspector, times, state=state),
            "last first": await _pages(bench, inspector, times, state=state, newest_first=True),
            "deep, by cursor": await _pages(bench, inspector, times, state=state, cursor=middle.cursor),
            "deep, by number": await _pages(bench, inspector, times, state=state, page=half),
        }
        return {f"{state}, {count:,}: {name}": row for name, row in rows.items()}


async def everything(bench: Bench, state: Any) -> Mapping[str, float]:
    """All tasks, one after the other, and a filter that lets few through; memory of this process."""
    count = bench.size(FULL)
    async with Inspector(bench.server.url) as inspector:
        began, seen = time.perf_counter(), 0
        async for _ in inspector.tasks.iterate("q", state):
            seen += 1
        whole = time.perf_counter() - began
        assert seen == count
        tracemalloc.start()
        seen = 0
        async for _ in inspector.tasks.iterate("q", state):
            seen += 1
            if seen == 20_000:
                break
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        began = time.perf_counter()
        page = await inspector.tasks.list("q", state, error="no 99", type="bench:*")
        one = time.perf_counter() - began
        assert len(page) or state == "pending"
    return {"tasks/s": count / whole, "peak MB": peak / 1e6, "filtered page ms": one * 1e3}


async def measure(bench: Bench) -> None:
    """A sorted set and the list, with few and with many."""
    rows: dict[str, Mapping[str, float]] = {}
    through: dict[str, Mapping[str, float]] = {}

    for state in ("archived", "pending"):
        for count in (FEW, bench.size(FULL)):

            async def both(state: str = state, count: int = count) -> Mapping[str, float]:
                found = await pages(bench, state, count)
                return {
                    f"{name}/{metric}": value for name, row in found.items() for metric, value in row.items()
                }

            variants: dict[str, Variant] = {"pages": both}
            flat = (await bench.interleave(variants))["pages"]
            for name, value in flat.items():
                row, _, metric = name.rpartition("/")
                rows[row] = {**rows.get(row, {}), metric: value}
        through[state] = await everything(bench, state)
    bench.table("A page of 50 tasks", rows)
    bench.table("All tasks with `iterate`", through)
    for state in ("archived", "pending"):
        first = rows[f"{state}, {FEW:,}: first"]["Redis CPU µs"]
        deep = rows[f"{state}, {bench.size(FULL):,}: deep, by cursor"]["Redis CPU µs"]
        bench.judge(f"a deep page of many against the first of few, {state}", deep / first, most=2.0)
        bench.judge(f"peak memory of iterating, MB, {state}", through[state]["peak MB"], most=5.0)


if __name__ == "__main__":
    run("listing", measure)

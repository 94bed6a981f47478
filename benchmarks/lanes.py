"""How many calls for tasks should be on their way at the same time?

With one, Redis waits while handlers run and the server waits while Redis works. The
question behind `LANES` in `asyncq/_engine/fetcher.py` and docs/adr/0006-two-lanes.md: it sets
that constant, which is no option, and drains as `drain.py` does.
"""

from __future__ import annotations

from collections.abc import Mapping

from _bench import Bench, Variant, run
from _product import drain
from floor import run_floor

from asyncq._engine import fetcher

TASKS = {10: 10_000, 100: 25_000, 1000: 25_000}
LANES = (1, 2, 3, 4)


def with_lanes(bench: Bench, lanes: int, concurrency: int) -> Variant:
    """Drain with so many lanes."""

    async def variant() -> Mapping[str, float]:
        usual = fetcher.LANES
        fetcher.LANES = lanes  # type: ignore[misc]  # that it is final is what is in question
        try:
            return await drain(bench, bench.size(TASKS[concurrency]), concurrency=concurrency)
        finally:
            fetcher.LANES = usual  # type: ignore[misc]

    return variant


def floor(bench: Bench, concurrency: int) -> Variant:
    """The bare prototype."""

    async def variant() -> Mapping[str, float]:
        return {
            "tasks/s": await run_floor(
                bench.server.url, concurrency=concurrency, tasks=bench.size(TASKS[concurrency])
            )
        }

    return variant


async def measure(bench: Bench) -> None:
    """Each number of lanes at each concurrency."""
    variants: dict[str, Variant] = {}
    for concurrency in TASKS:
        variants[f"concurrency {concurrency}, floor"] = floor(bench, concurrency)
        for lanes in LANES:
            variants[f"concurrency {concurrency}, lanes {lanes}"] = with_lanes(bench, lanes, concurrency)
    bench.table("Drain by lanes", await bench.interleave(variants))


if __name__ == "__main__":
    run("lanes", measure, rounds=5)

"""How fast does one server get through its queues, and what does that cost?

The issue's numbers: 25,000 tasks/s at concurrency 100 and 12,000 at 10, at least 0.7 of
the floor at 100, one client call for ten tasks, 0.3 s of Redis CPU for 10,000 tasks
(enqueued, delivered and settled). In the same session run, interleaved: the floor
(`floor.py`, which does nothing but move tasks) and Go asynq, if Go is there.

Client CPU counts while tasks run, Redis CPU from the enqueueing on. The server under
test, Redis and the threads of both share two cores.
"""

from __future__ import annotations

from collections.abc import Mapping

from _bench import Bench, Variant, run
from _go import GoAsynq, go_asynq
from _product import WEIGHTED, drain
from floor import run_floor

from asyncq.options import TaskOptions

TASKS = {10: 15_000, 100: 30_000, 1000: 30_000}
GO_TASKS = 10_000
EVERY_OPTION: TaskOptions = {
    "timeout": 60,
    "max_retry": 3,
    "retention": 60,
    "unique": 600,
    "headers": {"trace": "0af7651916cd43dd8448eb211c80319c"},
}


def _floor(bench: Bench, concurrency: int, *, fenced: bool = False) -> Variant:
    async def variant() -> Mapping[str, float]:
        count = bench.size(TASKS[concurrency])
        rate = await run_floor(bench.server.url, concurrency=concurrency, tasks=count, fenced=fenced)
        return {"tasks/s": rate}

    return variant


def _asyncq(bench: Bench, concurrency: int, queues: Mapping[str, int] | None = None) -> Variant:
    return lambda: drain(bench, bench.size(TASKS[concurrency]), concurrency=concurrency, queues=queues)


def _go(bench: Bench, go: GoAsynq, concurrency: int) -> Variant:
    return lambda: go.drain(bench, GO_TASKS, concurrency=concurrency)


def _variants(bench: Bench, go: GoAsynq | None) -> dict[str, Variant]:
    variants: dict[str, Variant] = {}
    for concurrency in TASKS:
        variants[f"floor, {concurrency}"] = _floor(bench, concurrency)
        variants[f"floor with the fence, {concurrency}"] = _floor(bench, concurrency, fenced=True)
        variants[f"asyncq, {concurrency}"] = _asyncq(bench, concurrency)
        variants[f"asyncq, {concurrency}, three weighted queues"] = _asyncq(bench, concurrency, WEIGHTED)
        if go is not None and concurrency <= 100:
            variants[f"Go asynq, {concurrency}"] = _go(bench, go, concurrency)
    variants["asyncq, 100, every option"] = lambda: drain(
        bench, bench.size(10_000), concurrency=100, options=EVERY_OPTION
    )
    return variants


async def measure(bench: Bench) -> None:
    """Everything, interleaved; then the ratios and the verdicts."""
    rows = await bench.interleave(_variants(bench, go_asynq(bench)))
    bench.table("Drain, at a concurrency", rows)
    ratios: dict[str, dict[str, float]] = {}
    for concurrency in TASKS:
        ours, floor = rows[f"asyncq, {concurrency}"], rows[f"floor, {concurrency}"]
        fenced = rows[f"floor with the fence, {concurrency}"]
        ratios[f"concurrency {concurrency}"] = {
            "of the floor": ours["tasks/s"] / floor["tasks/s"],
            "of the floor with the fence": ours["tasks/s"] / fenced["tasks/s"],
        }
        theirs = rows.get(f"Go asynq, {concurrency}")
        if theirs is not None and concurrency == 100:
            # The prototype did 4.2 times what Go asynq did on the machine, and 0.7 of the
            # prototype is asked for. This carries the target over to the machine of today.
            bench.judge(
                "of Go asynq, 0.7 of the issue's 36,000 / 8,500",
                ours["tasks/s"] / theirs["tasks/s"],
                least=2.96,
            )
        if theirs is not None:
            ratios[f"concurrency {concurrency}"]["of Go asynq"] = ours["tasks/s"] / theirs["tasks/s"]
    bench.table("asyncq in proportion", ratios)
    hundred = rows["asyncq, 100"]
    bench.judge("tasks/s at concurrency 100", hundred["tasks/s"], least=25_000)
    bench.judge("tasks/s at concurrency 10", rows["asyncq, 10"]["tasks/s"], least=12_000)
    for which in ("of the floor", "of the floor with the fence"):
        bench.judge(f"{which} at concurrency 100", ratios["concurrency 100"][which], least=0.7)
    bench.judge("Redis CPU, s per 10,000 tasks", hundred["Redis CPU µs"] / 100, most=0.3)
    bench.judge("tasks per client call at concurrency 100", hundred["tasks/call"], least=10)


if __name__ == "__main__":
    run("drain", measure)

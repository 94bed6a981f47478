"""How do a Go server and one of ours compare on the same Redis, with tasks that Go enqueued?

Both servers drain the same queue in the same layout, one after the other, interleaved: the issue's number is
none, so the ratio is what counts. Our native wire stands beside it, to show what sharing with Go costs.

Then the pick-up: a Go client enqueues a task now and then and tells nobody; the time goes from before its
`Enqueue` to the first line of the handler. An idle server of ours is to begin within 5 ms at the median.

A short run does without Go: our own client enqueues, and says nothing where Go would.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping

from _bench import Bench, Variant, latencies, run
from _child import start
from _go import GoAsynq, go_asynq
from _product import TYPE, drain, idle_servers

from asyncq import Mux, Task

CONCURRENCY = (10, 100)
TASKS = 20_000
PACED = 300
GAP = 20
"""Milliseconds: the server has long been idle again."""

NOTICED = 12
NOTICE_GAP = 1500
"""A Go server is idle when it sleeps between two looks, for a second."""


def _drains(bench: Bench, go: GoAsynq | None) -> dict[str, Variant]:
    count = bench.size(TASKS)
    variants: dict[str, Variant] = {}
    for concurrency in CONCURRENCY:
        if go is not None:
            variants[f"Go server, {concurrency}"] = _go_server(bench, go, count, concurrency)
        variants[f"our server, {concurrency}"] = _our_server(bench, go, count, concurrency)
        variants[f"our server, native wire, {concurrency}"] = _native(bench, count, concurrency)
    return variants


def _go_server(bench: Bench, go: GoAsynq, count: int, concurrency: int) -> Variant:
    return lambda: go.drain(bench, count, concurrency=concurrency)


def _our_server(bench: Bench, go: GoAsynq | None, count: int, concurrency: int) -> Variant:
    filler = None if go is None else lambda: go.fill(bench, count)
    return lambda: drain(bench, count, concurrency=concurrency, wire="asynq", filler=filler)


def _native(bench: Bench, count: int, concurrency: int) -> Variant:
    return lambda: drain(bench, count, concurrency=concurrency)


class Late:
    """A handler that notes how late it was called; a task tells when it was enqueued."""

    def __init__(self) -> None:
        self.numbers: dict[int, float] = {}
        self.seconds: list[float] = []
        self.news = asyncio.Event()

    async def handle(self, task: Task) -> None:
        """Note the time first."""
        now, counter = time.time_ns(), time.perf_counter()
        told = json.loads(task.raw)
        if isinstance(told, dict):
            self.numbers[told["number"]] = counter
        else:
            self.seconds.append((now - told) / 1e9)
        self.news.set()

    async def until(self, count: int) -> None:
        """Wait until so many have been noted."""
        while len(self.numbers) + len(self.seconds) < count:
            self.news.clear()
            await self.news.wait()

    def mux(self) -> Mux:
        """With this handler in it."""
        mux = Mux()
        mux.handle(TYPE, self.handle)
        return mux


async def _picked_up(bench: Bench, go: GoAsynq | None, servers: int) -> Mapping[str, float]:
    late, count = Late(), bench.size(PACED)
    async with idle_servers(
        bench.server.url, late.mux(), servers, concurrency=10, queues=["default"], wire="asynq"
    ):
        if go is not None:
            await go.call(bench, "pace", count, GAP)
            await late.until(count)
            seconds = late.seconds
        else:
            producer = start("push", bench.server.url, count, GAP / 1000)
            output, _ = await asyncio.to_thread(producer.communicate)
            await late.until(count + 10)
            seconds = [late.numbers[number] - began for number, began in enumerate(json.loads(output))]
    bench.server.flush()
    return latencies(seconds)


async def _noticed(bench: Bench, go: GoAsynq) -> Mapping[str, float]:
    seen = await go.call(bench, "notice", NOTICED, NOTICE_GAP)
    bench.server.flush()
    return {name: seen[name] for name in ("p50_us", "p99_us")}


async def measure(bench: Bench) -> None:
    """The drains, then the pick-ups."""
    go = go_asynq(bench)
    rows = await bench.interleave(_drains(bench, go))
    bench.table("The same drain, at a concurrency", rows)
    if go is not None:
        ratios = {
            f"concurrency {concurrency}": {
                "of Go": rows[f"our server, {concurrency}"]["tasks/s"]
                / rows[f"Go server, {concurrency}"]["tasks/s"],
                "of our native wire": rows[f"our server, {concurrency}"]["tasks/s"]
                / rows[f"our server, native wire, {concurrency}"]["tasks/s"],
            }
            for concurrency in CONCURRENCY
        }
        bench.table("Our server in the asynq wire, in proportion", ratios)
    pick_ups: dict[str, Variant] = {
        "our server": lambda: _picked_up(bench, go, 1),
        "10 servers of ours": lambda: _picked_up(bench, go, 10),
    }
    if go is not None:
        pick_ups["Go server, as it comes"] = lambda: _noticed(bench, go)
    seen = await bench.interleave(pick_ups)
    bench.table("From before Go's `Enqueue` to the handler of an idle server", seen)
    bench.judge("pick-up of Go's task, p50, ms", seen["our server"]["p50_us"] / 1000, most=5.0)


if __name__ == "__main__":
    run("with_go", measure)

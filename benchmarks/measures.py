"""What does counting cost: a task, Redis, whoever looks at a chart, and whoever scrapes?

A task is to cost less than a microsecond more for being counted, a chart of an hour of all queues less than
the 200 ms that a page may take, and a scrape of a thousand queues must not be felt by anybody.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from _bench import Bench, run
from _product import drain

from asyncq import Client, Connection, Inspector, Task
from asyncq._broker.broker import Broker
from asyncq._broker.deliver import Delivery
from asyncq._broker.measures import ALL, Batch, Update
from asyncq._engine.historian import News
from asyncq._engine.measures import Recorder
from asyncq._wire.messages import Envelope
from asyncq.metrics import Exporter

TYPES = 100
QUEUES = 1000
COUNTED = 20_000


def _recorder(types: int) -> Recorder:
    recorder = Recorder(["default"], most=types)
    for number in range(types):
        series = recorder.of("default", f"type:{number}")
        for step in range(1, 40):
            series.waited.add(0.003 + 0.0001 * step)
            series.ran.add(0.02 + 0.002 * step)
        series.done.count += 39
    return recorder


async def _count(bench: Bench) -> Mapping[str, float]:
    """What a server does more for each task, as it does it."""
    recorder = _recorder(20)
    delivery = Delivery("default", "id", "s:1", 0, 0, 0, 1000.5)
    envelope = Envelope("type:7", b"", enqueued_at=1000.0)
    clock, best = time.monotonic, float("inf")
    # The best of some: it is short, and whoever else is on the machine is not what is asked about.
    for _ in range(bench.size(20)):
        began = time.process_time()
        for _ in range(COUNTED):
            series = recorder.of(delivery.queue, envelope.type)
            series.arrived(delivery, envelope)
            begun = clock()
            series.ran.add(clock() - begun)
            tally = series.done
            if tally is not None:
                tally.count += 1
        best = min(best, time.process_time() - began)
    return {"µs a task": best / COUNTED * 1e6}


async def _news(bench: Bench) -> Mapping[str, float]:
    """What the thread of the vitals does every five seconds."""
    recorder = _recorder(TYPES)
    news = News(recorder)
    news.take()
    times = []
    for _ in range(bench.size(50)):
        for series in recorder.series():
            series.waited.add(0.01)
        began = time.perf_counter()
        news.take()
        times.append(time.perf_counter() - began)
    return {"ms": sorted(times)[len(times) // 2] * 1e3}


async def _write(bench: Bench, types: int) -> Mapping[str, float]:
    """What one server costs Redis every five seconds, for one queue and for all."""
    update = News(_recorder(types)).take()["default"]
    calls = bench.size(300)
    async with Connection(bench.server.url) as connection:
        broker = Broker(connection.router(), connection.wire, owner="bench", patience=10.0)
        now = time.time()
        with bench.spend() as spent:
            for number in range(1, calls + 1):
                for queue in ("default", ALL):
                    await broker.measures.add(Batch([queue], number, now + number, {queue: update}))
    memory = bench.server.control.memory_usage("asyncq:{default}:minutes") or 0
    bench.server.flush()
    return {"Redis CPU µs": spent.redis_cpu / calls * 1e6, "bytes a minute": memory / max(1, calls // 60)}


async def _look(bench: Bench, types: int, *, since: float) -> Mapping[str, float]:
    """A chart of an hour or a week, and the table of types beside it."""
    update: Update = News(_recorder(types)).take()["default"]
    async with Connection(bench.server.url) as connection, Inspector(connection) as inspector:
        broker = Broker(connection.router(), connection.wire, owner="bench", patience=10.0)
        now = time.time()
        for number in range(180):
            at = now - (179 - number) * since / 60 if since > 3600 else now - (179 - number) * 60
            await broker.measures.add(Batch([ALL], number + 1, at, {ALL: update}))
        times = []
        for _ in range(5):
            began = time.perf_counter()
            await inspector.measures.history(since=since)
            middle = time.perf_counter()
            await inspector.measures.types(since=since)
            times.append((middle - began, time.perf_counter() - middle))
    bench.server.flush()
    history, summary = (sorted(one[index] for one in times)[2] * 1e3 for index in (0, 1))
    return {"history, ms": history, "types, ms": summary}


async def _scrape(bench: Bench) -> Mapping[str, float]:
    """One of very many queues."""
    count = bench.size(QUEUES)
    async with Client(bench.server.url) as client:
        tasks = (Task("t", queue=f"q{number}") for number in range(count))
        async for _ in client.enqueue_many(tasks):
            pass
    exporter = Exporter(bench.server.url, listen="127.0.0.1:0", interval=0, timeout=60)
    try:
        await exporter.render()
        with bench.spend() as spent:
            began = time.perf_counter()
            await exporter.metrics()
            looked = time.perf_counter() - began
        began = time.perf_counter()
        page, _ = await exporter.render()
        whole = time.perf_counter() - began
    finally:
        await exporter.aclose()
    bench.server.flush()
    return {
        "queues": count,
        "look, ms": looked * 1e3,
        "look and page, ms": whole * 1e3,
        "Redis CPU ms": spent.redis_cpu * 1e3,
        "KB": len(page) / 1024,
    }


async def measure(bench: Bench) -> None:
    """Everything, and the verdicts."""
    rows = await bench.interleave({"counting one task": lambda: _count(bench)})
    bench.table("A task", rows)
    tasks = bench.size(30_000)
    drains = await bench.interleave(
        {
            "drain, 100, with history": lambda: drain(bench, tasks, concurrency=100),
            "drain, 100, without": lambda: drain(bench, tasks, concurrency=100, history=False),
        }
    )
    bench.table("With and without history in Redis", drains)
    writes = await bench.interleave(
        {f"{types} types": lambda types=types: _write(bench, types) for types in (1, 10, TYPES)}  # type: ignore[misc]
    )
    bench.table("Five seconds of one server, for a queue and for all", writes)
    bench.table(f"Finding what is new, {TYPES} types", await bench.interleave({"take": lambda: _news(bench)}))
    looks = await bench.interleave(
        {
            "an hour, 10 types": lambda: _look(bench, 10, since=3600),
            f"an hour, {TYPES} types": lambda: _look(bench, TYPES, since=3600),
            f"a week, {TYPES} types": lambda: _look(bench, TYPES, since=7 * 86400),
        }
    )
    bench.table("A chart", looks)
    scrape = await bench.interleave({"the whole": lambda: _scrape(bench)})
    bench.table("A scrape", scrape)
    bench.judge("µs a task", rows["counting one task"]["µs a task"], most=1.0)
    bench.judge("ms for a chart of an hour, 10 types", looks["an hour, 10 types"]["history, ms"], most=100)
    worst = looks[f"an hour, {TYPES} types"]["history, ms"]
    bench.judge(f"ms for a chart of an hour, {TYPES} types", worst, most=200)
    bench.judge("Redis CPU ms for a scrape", scrape["the whole"]["Redis CPU ms"], most=100)


if __name__ == "__main__":
    run("measures", measure)

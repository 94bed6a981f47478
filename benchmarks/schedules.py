"""How many entries can one scheduler have, and how late are a thousand that are due at once?

*Entries*: how long registering them takes and what each costs in memory, how long the start of a
scheduler takes that stores them and asks Redis for their last times, and what one time costs
beside those that wait. *Lateness*: the instant at which Redis has put a task into its queue, by the
clock of Redis, less the instant at which the entry was due. All entries are due in the same second. Of a
crowd that was claimed ahead it is told for all when the last call began that moved any of them.
"""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from _bench import Bench, Variant, quantile, run
from _product import PAYLOAD, TYPE

from asyncq import Scheduler, Task, TaskInfo
from asyncq._scheduling import waves as sending
from asyncq._timetable import Timetable
from asyncq.codecs import Codecs
from asyncq.entries import Entry, PeriodicTask, define

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PERIOD = 5
"""Seconds between two waves."""


def _spec(number: int) -> str:
    return f"{number % 60} {number // 60 % 24} * * *"


def _entry(number: int, spec: str) -> Entry:
    wanted = PeriodicTask(spec, Task(TYPE, {"user": number}), id=f"entry {number}")
    return define(wanted, codecs=Codecs())


async def registering(bench: Bench, count: int) -> Mapping[str, float]:
    """Register entries of 1,440 different times of day, and start."""
    tracemalloc.start()
    kept = [_entry(number, _spec(number)) for number in range(count // 10)]
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    scheduler = Scheduler(bench.server.url)
    began = time.perf_counter()
    for number in range(count):
        scheduler.register(_spec(number), Task(TYPE, {"user": number}), entry_id=f"entry {number}")
    registered = time.perf_counter()
    async with scheduler.running():
        started = time.perf_counter()
    bench.server.flush()
    return {
        "register, s": registered - began,
        "start, s": started - registered,
        "bytes each": memory / len(kept),
    }


async def one_time(count: int) -> Mapping[str, float]:
    """Take one entry after the other that is due, while so many others wait."""
    table = Timetable()
    for number in range(count):
        table.add(_entry(number, "@yearly"), NOON)
    table.add(_entry(count, "@every 1s"), NOON)
    now, ticks = NOON, 2000
    began = time.perf_counter()
    for _ in range(ticks):
        now += timedelta(seconds=1)
        assert len(table.take_due(now)) == 1
        table.wait(now)
    return {"µs": (time.perf_counter() - began) / ticks * 1e6}


async def lateness(bench: Bench, count: int, *, waves: int, waiting: int = 0) -> Mapping[str, float]:
    """So many entries are due in the same second, again and again."""
    late: list[float] = []
    done = asyncio.Event()

    def placed(outcome: TaskInfo | Exception) -> None:
        assert isinstance(outcome, TaskInfo)
        assert outcome.next_process_at is not None
        late.append(outcome.next_process_at.timestamp() - float(outcome.id.rpartition("-")[2]))
        if len(late) >= count * (waves + 1):
            done.set()

    scheduler = Scheduler(bench.server.url, post_enqueue=placed)
    for number in range(count):
        scheduler.register(f"*/{PERIOD} * * * * *", Task(TYPE, PAYLOAD), entry_id=f"entry {number}")
    for number in range(waiting):
        scheduler.register("@yearly", Task(TYPE, PAYLOAD), entry_id=f"waiting {number}")
    async with scheduler.running():
        with bench.spend() as spent:
            await done.wait()
    bench.server.flush()
    late = late[count:]  # the first wave finds everything cold
    return {
        "p50, ms": quantile(late, 0.5) * 1000,
        "p99, ms": quantile(late, 0.99) * 1000,
        "most, ms": max(late) * 1000,
        "CPU µs": spent.client_cpu / (count * (waves + 1)) * 1e6,
        "Redis CPU µs": spent.redis_cpu / (count * (waves + 1)) * 1e6,
    }


async def at_their_moment(bench: Bench, count: int, *, waves: int) -> Mapping[str, float]:
    """The same without crowds: each is claimed when it comes (docs/adr/0017-a-wave-of-entries.md)."""
    least, sending.LEAST = sending.LEAST, count + 1  # type: ignore[misc]
    try:
        return await lateness(bench, count, waves=waves)
    finally:
        sending.LEAST = least  # type: ignore[misc]


async def measure(bench: Bench) -> None:
    """A hundred thousand entries, and a thousand at once."""
    many, waves = bench.size(100_000), max(1, bench.size(6))
    rows = await bench.interleave({f"{many:,} entries": lambda: registering(bench, many)})
    bench.table("Registering", rows)
    bench.judge(f"registering {many:,} entries, s", rows[f"{many:,} entries"]["register, s"], most=10.0)

    ticks: dict[str, Variant] = {
        "beside 100": lambda: one_time(100),
        f"beside {many:,}": lambda: one_time(many),
    }
    rows = await bench.interleave(ticks)
    bench.table("One time that is due", rows)

    waves_of: dict[str, Variant] = {
        "100 at once": lambda: lateness(bench, 100, waves=waves),
        "1,000 at once": lambda: lateness(bench, 1000, waves=waves),
        "1,000 at once, not claimed ahead": lambda: at_their_moment(bench, 1000, waves=waves),
        f"1,000 at once, {many // 10:,} wait": lambda: lateness(bench, 1000, waves=waves, waiting=many // 10),
    }
    rows = await bench.interleave(waves_of)
    bench.table("From when it was due until it is in its queue", rows)
    bench.judge("lateness p99, ms, 1,000 at once", rows["1,000 at once"]["p99, ms"], most=20.0)


if __name__ == "__main__":
    run("schedules", measure)

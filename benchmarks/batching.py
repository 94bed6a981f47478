"""One script call per task, joined into one write, or one script call for many tasks?

Both cost one round trip. The scripts are the floor's; a call of one item is the same
script with one item. µs per task, of the client's CPU and of the server's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from _bench import Bench, Spent, Variant, run
from _link import Argument, call_many, chunks, connect, load, packed
from floor import DELIVER, ENQUEUE, LEASE, LEASE_SECONDS, PAYLOAD, PENDING, PREFIX, PROCESSED, SETTLE

Command = tuple[Argument, ...]


class Scripts:
    """Builds the calls."""

    def __init__(self, enqueue: str, deliver: str, settle: str) -> None:
        self._enqueue, self._deliver, self._settle = enqueue, deliver, settle

    def enqueue(self, ids: Sequence[str]) -> Command:
        """Enqueue `ids` in one call."""
        flat = itertools.chain.from_iterable((task_id, PAYLOAD) for task_id in ids)
        return ("EVALSHA", self._enqueue, 1, PENDING, f"{PREFIX}t:", *flat)

    def deliver(self, ids: Sequence[str]) -> Command:
        """Deliver as many as there are `ids` in one call."""
        return ("EVALSHA", self._deliver, 2, PENDING, LEASE, f"{PREFIX}t:", len(ids), LEASE_SECONDS)

    def settle(self, ids: Sequence[str]) -> Command:
        """Settle `ids` in one call."""
        return ("EVALSHA", self._settle, 2, LEASE, PROCESSED, f"{PREFIX}t:", *ids)


async def measure(bench: Bench) -> None:
    """Enqueue, deliver and settle the same tasks, in groups of 1, 10 and 100."""
    connection: Any = await connect(bench.server.url)
    loaded = [await load(connection, script) for script in (ENQUEUE, DELIVER, SETTLE)]
    scripts = Scripts(*loaded)
    tasks = bench.size(6_000)
    ids = [f"{number:022d}" for number in range(tasks)]

    async def step(build: Callable[[Sequence[str]], Command], size: int, *, one_call: bool) -> Spent:
        with bench.spend() as spent:
            for some in chunks(ids, size):
                groups = [some] if one_call else [[task_id] for task_id in some]
                await call_many(connection, [packed(*build(group)) for group in groups])
        return spent

    def variant(size: int, *, one_call: bool) -> Variant:
        async def run_once() -> Mapping[str, float]:
            row: dict[str, float] = {}
            for name in ("enqueue", "deliver", "settle"):
                spent = await step(getattr(scripts, name), size, one_call=one_call)
                row[f"{name} client"] = spent.client_cpu / tasks * 1e6
                row[f"{name} redis"] = spent.redis_cpu / tasks * 1e6
            assert bench.server.control.dbsize() == 1, "only the counter is left"
            return row

        return run_once

    variants = {"1 task a round trip": variant(1, one_call=True)}
    for size in (10, 100):
        variants[f"{size} calls of one, one write"] = variant(size, one_call=False)
        variants[f"1 call of {size}"] = variant(size, one_call=True)
    bench.table("CPU µs per task", await bench.interleave(variants))
    await connection.disconnect(nowait=True)


if __name__ == "__main__":
    run("batching", measure)

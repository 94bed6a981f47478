"""Several queues: shares by weight, or strictly one before the other.

It prints:

    by weight, of the first 50: 30 critical, 15 default, 5 low
    strictly, of the first 50: 50 critical, 0 default, 0 low
"""

from __future__ import annotations

import asyncio
from collections import Counter

from _example import example_url

from asyncq import Client, Mux, Server, Task

QUEUES = {"critical": 6, "default": 3, "low": 1}
FIRST = 50


async def serve_some(url: str, *, strict: bool) -> Counter[str]:
    """Fill all queues, and see from where the first tasks are taken."""
    taken: list[str] = []
    are_enough = asyncio.Event()
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        taken.append(task.queue)
        if len(taken) >= FIRST:
            are_enough.set()

    async with Client(url) as client:
        for queue in QUEUES:
            async for outcome in client.enqueue_many((Task("work") for _ in range(2 * FIRST)), queue=queue):
                assert outcome.is_enqueued  # noqa: S101 - an example may insist
    async with Server(url, concurrency=10, queues=QUEUES, strict_priority=strict).running(mux):
        await are_enough.wait()
    return Counter(taken[:FIRST])


async def main(url: str) -> None:
    """Once by weight, once strictly."""
    for how, strict in (("by weight", False), ("strictly", True)):
        shares = await serve_some(url, strict=strict)
        print(f"{how}, of the first {FIRST}:", ", ".join(f"{shares[queue]} {queue}" for queue in QUEUES))


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

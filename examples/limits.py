"""At most so many at the same time, over all servers: for handlers, and for a piece of code.

It prints:

    20 transfers by two servers, at most 3 at the same time; retries used: 0
    meanwhile 20 other tasks did not have to wait for them
    a free slot: yes
    another one: no slot of semaphore 'export' became free within 0.1 s
    held: 1, and after the block: 0
    three threads, at most 1 at the same time
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing

from _example import example_url

from asyncq import Client, Context, Limit, Mux, Semaphore, Server, Task, sync
from asyncq.errors import NoSlotError

TASKS = 20


async def limit_a_handler(url: str) -> None:
    """Two servers with ten places each share three slots for the bank."""
    mux = Mux()
    at_work = most = transfers = retries = others = others_first = 0
    all_done = asyncio.Event()

    @mux.handle("bank:transfer", limit=Limit("bank", 3))
    async def transfer(_: Task, ctx: Context) -> None:
        nonlocal at_work, most, transfers, retries
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.05)
        at_work -= 1
        transfers += 1
        retries += ctx.retried
        if transfers == TASKS:
            all_done.set()

    @mux.handle("other")
    async def other(_: Task) -> None:
        nonlocal others, others_first
        others += 1
        others_first += transfers < TASKS

    async with Client(url) as client:
        for kind in ("bank:transfer", "other"):
            for _ in range(TASKS):
                await client.enqueue(Task(kind))
    async with (
        Server(url, concurrency=10).running(mux),
        Server(url, concurrency=10).running(mux),
    ):
        await all_done.wait()
    print(f"{transfers} transfers by two servers, at most {most} at the same time; retries used: {retries}")
    print(f"meanwhile {others_first} other tasks did not have to wait for them")


async def limit_a_block(url: str) -> None:
    """Hold a slot in a program that is no server."""
    async with aclosing(Semaphore(url, "export", 1)) as export:
        async with export:
            print("a free slot: yes")
            try:
                async with export.slot(timeout=0.1):
                    print("another one: yes")
            except NoSlotError as error:
                print(f"another one: {error}")
            inside = (await export.held()).count
        print(f"held: {inside}, and after the block: {(await export.held()).count}")


def limit_threads(url: str) -> None:
    """The same for code that blocks."""
    lock = threading.Lock()
    at_work = most = 0

    def work(export: sync.Semaphore) -> None:
        nonlocal at_work, most
        with export:
            with lock:
                at_work += 1
                most = max(most, at_work)
            time.sleep(0.02)
            with lock:
                at_work -= 1

    with closing(sync.Semaphore(url, "export", 1)) as export, ThreadPoolExecutor(3) as threads:
        list(threads.map(work, [export] * 3))
    print(f"three threads, at most {most} at the same time")


async def main(url: str) -> None:
    """One after the other."""
    await limit_a_handler(url)
    await limit_a_block(url)
    await asyncio.to_thread(limit_threads, url)


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

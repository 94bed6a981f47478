"""A server that is told to leave finishes what it can, and hands back the rest.

It prints:

    first server: began short
    first server: began long
    asked to leave
    first server: finished short
    first server has left
    second server: began long, handed over 1 time before, retries used: 0
    second server: finished long
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Context, Mux, Server, Task


def make_handlers(server: str, began: asyncio.Semaphore, finished: asyncio.Semaphore) -> Mux:
    """The same work, on either server."""
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task, ctx: Context) -> None:
        name, seconds = task.payload["name"], task.payload["seconds"]
        before = (
            f", handed over {ctx.deliveries} time before, retries used: {ctx.retried}"
            if ctx.deliveries
            else ""
        )
        print(f"{server}: began {name}{before}")
        began.release()
        await asyncio.sleep(seconds if not ctx.deliveries else 0)
        print(f"{server}: finished {name}")
        finished.release()

    return mux


async def main(url: str) -> None:
    """Stop a server with a short and a long task at work; another one takes over what is left."""
    began, finished = asyncio.Semaphore(0), asyncio.Semaphore(0)
    async with Client(url) as client:
        await client.enqueue(Task("work", {"name": "short", "seconds": 0.3}))
        await client.enqueue(Task("work", {"name": "long", "seconds": 60}))

    first = Server(url, concurrency=2, shutdown_timeout=1.0)
    await first.start(make_handlers("first server", began, finished))
    await began.acquire()
    await began.acquire()

    # What SIGTERM does to a server that was started with `run`.
    print("asked to leave")
    await first.shutdown()
    print("first server has left")

    async with Server(url).running(make_handlers("second server", began, finished)):
        await finished.acquire()  # of the short one
        await finished.acquire()


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

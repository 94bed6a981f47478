"""Cancelling tasks: one that waits, one that runs, and one that does not listen at once.

It prints:

    waits: cancelled
    runs: cleaning up, cancelled
    in a thread: stopped after a while, cancelled
    again: archived
    reason: archived (cancelled): TaskCancelledError: cancelled: on request
"""

from __future__ import annotations

import asyncio
import threading

from _example import example_url

from asyncq import Client, Context, Inspector, Mux, Server, Task
from asyncq.errors import TaskArchivedError

mux = Mux()
began = threading.Event()


@mux.handle("wait")
async def wait(_: Task) -> None:
    """Cancelled at its `await`."""
    began.set()
    try:
        await asyncio.sleep(3600)
    finally:
        print("runs: cleaning up", end=", ")


@mux.handle("compute")
def compute(_: Task, ctx: Context) -> None:
    """A thread cannot be interrupted: it looks between two steps, and raises."""
    began.set()
    while not ctx.wait_cancelled(0.01):
        pass  # a step of the work
    print("in a thread: stopped after a while", end=", ")
    raise InterruptedError


async def main(url: str) -> None:
    """Cancel three tasks."""
    async with Client(url) as client, Inspector(url) as inspector:
        info = await client.enqueue(Task("wait"), process_in=600, unique=3600)
        print("waits:", await inspector.tasks.cancel(info.queue, info.id))

        async with Server(url).running(mux):
            # The lock of the cancelled one is free again.
            for task in (Task("wait"), Task("compute")):
                began.clear()
                info = await client.enqueue(task, unique=3600)
                await asyncio.to_thread(began.wait)
                print(await inspector.tasks.cancel(info.queue, info.id, wait=30))

        print("again:", await inspector.tasks.cancel(info.queue, info.id))
        try:
            await client.result(info)
        except TaskArchivedError as error:
            print(f"reason: archived ({error.reason}): {error.error}")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

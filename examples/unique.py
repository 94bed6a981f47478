"""One task of a kind at a time: a second one is refused until the first is done.

It prints:

    first: enqueued
    second: queue 'default' has a unique task 'report:monthly' with this payload already
    another payload: enqueued
    after the first was done: enqueued
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Mux, Server, Task
from asyncq.errors import DuplicateTaskError

mux = Mux()
two_are_done = asyncio.Semaphore(0)


@mux.handle("report:monthly")
async def report(_: Task) -> None:
    """Make the report."""
    two_are_done.release()


async def ask(client: Client, who: str, month: str) -> None:
    """Ask for a report, which is unique by queue, type and payload for at most an hour."""
    try:
        await client.enqueue(Task("report:monthly", {"month": month}), unique=3600)
    except DuplicateTaskError as error:
        print(f"{who}: {error}")
    else:
        print(f"{who}: enqueued")


async def main(url: str) -> None:
    """Ask twice for the same thing, then let it happen and ask again."""
    async with Client(url) as client:
        await ask(client, "first", "2026-10")
        await ask(client, "second", "2026-10")
        await ask(client, "another payload", "2026-11")
        async with Server(url).running(mux):
            await two_are_done.acquire()
            await two_are_done.acquire()
        # The lock goes with the task, in the same step.
        await ask(client, "after the first was done", "2026-10")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

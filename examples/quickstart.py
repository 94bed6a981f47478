"""A client puts two tasks into a queue, and a server runs them.

It prints:

    welcome, user 42
    welcome, user 43
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Mux, Server, Task

mux = Mux()
both_are_welcome = asyncio.Semaphore(0)


@mux.handle("email:welcome")
async def welcome(task: Task) -> None:
    """Greet a user."""
    print("welcome, user", task.payload["user_id"])
    both_are_welcome.release()


async def main(url: str) -> None:
    """Enqueue, then serve until both tasks have run."""
    async with Client(url) as client:
        await client.enqueue(Task("email:welcome", {"user_id": 42}))
        await client.enqueue(Task("email:welcome", {"user_id": 43}), process_in=0.5)

    # A program that does nothing else writes Server(url, concurrency=20).run(mux).
    async with Server(url, concurrency=20).running(mux):
        await both_are_welcome.acquire()
        await both_are_welcome.acquire()


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

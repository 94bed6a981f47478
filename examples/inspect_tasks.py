"""Looking at tasks and servers from outside, and stopping a task that runs.

It prints:

    before: pending, 0 deliveries
    server "example" runs 1 of 5, and has handlers for slow
    while it runs: active, 1 delivery
    cancelling: requested
    afterwards: archived, TaskCancelledError: cancelled: on request
    unknown: there is no queue 'defualt'; did you mean 'default'?
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq.errors import NotFoundError

mux = Mux()
began, was_told = asyncio.Event(), asyncio.Event()


@mux.handle("slow")
async def slow(_: Task) -> None:
    """Cancelled at its `await`, like any coroutine; what must be cleaned up goes into `finally`."""
    began.set()
    try:
        await asyncio.sleep(3600)
    finally:
        was_told.set()


async def main(url: str) -> None:
    """Follow one task."""
    async with Client(url) as client, Inspector(url) as inspector:
        task_id = (await client.enqueue(Task("slow"))).id
        info = await inspector.tasks.get("default", task_id)
        print(f"before: {info.state}, {info.deliveries} deliveries")

        async with Server(url, concurrency=5, name="example").running(mux):
            await began.wait()
            servers = await inspector.servers.list()
            while not (servers and servers[0].active):  # a server says every few seconds what it does
                await asyncio.sleep(0.1)
                servers = await inspector.servers.list()
            one = servers[0]
            handlers = ", ".join(one.types)
            print(
                f'server "{one.name}" runs {one.active} of {one.concurrency}, and has handlers for {handlers}'
            )
            info = await inspector.tasks.get("default", task_id)
            print(f"while it runs: {info.state}, {info.deliveries} delivery")
            print("cancelling:", await inspector.tasks.cancel("default", task_id))
            await was_told.wait()

        info = await inspector.tasks.get("default", task_id)
        print(f"afterwards: {info.state}, {info.last_error}")

        try:
            await inspector.tasks.get("defualt", task_id)
        except NotFoundError as error:
            print("unknown:", error)


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

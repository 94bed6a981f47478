"""Middleware wraps every handler: to time, to trace, to open what handlers need.

It prints:

    request 8f14: begin paint:wall
    request 8f14: painting the wall blue
    request 8f14: end paint:wall
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from _example import example_url

from asyncq import Client, Context, Mux, Server, Task
from asyncq.mux import Call

request_id: ContextVar[str] = ContextVar("request_id")
is_painted = asyncio.Event()


def say(text: str) -> None:
    """Stands for a logger that knows the request."""
    print(f"request {request_id.get()}: {text}")


async def with_request_id(task: Task, ctx: Context, call_next: Call) -> object:
    """Take what the client put into the headers to wherever the handler goes."""
    request_id.set(task.headers.get("request-id", "none"))
    return await call_next(task, ctx)


async def logged(task: Task, ctx: Context, call_next: Call) -> object:
    """What comes before and after a handler, also when it fails."""
    say(f"begin {task.type}")
    try:
        return await call_next(task, ctx)
    finally:
        say(f"end {task.type}")
        is_painted.set()


async def paint(task: Task) -> None:
    """A handler in a mux of its own."""
    say(f"painting the wall {task.payload}")


async def main(url: str) -> None:
    """What is added first is outermost. A mux may be part of another one."""
    painters = Mux()
    painters.use(logged)
    painters.handle("paint:wall", paint)

    mux = Mux()
    mux.use(with_request_id)
    mux.handle("paint:", painters)

    async with Client(url) as client, Server(url).running(mux):
        await client.enqueue(Task("paint:wall", "blue"), headers={"request-id": "8f14"})
        await is_painted.wait()


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

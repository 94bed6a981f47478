"""Middleware wraps enqueueing and every handler: here to carry a request id from one to the other.

It prints:

    request 8f14: enqueued paint:wall
    request 8f14: begin paint:wall
    request 8f14: painting the wall blue
    request 8f14: end paint:wall
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from _example import example_url

from asyncq import Client, Context, Mux, Server, Task, TaskInfo
from asyncq.client import EnqueueCall
from asyncq.mux import Call
from asyncq.options import TaskOptions

request_id: ContextVar[str] = ContextVar("request_id")
is_painted = asyncio.Event()


def say(text: str) -> None:
    """Stands for a logger that knows the request."""
    print(f"request {request_id.get()}: {text}")


async def tagged(task: Task, options: TaskOptions, call_next: EnqueueCall) -> TaskInfo:
    """On the client: put the id of the request that is being served into the headers."""
    headers = {"request-id": request_id.get(), **options.get("headers", {})}
    info = await call_next(task, {**options, "headers": headers})
    say(f"enqueued {task.type}")
    return info


async def with_request_id(task: Task, ctx: Context, call_next: Call) -> object:
    """On the server: take what the client put into the headers to wherever the handler goes."""
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

    async with Client(url, middleware=[tagged]) as client:
        request_id.set("8f14")
        await client.enqueue(Task("paint:wall", "blue"))
        async with Server(url).running(mux):
            await is_painted.wait()


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

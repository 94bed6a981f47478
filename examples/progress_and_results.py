"""A task that says how far it is, and leaves a result behind.

It prints:

    halfway: rows 50 of 100, result so far {'errors': 3}
    at the end: completed, result {'rows': 100, 'errors': 3}
"""

from __future__ import annotations

import asyncio

import msgpack
from _example import example_url
from redis.asyncio import Redis

from asyncq import Client, Context, Inspector, Mux, Server, Task, TaskInfo

mux = Mux()
is_halfway, may_go_on = asyncio.Event(), asyncio.Event()


@mux.handle("import")
async def import_rows(_: Task, ctx: Context) -> dict[str, int]:
    """What a handler returns is the result; it may write another one before."""
    for row in range(1, 101):
        ctx.progress(row, 100, "rows")  # costs next to nothing, however often it is called
        if row == 50:
            await ctx.write_result({"errors": 3})
            is_halfway.set()
            await may_go_on.wait()
    return {"rows": 100, "errors": 3}


async def look(redis: Redis, info: TaskInfo, field: str) -> object:
    """Read a field of a task while it runs, as docs/concepts/keyspace.md describes it."""
    raw = await redis.hget(f"asyncq:{{{info.queue}}}:t:{info.id}", field)
    return None if raw is None else msgpack.unpackb(raw)


async def main(url: str) -> None:
    """Look at the task while it runs, and when it is done."""
    async with Redis.from_url(url) as redis, Client(url) as client:
        async with Server(url).running(mux):
            # Without retention the task is gone, and its result with it, when it has succeeded.
            info = await client.enqueue(Task("import"), retention=600)
            await is_halfway.wait()
            while (progress := await look(redis, info, "progress")) != [50, 100, "rows"]:  # noqa: ASYNC110 - it is in Redis
                await asyncio.sleep(0.05)  # the latest report of each moment is written
            result = await look(redis, info, "result")
            print(f"halfway: {progress[2]} {progress[0]} of {progress[1]}, result so far {result}")
            may_go_on.set()
        # Leaving the block has let the task finish.
        async with Inspector(url) as inspector:
            info = await inspector.tasks.get(info.queue, info.id)
        print(f"at the end: {info.state}, result {msgpack.unpackb(info.result or b'')}")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

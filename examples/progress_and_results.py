"""A task that says how far it is, and leaves a result behind.

It prints:

    halfway: rows 50 of 100, result so far {'errors': 3}
    at the end: completed, result {'rows': 100, 'errors': 3}
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Context, Inspector, Mux, Server, Task

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


async def main(url: str) -> None:
    """Look at the task while it runs, and when it is done."""
    async with Client(url) as client, Inspector(url) as inspector:
        async with Server(url).running(mux):
            # Without retention the task is gone, and its result with it, when it has succeeded.
            info = await client.enqueue(Task("import"), retention=600)
            await is_halfway.wait()
            progress = None
            while progress is None:  # the latest report of each moment is written, a moment later
                info = await inspector.tasks.get(info.queue, info.id)
                progress = info.progress
            print(
                f"halfway: {progress.note} {progress.done} of {progress.total}, result so far {info.result}"
            )
            may_go_on.set()
        # Leaving the block has let the task finish.
        info = await inspector.tasks.get(info.queue, info.id)
        print(f"at the end: {info.state}, result {info.result}")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

"""Waiting for what a task returns, and for one that fails.

It prints:

    1 of 2
    2 of 2
    result: {'rows': 2, 'table': 'users'}
    failed: exhausted, ValueError: there is no table 'user'
    not over after 0.1 s; the task goes on
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Context, Mux, Server, Task
from asyncq.errors import ResultTimeoutError, TaskArchivedError
from asyncq.task_info import Progress

mux = Mux()
was_seen = asyncio.Event()


@mux.handle("export")
async def export(task: Task, ctx: Context) -> dict[str, object]:
    """What is returned is the result."""
    table = task.payload
    if table == "user":
        message = f"there is no table {table!r}"
        raise ValueError(message)
    for row in (1, 2):
        was_seen.clear()
        ctx.progress(row, 2)
        await was_seen.wait()
    return {"rows": 2, "table": table}


def show(progress: Progress) -> None:
    """Called as soon as a report is seen; of reports in quick succession, the latest."""
    print(f"{progress.done} of {progress.total}")
    was_seen.set()


async def main(url: str) -> None:
    """Enqueue, and wait."""
    async with Client(url) as client:
        async with Server(url).running(mux):
            info = await client.enqueue(Task("export", "users"), retention=600)
            print("result:", await client.result(info, timeout=10, on_progress=show))

            info = await client.enqueue(Task("export", "user"), max_retry=0)
            try:
                await client.result(info, timeout=10)
            except TaskArchivedError as error:
                print(f"failed: {error.reason}, {error.error}")

        # Nobody is there to run this one.
        info = await client.enqueue(Task("export", "orders"), retention=600)
        try:
            await client.result(info, timeout=0.1)
        except ResultTimeoutError as error:
            print(f"not over after {error.seconds:g} s; the task goes on")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

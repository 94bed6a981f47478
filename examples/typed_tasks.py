"""Tasks defined by the function that runs them: a type checker sees the arguments on both sides.

It prints:

    resized cat.png to 200 x 100 in attempt 1
    resized dog.png to 640 x 480 in attempt 1
    called directly: 20000 pixels
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Context, Mux, Server, task

two_are_done = asyncio.Semaphore(0)


@task("image:resize", queue="images", max_retry=3)
async def resize(ctx: Context, name: str, *, width: int = 640, height: int = 480) -> None:
    """Take the context first; who makes a task does not see it."""
    print(f"resized {name} to {width} x {height} in attempt {ctx.attempt}")
    two_are_done.release()


@task("image:count-pixels")
def count_pixels(width: int, height: int) -> int:
    """A plain function runs in a thread, and needs no context."""
    return width * height


async def main(url: str) -> None:
    """Make tasks by calling `.task` with the arguments of the function."""
    mux = Mux()
    mux.add(resize, count_pixels)

    async with Client(url) as client:
        await client.enqueue(resize.task("cat.png", width=200, height=100))
        await client.enqueue(resize.task("dog.png"), process_in=0.2)
        # resize.task(7) and resize.task("cat.png", depth=3) do not pass mypy or pyright.

    async with Server(url, queues={"images": 1}).running(mux):
        await two_are_done.acquire()
        await two_are_done.acquire()

    print("called directly:", count_pixels(200, 100), "pixels")  # it stays an ordinary function


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

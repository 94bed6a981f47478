"""An app: a server with its handlers and a scheduler, in one object that `asyncq run` can run.

    asyncq run app:make_app --factory --embedded --fresh

or, from Python, as below. It prints:

    the report was made
    the report was made
    everything has left
"""

from __future__ import annotations

import asyncio
import os

from _example import example_url

from asyncq import App, Mux, Scheduler, Server, Task

made = asyncio.Semaphore(0)


def make_app(url: str | None = None) -> App:
    """Say what runs together. Where Redis is, the command says in the environment."""
    url = url or os.environ.get("ASYNCQ_URL", "redis://localhost:6379/0")
    mux = Mux()

    @mux.handle("report")
    async def report(_: Task) -> None:
        print("the report was made")
        made.release()

    scheduler = Scheduler(url)
    scheduler.register("@every 1s", Task("report"))
    return App(Server(url, concurrency=5), mux, schedulers=[scheduler])


async def main(url: str) -> None:
    """Run it for as long as two reports take."""
    async with make_app(url).running():
        await made.acquire()
        await made.acquire()
    print("everything has left")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

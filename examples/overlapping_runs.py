"""An entry whose runs take longer than the time to the next one, and what becomes of that.

It prints:

    the first run begins
    left out: the run before it is not over
    the first run ends
    the next run begins
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Inspector, Mux, Scheduler, Server, Task

mux = Mux()
runs: asyncio.Queue[asyncio.Event] = asyncio.Queue()


@mux.handle("import")
async def import_all(_: Task) -> None:
    """Run until somebody says that it has been long enough."""
    enough = asyncio.Event()
    await runs.put(enough)
    await enough.wait()


async def reason(inspector: Inspector) -> str:
    """Wait until a time was left out, and return why."""
    while True:
        for event in await inspector.schedulers.events("import"):
            if event.reason == "overlap":
                return event.error.partition(" (")[0]
        await asyncio.sleep(0.1)


async def main(url: str) -> None:
    """`catch_up` is for times when no scheduler is there, `overlap` for those that come too soon."""
    scheduler = Scheduler(url)
    scheduler.register(
        "@every 1s", Task("import"), entry_id="import", overlap="skip", catch_up="latest", max_age=3600
    )
    async with Inspector(url) as inspector, Server(url).running(mux), scheduler.running():
        enough = await runs.get()
        print("the first run begins")
        print("left out:", await reason(inspector))
        enough.set()
        print("the first run ends")
        enough = await runs.get()
        print("the next run begins")
        enough.set()


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

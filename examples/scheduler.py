"""Periodic tasks: cron fields, intervals, and time zones.

It prints:

    entries: @daily cleanup, heartbeat, morning
    a heartbeat
    a heartbeat
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from _example import example_url

from asyncq import Mux, Scheduler, Server, Task

mux = Mux()
heartbeats = asyncio.Semaphore(0)


@mux.handle("heartbeat")
async def heartbeat(_: Task) -> None:
    """Run by the server like any other task."""
    print("a heartbeat")
    heartbeats.release()


async def main(url: str) -> None:
    """A scheduler and a server in one process; `scheduler.run()` is for one of its own."""
    scheduler = Scheduler(url, timezone="Europe/Paris")
    scheduler.register("0 9 * * mon-fri", Task("report:morning"), queue="low", entry_id="morning")
    scheduler.register("@daily", Task("cleanup"), timezone="UTC")
    scheduler.register(timedelta(seconds=1), Task("heartbeat"), entry_id="heartbeat")
    print("entries:", ", ".join(sorted(entry.id for entry in scheduler.entries)))
    async with Server(url).running(mux), scheduler.running():
        await heartbeats.acquire()
        await heartbeats.acquire()


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

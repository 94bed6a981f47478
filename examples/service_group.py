"""A server, a scheduler and a function of one's own are one program, with its settings in one file.

It prints:

    settings: shop serves critical, low
    bank: looked once
    report: enqueued by the scheduler, done by the server
    bank: looked for the last time
    all have left
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from _example import example_url

from asyncq import Mux, Scheduler, Server, Task
from asyncq.app import ServiceConf, ServiceGroup, Setting, load, with_start

FILE = """
Name = "shop"
Concurrency = 4

[Queues]
critical = 6
low = 1
"""


@dataclass(frozen=True)
class Settings(ServiceConf):
    """What the file has to say, and what it may say."""

    queues: dict[str, int]
    concurrency: Annotated[int, Setting(env="CONCURRENCY", least=1)] = 10


def read_settings() -> Settings:
    """Write the file, and read it: YAML and JSON are read, too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shop.toml")
        path.write_text(FILE)
        return load(path, Settings)


async def watch_the_bank() -> None:
    """What is no task, and runs as long as the program."""
    print("bank: looked once")
    try:
        await asyncio.Event().wait()
    finally:
        print("bank: looked for the last time")


async def main(url: str) -> None:
    """A program of its own calls `group.run()`, and hears SIGTERM."""
    settings = read_settings()
    print(f"settings: {settings.name} serves {', '.join(settings.queues)}")
    mux = Mux()
    reported = asyncio.Event()

    @mux.handle("report")
    async def report(_: Task) -> None:
        if not reported.is_set():
            print("report: enqueued by the scheduler, done by the server")
            reported.set()

    scheduler = Scheduler(url)
    scheduler.register("@every 1s", Task("report"), queue="low")
    server = Server(url, concurrency=settings.concurrency, queues=settings.queues)

    group = ServiceGroup(shutdown=settings.shutdown)
    group.add(with_start(watch_the_bank))
    group.add(server, mux)
    group.add(scheduler)  # added last, so it is stopped first
    async with group:
        await reported.wait()
    print("all have left")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

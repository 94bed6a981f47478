"""Tasks for later: they wait in Redis, and start within milliseconds of their time.

It prints:

    expired: news of yesterday
    now: on time
    in 0.3 s: on time
    at a given moment: on time
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from _example import example_url

from asyncq import Client, Mux, Server, Task

mux = Mux()
three_are_done = asyncio.Semaphore(0)


@mux.handle("remind")
async def remind(task: Task) -> None:
    """Compare the clock with what was asked for."""
    late = time.time() - task.payload["due"]
    print(f"{task.payload['what']}: {'on time' if 0 <= late < 0.5 else f'{late:.3f} s late'}")
    three_are_done.release()


def expired(task: Task) -> None:
    """Called for a task that nobody started in time."""
    print("expired:", task.payload["what"])


async def main(url: str) -> None:
    """Enqueue in the wrong order; they run in the right one."""
    async with Client(url) as client:
        # Nobody serves yet, so this one grows too old.
        await client.enqueue(Task("remind", {"what": "news of yesterday", "due": 0}), expires_in=0.01)
        await asyncio.sleep(0.02)

    async with Client(url) as client, Server(url, concurrency=1, on_expired=expired).running(mux):
        now = datetime.now(UTC)
        moment = now + timedelta(seconds=0.8)
        await client.enqueue(
            Task("remind", {"what": "at a given moment", "due": moment.timestamp()}), process_at=moment
        )
        due = time.time() + 0.3
        await client.enqueue(Task("remind", {"what": "in 0.3 s", "due": due}), process_in=0.3)
        await client.enqueue(Task("remind", {"what": "now", "due": time.time()}))
        for _ in range(3):
            await three_are_done.acquire()


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

"""What is in the queues, who works on it, and how to stop a queue and take it away.

It prints:

    mails: 3 tasks, of these 2 pending, 1 scheduled
    paused: True, and again: False
    a server runs, and 2 are still pending
    unpaused: True
    somebody works on a mail, attempt 1
    done today: 2, failed: 0
    unknown: there is no queue 'mail'; did you mean 'mails'?
    refused: queue 'mails' still holds 1 scheduled
    removed with 1 task, queues left: []
    in a cluster it would be in slot 4745
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq.errors import QueueNotEmptyError, QueueNotFoundError

mux = Mux()
began, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Semaphore(0)


@mux.handle("mail")
async def mail(_: Task) -> None:
    """Take its time."""
    began.set()
    await go_on.wait()
    done.release()


async def main(url: str) -> None:
    """Follow one queue from its first task to its end."""
    async with Client(url) as client, Inspector(url) as inspector:
        for _ in range(2):
            await client.enqueue(Task("mail"), queue="mails")
        await client.enqueue(Task("mail"), queue="mails", process_in=3600)
        for queue in await inspector.queues.list():
            held = ", ".join(f"{count} {state}" for state, count in queue.sizes.items() if count)
            print(f"{queue.name}: {queue.size} tasks, of these {held}")

        print(
            f"paused: {await inspector.queues.pause('mails')}, and again:",
            await inspector.queues.pause("mails"),
        )
        async with Server(url, concurrency=1, queues={"mails": 1}).running(mux):
            print(f"a server runs, and {(await inspector.queues.get('mails')).pending} are still pending")
            print("unpaused:", await inspector.queues.unpause("mails"))
            await began.wait()
            for worker in await inspector.servers.workers():
                print(f"somebody works on a {worker.type}, attempt {worker.attempt}")
            go_on.set()
            await done.acquire()
            await done.acquire()
        (today,) = await inspector.queues.history("mails", days=1)
        print(f"done today: {today.processed}, failed: {today.failed}")

        try:
            await inspector.queues.remove("mail")
        except QueueNotFoundError as error:
            print("unknown:", error)
        try:
            await inspector.queues.remove("mails")
        except QueueNotEmptyError as error:
            print("refused:", error)
        removed = await inspector.queues.remove("mails", force=True)
        print(f"removed with {removed} task, queues left:", await inspector.queues.names())
        print("in a cluster it would be in slot", inspector.cluster.slot("mails"))


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

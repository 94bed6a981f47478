"""Many tasks become one: events of a user are sent as one digest.

It prints:

    anna and ben wait with 3 and 1 events
    digest for anna: liked, shared, followed
    digest for ben: liked
    nobody waits
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Inspector, Mux, Server, Task

mux = Mux()
digests: asyncio.Queue[str] = asyncio.Queue()


def make_digest(user: str, events: list[Task]) -> Task:
    """Make one task of those that have gathered. Only that: what is to be done, its handler does."""
    return Task("digest", {"for": user, "what": [event.payload for event in events]})


@mux.handle("digest")
async def send_digest(task: Task) -> None:
    """Send one message in place of many."""
    digests.put_nowait(f"digest for {task.payload['for']}: {', '.join(task.payload['what'])}")


async def main(url: str) -> None:
    """Let events of two users gather, and send what came of them."""
    async with Client(url) as client, Inspector(url) as inspector:
        for user, what in (("anna", "liked"), ("anna", "shared"), ("ben", "liked"), ("anna", "followed")):
            await client.enqueue(Task("event", what), group=user)
        anna, ben = await inspector.groups.list("default")
        print(f"{anna.name} and {ben.name} wait with {anna.size} and {ben.size} events")

        # Usually a minute or more, so that something can gather.
        async with Server(url, group_aggregator=make_digest, group_grace_period=0.1).running(mux):
            for digest in sorted([await digests.get(), await digests.get()]):
                print(digest)
        print("somebody waits" if await inspector.groups.list("default") else "nobody waits")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

"""Many tasks become one: events of a user are sent as one digest.

It prints:

    anna and ben wait with 3 and 1 events
    digest for anna: liked, shared, followed (by web, app)
    digest for ben: liked (by web)
    nobody waits
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from _example import example_url

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq.options import TaskOptions

mux = Mux()
digests: asyncio.Queue[str] = asyncio.Queue()


def make_digest(user: str, events: list[Task]) -> Task:
    """Make one task of those that have gathered. Only that: what is to be done, its handler does."""
    return Task("digest", {"for": user, "what": [event.payload for event in events]})


def with_sources(aggregator: Callable[[str, list[Task]], Task]) -> Callable[[str, list[Task]], Task]:
    """Wrap an aggregator, as middleware wraps `enqueue`: the server puts in the new task, and no client."""

    def make(group: str, events: list[Task]) -> Task:
        made = aggregator(group, events)
        sources = ", ".join(dict.fromkeys(event.headers["source"] for event in events))
        options: TaskOptions = {**made.options, "headers": {"sources": sources, **made.headers}}
        return Task(made.type, made.payload, **options)

    return make


@mux.handle("digest")
async def send_digest(task: Task) -> None:
    """Send one message in place of many."""
    what = ", ".join(task.payload["what"])
    digests.put_nowait(f"digest for {task.payload['for']}: {what} (by {task.headers['sources']})")


async def main(url: str) -> None:
    """Let events of two users gather, and send what came of them."""
    async with Client(url) as client, Inspector(url) as inspector:
        events = (("anna", "liked"), ("anna", "shared"), ("ben", "liked"), ("anna", "followed"))
        for user, what in events:
            source = "app" if what == "shared" else "web"
            await client.enqueue(Task("event", what), group=user, headers={"source": source})
        anna, ben = await inspector.groups.list("default")
        print(f"{anna.name} and {ben.name} wait with {anna.size} and {ben.size} events")

        # Usually a minute or more, so that something can gather.
        server = Server(url, group_aggregator=with_sources(make_digest), group_grace_period=0.1)
        async with server.running(mux):
            for digest in sorted([await digests.get(), await digests.get()]):
                print(digest)
        print("somebody waits" if await inspector.groups.list("default") else "nobody waits")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

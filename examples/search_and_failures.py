"""Finding tasks by what is in them, telling why tasks failed, and running all of one cause again.

It prints:

    6 times ConnectionError in email: #: refused
    3 times SkipRetry in email: no address in row #
    the mail of user 4: retry, ConnectionError: 10.0.0.4: refused
    its first delivery: retry, raised in send_email
    archived since an hour ago: [0, 3, 6]
    counted: 6, run again: 6
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Inspector, Mux, Server, SkipRetry, Task

mux = Mux()


@mux.handle("email")
async def send_email(task: Task) -> None:
    """Every third user has no address, and for the others the mail server is away."""
    number = task.payload["user"]
    if number % 3 == 0:
        raise SkipRetry(f"no address in row {number}")
    raise ConnectionError(f"10.0.0.{number}: refused")


async def fail(url: str, client: Client, inspector: Inspector) -> None:
    """Let nine tasks fail."""
    for number in range(9):
        await client.enqueue(Task("email", {"user": number}), queue="mail")
    async with Server(url, queues=["mail"], retry=lambda *_: 600.0).running(mux):
        info = await inspector.queues.get("mail")
        while info.retry + info.archived < 9:
            await asyncio.sleep(0.05)
            info = await inspector.queues.get("mail")


async def main(url: str) -> None:
    """Look why, look for some, and run them again."""
    async with Client(url) as client, Inspector(url) as inspector:
        await fail(url, client, inspector)

        report = await inspector.failures.list()
        for cause in report.causes:
            print(f"{cause.count} times {cause.error} in {cause.type}: {cause.message}")

        page = await inspector.search.find("payload.user:4")
        task = page.tasks[0]
        print(f"the mail of user 4: {task.state}, {task.last_error}")
        task = await inspector.tasks.get(task.queue, task.id)
        first = task.attempts[0]
        where = "send_email" if "in send_email" in first.traceback else "nowhere"
        print(f"its first delivery: {first.outcome}, raised in {where}")

        page = await inspector.search.find("state:archived since:1h")
        print("archived since an hour ago:", sorted(info.payload["user"] for info in page))

        refused = report.causes[0]
        for place in await inspector.search.places(refused.query, action="run"):
            counted = await inspector.tasks.run_all(place.queue, place.state, dry_run=True, **place.filters)
            done = await inspector.tasks.run_all(place.queue, place.state, **place.filters)
            print(f"counted: {counted.matched}, run again: {done.done}")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

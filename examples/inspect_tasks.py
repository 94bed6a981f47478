"""Looking at tasks and servers from outside, stopping a task that runs, and working on many at once.

It prints:

    before: pending, 0 deliveries
    server "example" runs 1 of 5, and has handlers for slow
    while it runs: active, 1 delivery
    cancelling: requested
    afterwards: archived, TaskCancelledError: cancelled: on request
    unknown: there is no queue 'defualt'; did you mean 'default'?
    a page of 2 of 5 pending: mail 0, mail 1; then: mail 2, mail 3
    archived: 5 of 5
    changed: mail 3 is for bob@example.org now
    run again: 1, and deleted: 5
    left: the mail for bob@example.org
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq.errors import NotFoundError

mux = Mux()
began, was_told = asyncio.Event(), asyncio.Event()


@mux.handle("slow")
async def slow(_: Task) -> None:
    """Cancelled at its `await`, like any coroutine; what must be cleaned up goes into `finally`."""
    began.set()
    try:
        await asyncio.sleep(3600)
    finally:
        was_told.set()


async def main(url: str) -> None:
    """Follow one task."""
    async with Client(url) as client, Inspector(url) as inspector:
        task_id = (await client.enqueue(Task("slow"))).id
        info = await inspector.tasks.get("default", task_id)
        print(f"before: {info.state}, {info.deliveries} deliveries")

        async with Server(url, concurrency=5, name="example").running(mux):
            await began.wait()
            servers = await inspector.servers.list()
            while not (servers and servers[0].active):  # a server says every few seconds what it does
                await asyncio.sleep(0.1)
                servers = await inspector.servers.list()
            one = servers[0]
            handlers = ", ".join(one.types)
            print(
                f'server "{one.name}" runs {one.active} of {one.concurrency}, and has handlers for {handlers}'
            )
            info = await inspector.tasks.get("default", task_id)
            print(f"while it runs: {info.state}, {info.deliveries} delivery")
            print("cancelling:", await inspector.tasks.cancel("default", task_id))
            await was_told.wait()

        info = await inspector.tasks.get("default", task_id)
        print(f"afterwards: {info.state}, {info.last_error}")

        try:
            await inspector.tasks.get("defualt", task_id)
        except NotFoundError as error:
            print("unknown:", error)

        await work_on_many(client, inspector)


async def work_on_many(client: Client, inspector: Inspector) -> None:
    """Pages, bulk work, and a change that is made only if nobody was faster."""
    tasks = inspector.tasks
    for number in range(5):
        await client.enqueue(Task("mail", {"number": number, "to": "bob@example.com"}))

    page = await tasks.list("default", "pending", size=2)
    following = await tasks.list("default", "pending", size=2, cursor=page.cursor)
    shown = [
        ", ".join(f"{task.type} {task.payload['number']}" for task in some) for some in (page, following)
    ]
    print(f"a page of {len(page)} of {page.total} pending: {shown[0]}; then: {shown[1]}")

    report = await tasks.archive_all("default", "pending", type="mail")
    print(f"archived: {report.done} of {report.total}")

    async for task in tasks.iterate("default", "archived", where=lambda task: task.type == "mail"):
        if task.payload["number"] == 3:
            payload = {**task.payload, "to": "bob@example.org"}
            changed = await tasks.edit("default", task.id, payload=payload, version=task.version)
            print(f"changed: mail 3 is for {changed.payload['to']} now")
            await tasks.run("default", task.id)

    report = await tasks.delete_all("default", "archived", rate=1000)
    print(f"run again: 1, and deleted: {report.done}")
    (left,) = await tasks.list("default", "pending")
    print("left: the mail for", left.payload["to"])


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

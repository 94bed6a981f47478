"""Entries as data: one program schedules, another adds, changes, pauses and runs entries.

It prints:

    stored: invoices @daily (code), report:42 @every 1s (client)
    a report for customer 42
    paused: report:42, has not paid
    by hand: invoices
    the history of invoices: enqueued by hand
    somebody else was faster
    not changed here: entry 'invoices' is declared in the code of 'shop': change it there, or pause it
    left: invoices
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Mux, Scheduler, Server, Task
from asyncq.errors import EntryChangedError, EntryDeclaredError

mux = Mux()
reported = asyncio.Event()
invoiced = asyncio.Event()


@mux.handle("report")
async def report(task: Task) -> None:
    """Run again and again, for one customer."""
    if not reported.is_set():
        print("a report for customer", task.payload["customer"])
    reported.set()


@mux.handle("invoices")
async def invoices(task: Task) -> None:
    """Run once a day, and when somebody wants it."""
    del task
    print("by hand: invoices")
    invoiced.set()


async def operate(client: Client) -> None:
    """What another process does, while a scheduler and a server run."""
    first = await client.schedules.upsert("@every 1s", Task("report", {"customer": 42}), entry_id="report:42")
    stored = [f"{entry.id} {entry.spec} ({entry.origin})" for entry in await client.schedules.list()]
    print("stored:", ", ".join(sorted(stored)))
    await reported.wait()

    paused = await client.schedules.pause("report:42", "has not paid")
    print(f"paused: {paused.id}, {paused.pause_reason}")

    await client.schedules.run_now("invoices")
    await invoiced.wait()
    (event,) = await client.schedules.history("invoices")
    print("the history of invoices:", event.outcome, "by hand" if event.is_manual else "in time")

    try:
        await client.schedules.upsert("@daily", Task("report"), entry_id="report:42", version=first.version)
    except EntryChangedError:
        print("somebody else was faster")
    try:
        await client.schedules.upsert("@hourly", Task("invoices"), entry_id="invoices")
    except EntryDeclaredError as error:
        print("not changed here:", error)
    await client.schedules.remove("report:42")
    print("left:", ", ".join([entry.id async for entry in client.schedules.iterate()]))


async def main(url: str) -> None:
    """All of it in one process; `scheduler.run()` is for a process of its own."""
    scheduler = Scheduler(url, application="shop")
    scheduler.register("@daily", Task("invoices"), entry_id="invoices")
    async with Client(url) as client, scheduler.running(), Server(url).running(mux):
        await operate(client)


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

"""Periodic tasks that come from somewhere else and may change, here from a table.

It prints:

    at the start: cleanup, report
    changed: report; added: invoices; removed: cleanup
    a mistake: entry 0: spec='61 * * * *'
    still there: invoices, report
    a report of shop 2
    seen by the inspector: invoices every 1h, report every 1s
"""

from __future__ import annotations

import asyncio
import math

from _example import example_url

from asyncq import Inspector, Mux, PeriodicTask, PeriodicTaskManager, Server, Task
from asyncq.errors import ProviderError

mux = Mux()
has_run = asyncio.Event()

# Name, when, what. In a program of your own this is a table of a database, or a file.
rows: list[tuple[str, str, str, int]] = [
    ("report", "@every 1s", "report", 1),
    ("cleanup", "@daily", "cleanup", 1),
]


@mux.handle("report")
async def report(task: Task) -> None:
    """Run by the server like any other task."""
    if not has_run.is_set():
        print("a report of shop", task.payload["shop"])
    has_run.set()


async def provide() -> list[PeriodicTask]:
    """Asked at the start, in intervals, and on demand."""
    return [PeriodicTask(spec, Task(kind, {"shop": shop}), id=name) for name, spec, kind, shop in rows]


def names(manager: PeriodicTaskManager) -> str:
    """All that it has now."""
    return ", ".join(sorted(entry.id for entry in manager.entries))


async def main(url: str) -> None:
    """Change the table while the manager runs; `manager.run()` is for a process of its own."""
    manager = PeriodicTaskManager(url, provide, sync_interval=math.inf)
    async with Inspector(url) as inspector, manager.running():
        print("at the start:", names(manager))

        rows[:] = [("report", "@every 1s", "report", 2), ("invoices", "@every 1h", "invoices", 1)]
        changes = await manager.sync()
        changed, added, removed = map(", ".join, (changes.changed, changes.added, changes.removed))
        print(f"changed: {changed}; added: {added}; removed: {removed}")

        good = [*rows]
        rows[0] = ("report", "61 * * * *", "report", 2)
        try:
            await manager.sync()
        except ProviderError as error:
            print("a mistake:", str(error).splitlines()[1].removeprefix("- ").partition(": expected")[0])
        print("still there:", names(manager))

        rows[:] = good
        await manager.sync()
        async with Server(url).running(mux):
            await has_run.wait()
        seen = sorted((entry.id, entry.spec) for entry in await inspector.schedulers.entries())
        print("seen by the inspector:", ", ".join(f"{name} {spec.strip('@')}" for name, spec in seen))


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))

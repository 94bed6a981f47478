"""What tests of stored entries have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asyncq import Client, Scheduler, Task


def ids(scheduler: Scheduler) -> list[str]:
    """Return the entries that a scheduler has."""
    return sorted(entry.id for entry in scheduler.entries)


async def look(*schedulers: Scheduler) -> None:
    """Let schedulers look now, as they do every ten seconds, until nothing is left to be done."""
    for scheduler in schedulers:
        actors = scheduler._acting  # noqa: SLF001 - the interval is not what is tested
        assert actors is not None
        await actors.follower.tick()
        await actors.herald.tick()


def shown(client: Client, **wanted: Any) -> Callable[[], Awaitable[bool]]:
    """Return a question: is it stored like this?"""

    async def ask() -> bool:
        found = {info.id: (info.spec, info.origin, info.is_orphan) for info in await client.schedules.list()}
        return found == wanted

    return ask


def release(url: str, **specs: str) -> Scheduler:
    """Return a scheduler of the application `shop` with these entries, of tasks that are called like them."""
    scheduler = Scheduler(url, application="shop", look_interval=3600)
    for name, spec in specs.items():
        scheduler.register(spec, Task(name), entry_id=name)
    return scheduler

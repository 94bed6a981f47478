"""Waits until tools see the queues of a client."""

from __future__ import annotations

from collections.abc import Iterable

from asyncq import Client, Task

__all__ = ["listed", "put_in_each"]


async def listed(client: Client) -> None:
    """Return when the names of its queues are written: in a cluster, to another node than its tasks."""
    await client._connected().enqueue.drain()  # noqa: SLF001 - what closing waits for


async def put_in_each(client: Client, queues: Iterable[str]) -> None:
    """Enqueue a task `a` in each queue, and wait until all are listed."""
    for queue in queues:
        await client.enqueue(Task("t", task_id="a"), queue=queue)
    await listed(client)

"""Waits until tools see the queues of a client."""

from __future__ import annotations

from asyncq import Client

__all__ = ["listed"]


async def listed(client: Client) -> None:
    """Return when the names of its queues are written: in a cluster, to another node than its tasks."""
    await client._connected().enqueue.drain()  # noqa: SLF001 - what closing waits for

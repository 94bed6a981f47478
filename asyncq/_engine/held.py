"""The deliveries that a server holds: handed to it, and not settled yet."""

from __future__ import annotations

from asyncq._broker.leases import Held


class HeldDeliveries:
    """Written by the event loop, read by the lease keeper's thread.

    Both only use operations on a dictionary that are one step for CPython, so there is no lock to
    hold up the loop.
    """

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    def add(self, queue: str, task_id: str, token: str) -> None:
        """A delivery arrived."""
        self._held[token] = Held(queue, task_id, token)

    def remove(self, token: str) -> None:
        """Its outcome is written, or it is no longer ours."""
        self._held.pop(token, None)

    def snapshot(self) -> list[Held]:
        """All of them at this moment."""
        return list(self._held.values())

    def __len__(self) -> int:
        return len(self._held)

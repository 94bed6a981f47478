"""The deliveries that a server holds: handed to it, and not settled yet."""

from __future__ import annotations

from collections.abc import Iterable

from asyncq._broker.deliver import Delivery
from asyncq._broker.leases import Held


class HeldDeliveries:
    """Written by the event loop, read by the lease keeper's thread.

    Both only use operations on a dictionary that are one step for CPython, so there is no lock to
    hold up the loop.
    """

    def __init__(self) -> None:
        self._held: dict[str, Delivery] = {}

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Deliveries arrived."""
        held = self._held
        for delivery in deliveries:
            held[delivery.token] = delivery

    def remove(self, *tokens: str) -> None:
        """Their outcomes are written, or they are no longer ours."""
        pop = self._held.pop
        for token in tokens:
            pop(token, None)

    def snapshot(self) -> list[Held]:
        """All of them at this moment."""
        return [Held(one.queue, one.id, one.token) for one in list(self._held.values())]

    def __contains__(self, token: str) -> bool:
        return token in self._held

    def __len__(self) -> int:
        return len(self._held)

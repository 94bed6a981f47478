"""Keeps this server's claim on the tasks it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from asyncq._broker.leases import Held, Leases
from asyncq._engine.held import HeldDeliveries
from asyncq._service import Service
from asyncq.context import CancelReason


class LeaseKeeper(Service):
    """Keeps this server's claim on the tasks it runs.

    Each tick:

    1. extends the lease of every delivery that is not settled, one call for each queue;
    2. has the work stopped whose lease is already lost, or that somebody wants cancelled.

    It runs in a thread of its own with a connection of its own, so a handler that blocks the event
    loop does not cost the leases of the others. It is the last actor but one to stop: what drains
    still needs it.
    """

    def __init__(
        self,
        leases: Leases,
        held: HeldDeliveries,
        *,
        lease: float,
        stop_work: Callable[[Held, CancelReason], None],
    ) -> None:
        super().__init__("lease keeper")
        # When Redis is back, the recoverers wait for half a lease before they take anything back
        # (recoverer.py): this server must have spoken before that.
        self.longest_delay = min(self.longest_delay, lease / 6)
        self._leases: Final = leases
        self._held: Final = held
        self._lease: Final = lease
        self._stop_work: Final = stop_work

    async def tick(self) -> float:
        held = self._held.snapshot()
        if held:
            found = await self._leases.extend(held, lease=self._lease)
            for one in found.lost:
                self._stop_work(one, "lease_lost")
            for one in found.cancelled:
                self._stop_work(one, "cancelled")
            if found.failure is not None:
                raise found.failure
        return self._lease / 3

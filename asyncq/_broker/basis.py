"""What every area stands on: the way to Redis, the names, and where queues lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from asyncq._redis.router import Router
from asyncq._redis.script import Script, load
from asyncq._wire.keys import QueueKeys
from asyncq._wire.wire import DIALECTS, Wire
from asyncq.connection import Address


@dataclass(slots=True)
class Basis:
    """Shared by the areas of one broker."""

    router: Router
    wire: Wire
    owner: str
    """Id of the client or server: names its receipts, its tokens and its channel."""

    patience: float
    """Seconds for which a call is sent again before it fails."""

    away: set[Address] = field(default_factory=set[Address])
    """Nodes of a cluster that did not answer when they were looked at last (`rounds`)."""

    _slots: dict[str, int] = field(default_factory=dict[str, int])

    def queue(self, name: str) -> QueueKeys:
        """The keys of a queue."""
        return self.wire.keys.queue(name)

    def slot(self, name: str) -> int:
        """Queues with the same number may be in one call. Remembered: it is asked for every task."""
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = self.router.slot_of(self.queue(name).pending)
        return slot

    def by_slot(self, queues: Iterable[str]) -> dict[int, list[str]]:
        """Group queues so that each group can be one call: all of them, except in a cluster."""
        groups: dict[int, list[str]] = {}
        for name in queues:
            groups.setdefault(self.slot(name), []).append(name)
        return groups

    @property
    def channel_prefix(self) -> str:
        """Prefix of the servers' channels."""
        return self.wire.keys.channel("")

    @property
    def in_cluster(self) -> str:
        """As scripts want it."""
        return "1" if self.router.is_cluster else ""

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[object], *, slot: int) -> object:
        """Call a script with the usual patience."""
        return await self.router.run(script, keys, args, slot=slot, patience=self.patience)


def script(name: str) -> Script:
    """A script of the broker."""
    return load("asyncq._broker", name, DIALECTS)

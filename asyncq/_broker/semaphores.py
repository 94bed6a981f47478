"""Semaphores: a number of slots that all processes share, each held under a lease of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from asyncq._broker.basis import Basis, script
from asyncq._wire.keys import SemaphoreKeys

ACQUIRE: Final = script("acquire")
RELEASE: Final = script("release")
HOLD: Final = script("hold")
VACANCY: Final = script("vacancy")
HOLDERS: Final = script("holders")

CHUNK: Final = 1000
"""Slots prolonged by one call, and holders named by one."""

CALLED: Final = b"slot "
"""Begins the message to one who waits; its token follows."""

ROOM: Final = b"room "
"""Begins the message to a server that has tasks for a slot; the key of the holders follows."""


class Asked(NamedTuple):
    """What came of asking for a slot, or of looking for one."""

    free: int  #: slots: 1 for one that was taken
    wait: float | None  #: seconds until a slot gets free by itself; `None` for never


class Tenure(NamedTuple):
    """One who holds a slot."""

    token: str
    seconds: float  #: for which it is still held


class Occupancy(NamedTuple):
    """Who is there at a semaphore."""

    held: int
    waiting: int
    tenures: list[Tenure]  #: the first `CHUNK` that run out


class Semaphores:
    """The semaphores area."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    def keys(self, scope: str) -> SemaphoreKeys:
        """The keys of a semaphore."""
        return self._basis.wire.keys.semaphore(scope)

    async def acquire(self, scope: str, token: str, *, maximum: int, lease: float, stand: float) -> Asked:
        """Take a slot, or stand among those who wait for one for `stand` seconds.

        A token that holds a slot has it prolonged, and never holds two.
        """
        basis, keys = self._basis, self.keys(scope)
        reply: Any = await basis.run(
            ACQUIRE,
            [keys.holders, keys.queue, keys.standing],
            [token, maximum, lease, stand, basis.channel_prefix, basis.in_cluster],
            slot=self._slot(keys),
        )
        return Asked(int(reply[0] == b"held"), _seconds(reply[1]))

    async def release(self, scope: str, *tokens: str) -> int:
        """Give slots back, or places among those who wait. Returns how many slots it were."""
        basis, keys = self._basis, self.keys(scope)
        freed: Any = await basis.run(
            RELEASE,
            [keys.holders, keys.queue, keys.standing, keys.parked],
            [basis.channel_prefix, basis.in_cluster, *tokens],
            slot=self._slot(keys),
        )
        return int(freed)

    async def prolong(self, scope: str, tokens: Sequence[str], *, lease: float) -> list[str]:
        """Go on holding slots for `lease` seconds from now. Returns the tokens that hold none any more."""
        keys = self.keys(scope)
        lost: list[str] = []
        for start in range(0, len(tokens), CHUNK):
            some = tokens[start : start + CHUNK]
            reply: Any = await self._basis.run(HOLD, [keys.holders], [lease, *some], slot=self._slot(keys))
            lost += [some[int(index) - 1] for index in reply]
        return lost

    async def vacancy(self, scope: str, *, maximum: int, stand: float) -> Asked:
        """Look for slots that nobody waits for, and be told of free ones for `stand` seconds."""
        keys = self.keys(scope)
        reply: Any = await self._basis.run(
            VACANCY,
            [keys.holders, keys.queue, keys.standing, keys.parked],
            [self._basis.owner, maximum, stand],
            slot=self._slot(keys),
        )
        return Asked(reply[0], _seconds(reply[1]))

    async def holders(self, scope: str) -> Occupancy:
        """Say who holds slots, and how many wait."""
        keys = self.keys(scope)
        reply: Any = await self._basis.run(
            HOLDERS, [keys.holders, keys.standing], [CHUNK], slot=self._slot(keys)
        )
        named = [Tenure(reply[at].decode(), float(reply[at + 1])) for at in range(2, len(reply), 2)]
        return Occupancy(reply[0], reply[1], named)

    def _slot(self, keys: SemaphoreKeys) -> int:
        return self._basis.router.slot_of(keys.holders)


def _seconds(text: bytes) -> float | None:
    return float(text) if text else None

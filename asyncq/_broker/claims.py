"""Claims: of several copies of a thing that come to several consumers, one is handled."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from asyncq._broker.basis import Basis, script
from asyncq._redis.script import Script
from asyncq._wire.keys import ClaimKeys
from asyncq.connection import Address

TAKE: Final = script("claim_take")
RENEW: Final = script("claim_renew")
FINISH: Final = script("claim_finish")
DROP: Final = script("claim_drop")

LEASE: Final = "asyncq:lease:"
"""Begins what the lock of a claim holds. That of go-queue is 16 letters and digits."""

DONE: Final = "asyncq:done:"
"""Begins what it holds when the thing is done."""

LATE: Final = b"late"
_ASKED: Final = 3
"""Times that a call is sent to a server whose clock it did not know, or which has changed."""


class Taken(NamedTuple):
    """What came of asking for a claim."""

    word: str  #: taken, held, done, spent or late
    number: int  #: of failures, when taken or spent
    is_begun: bool  #: somebody had it before, when taken


class Claims:
    """The claims area.

    A lease ends at an instant by the clock of the server that keeps it (`claim_take.lua`), and callers
    think in the clock of their event loop. So each answer brings the time along; what is known of a
    clock is the earliest that it may show, which lets a lease end too early rather than too late.
    """

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._clocks: dict[Address | None, float] = {}

    async def take(
        self, name: str, token: str, *, until: float, limit: int, remember: int, anew: bool = False
    ) -> Taken:
        """Take the claim, until an instant of the clock of the event loop.

        Args:
            name: Of the thing; the key of its lock.
            token: Whose claim it is; new for each.
            until: When the lease ends.
            limit: Failures after which it is not taken; 0 for none.
            remember: Seconds for which it is noted that somebody began; 0 for no note.
            anew: Take it however often it failed, and forget that it did.
        """
        rest = (limit, remember, "1" if anew else "")
        reply = await self._ask(TAKE, self.keys(name), LEASE + token, until, rest)
        return Taken(reply[0].decode(), int(reply[2]), reply[3] == b"1")

    async def renew(self, name: str, token: str, *, until: float, remember: int) -> str:
        """Go on holding a claim: `renewed`, `lost`, or `late` where that would have been over by then."""
        reply = await self._ask(RENEW, self.keys(name), LEASE + token, until, (remember,))
        return str(reply[0].decode())

    async def finish(self, name: str, token: str, *, keep: float) -> None:
        """Say that it is done, for so many seconds."""
        await self._run(FINISH, self.keys(name), (DONE + token, int(keep * 1000)))

    async def drop(self, name: str, token: str, *, failed: bool, remember: int) -> int:
        """Give the claim back. Returns how often the thing has failed."""
        rest = (LEASE + token, "1" if failed else "", remember)
        return int(await self._run(DROP, self.keys(name), rest))

    async def lock(self, name: str, value: str, *, keep: float) -> bool:
        """Take a lock as go-queue does, for good. Tells whether it was free."""
        until = asyncio.get_running_loop().time() + keep
        reply = await self._ask(TAKE, self.keys(name), value, until, (0, 0, ""))
        return bool(reply[0] == b"taken")

    def keys(self, name: str) -> ClaimKeys:
        """The keys of a claim."""
        return self._basis.wire.keys.claim(name)

    async def _ask(
        self, what: Script, keys: ClaimKeys, value: str, until: float, rest: tuple[object, ...]
    ) -> Any:
        loop = asyncio.get_running_loop()
        reply: Any = [LATE, 0, 0, b""]
        for _ in range(_ASKED):
            server = self._basis.router.owner(self._slot(keys))
            known = self._clocks.get(server)
            end = 0 if known is None else int(until * 1000 + known)
            longest = int((until - loop.time()) * 1000)
            reply = await self._run(what, keys, (value, end, longest, *rest))
            # The answer was on its way for a while: the clock shows more by now.
            self._clocks[self._basis.router.owner(self._slot(keys))] = reply[1] - loop.time() * 1000
            if reply[0] != LATE or until <= loop.time():
                break
        return reply

    async def _run(self, what: Script, keys: ClaimKeys, rest: tuple[object, ...]) -> Any:
        return await self._basis.run(what, [keys.lock, keys.story], list(rest), slot=self._slot(keys))

    def _slot(self, keys: ClaimKeys) -> int:
        return self._basis.router.slot_of(keys.lock)

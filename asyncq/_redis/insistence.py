"""A call that could not go the short way: follow, wait, look for the new primary, send again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from asyncq._redis.failures import LinkLostError, Remedy, ReplyError, from_reply
from asyncq._redis.link import Link, Reply, pack
from asyncq._redis.topology import Topology
from asyncq.connection import Address
from asyncq.errors import BrokerError, BrokerUnavailableError

FIRST_DELAY: Final = 0.02
"""Seconds before the second attempt; doubles, with jitter, up to `LONGEST_DELAY`.

Short, because the commonest reason is a server that restarts or a primary that was just
replaced, and every call in flight waits for it."""

LONGEST_DELAY: Final = 1.0

Problem = ReplyError | LinkLostError | None


class Sendable(Protocol):
    """What is known of a call here."""

    slot: int
    patience: float
    again: bool

    @property
    def name(self) -> str:
        """For messages."""
        ...

    def packed(self, *, with_source: bool = False) -> bytes:
        """The bytes to send."""
        ...


class Insistence:
    """Sends one call until it is answered or its patience is over."""

    def __init__(
        self,
        call: Sendable,
        topology: Topology,
        *,
        where: str,
        link_to: Callable[[Address], Awaitable[Link]],
        abandon: Callable[[int], None],
    ) -> None:
        self._call: Final = call
        self._topology: Final = topology
        self._where: Final = where
        self._link_to: Final = link_to
        self._abandon: Final = abandon
        self._give_up_at = asyncio.get_running_loop().time() + call.patience
        self._delay = FIRST_DELAY
        self._with_source = False
        self._to: Address | None = None
        self._asking = False
        self._hops = 0

    async def run(self, problem: Problem) -> Any:
        """Return the answer.

        Raises:
            BrokerError: What stood in the way when the patience was over, or what waiting cannot mend.
        """
        failure = self._consider(problem)
        while True:
            if failure is not None:
                await self._pause(failure)
            try:
                link = await self._link_to(self._to or await self._topology.locate(self._call.slot))
            except BrokerUnavailableError as error:
                self._doubt(self._to)
                self._to, self._asking, failure = None, False, error
                continue
            answer = await exchange(
                link, self._call.packed(with_source=self._with_source), asking=self._asking
            )
            if not isinstance(answer, ReplyError | LinkLostError):
                return answer
            self._to, self._asking = None, False
            failure = self._consider(answer)

    def _consider(self, problem: Problem) -> BrokerError | None:
        """Do what a problem asks for, and return what to wait for, if anything."""
        if problem is None:
            return None
        if isinstance(problem, LinkLostError):
            self._call.again = True
            self._doubt(None)
            return BrokerUnavailableError(
                self._where, str(problem), "the call was sent; whether it ran is unknown"
            )
        remedy = problem.remedy
        if remedy is Remedy.LOAD_SCRIPT and not self._with_source:
            self._with_source = True
            return None
        if remedy in (Remedy.FOLLOW, Remedy.ASK_ONCE):
            return self._redirect(problem)
        failure = from_reply(problem, where=self._where, what=self._call.name)
        if remedy in (Remedy.GIVE_UP, Remedy.GIVE_UP_ACCESS, Remedy.LOAD_SCRIPT):
            raise failure
        if remedy is Remedy.REDISCOVER:
            self._abandon(self._call.slot)
        return failure

    def _doubt(self, address: Address | None) -> None:
        """The server we went to was not reached; not knowing any, there is nothing to forget."""
        address = address or self._topology.known(self._call.slot)
        if address is not None:
            self._topology.forget(address)

    def _redirect(self, problem: ReplyError) -> BrokerError | None:
        _, slot, target = problem.text.split(" ")[:3]
        host, _, port = target.rpartition(":")
        known = self._topology.known(self._call.slot)
        self._to = Address(host=host or (known.host if known else "localhost"), port=int(port))
        self._asking = problem.remedy is Remedy.ASK_ONCE
        if not self._asking:
            self._topology.moved(int(slot), self._to)
        self._hops += 1
        # Two nodes may point at each other until they agree on a fail-over: wait, do not spin.
        return BrokerUnavailableError(self._where, problem.text) if self._hops > 1 else None

    async def _pause(self, failure: BrokerError) -> None:
        if asyncio.get_running_loop().time() + self._delay > self._give_up_at:
            raise failure
        await asyncio.sleep(random.uniform(self._delay / 2, self._delay))
        self._delay = min(self._delay * 2, LONGEST_DELAY)


async def exchange(link: Link, packed: bytes, *, asking: bool = False) -> Reply:
    """Send a packed command and wait for its answer, which may be an error."""
    future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    if asking:
        link.send(pack(("ASKING",)), _ignore)
    link.send(packed, lambda reply: None if future.done() else future.set_result(reply))
    return await future


def _ignore(reply: Reply) -> None:
    """The answer to ASKING says nothing."""

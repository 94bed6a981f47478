"""When a lease ends: at an instant of our clock, told in the clock of a server that may jump."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from asyncq._broker.basis import Basis
from asyncq._broker.claims import Claims
from asyncq._wire.keys import Keys
from asyncq.connection import Address


class _Server:
    """A Redis with a clock of its own, as far as claims see it: it is the basis, the router and the wire."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.ahead = 5_000_000.0  # milliseconds that it shows more than our event loop
        self.address = Address("a", 1)
        self.ends: list[float] = []
        self.way = 0.0  # seconds for an answer

    @property
    def router(self) -> _Server:
        return self

    @property
    def wire(self) -> _Server:
        return self

    def owner(self, slot: int) -> Address:
        return self.address

    def slot_of(self, key: str) -> int:
        return 0

    async def run(self, script: Any, keys: Sequence[str], args: Sequence[Any], *, slot: int) -> Any:
        now = self.now()
        end = args[1]
        await asyncio.sleep(self.way)
        if end <= now:
            return [b"late", int(now), 0, b""]
        self.ends.append(end - self.ahead)
        return [b"taken", int(now), 0, b""]

    def now(self) -> float:
        return asyncio.get_running_loop().time() * 1000 + self.ahead


def _claims(server: _Server) -> Claims:
    return Claims(cast("Basis", server))


async def _take(claims: Claims, seconds: float) -> tuple[str, float]:
    until = asyncio.get_running_loop().time() + seconds
    taken = await claims.take("x", "a", until=until, limit=0, remember=0)
    return taken.word, until * 1000


async def test_the_first_call_learns_the_clock() -> None:
    """And sends its end then."""
    server = _Server()
    word, until = await _take(_claims(server), 30.0)
    assert word == "taken"
    (end,) = server.ends
    assert until - 500 < end <= until


@pytest.mark.parametrize("way", [0.0, 0.05])
async def test_a_lease_never_ends_later_than_was_said(way: float) -> None:
    """However long answers are on their way; then it ends a little earlier."""
    server = _Server()
    server.way = way
    claims = _claims(server)
    for _ in range(3):
        word, until = await _take(claims, 30.0)
        assert word == "taken"
        assert until - way * 1000 - 500 < server.ends[-1] <= until


async def test_a_clock_that_went_ahead_is_learnt_from_the_refusal() -> None:
    """Another server has taken over, an hour ahead: the call is sent once more."""
    server = _Server()
    claims = _claims(server)
    await _take(claims, 30.0)
    server.ahead += 3_600_000
    word, until = await _take(claims, 30.0)
    assert word == "taken"
    assert until - 500 < server.ends[-1] <= until


async def test_each_server_has_its_clock() -> None:
    """Of a cluster, or after a fail-over to another address."""
    server = _Server()
    claims = _claims(server)
    await _take(claims, 30.0)
    server.address, server.ahead = Address("b", 1), -7_200_000.0
    word, until = await _take(claims, 30.0)
    assert word == "taken"
    assert until - 500 < server.ends[-1] <= until


async def test_what_is_over_is_not_asked_for_again() -> None:
    """It is late, and that is the answer."""
    server = _Server()
    claims = _claims(server)
    await _take(claims, 30.0)
    assert (await _take(claims, -1.0))[0] == "late"
    assert len(server.ends) == 1

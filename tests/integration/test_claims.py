"""`Claims`: on each kind of Redis, with the clocks of all of them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from asyncq.claims import Claims
from asyncq.errors import BrokerUnavailableError, ClosedError, ConfigError
from tests.conftest import AnyRedis
from tests.support.servers import RedisOptions, RedisProcess

NAMES = ["0d3403d7e31d8a65fad68a947fdf2c13", "9dd4e461268c8034f5c8564e155c67a6", "0a0a"]


def _soon(seconds: float = 30.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_one_of_two_has_a_claim(any_redis: AnyRedis) -> None:
    """Until it is over; names lie on all nodes of a cluster."""
    async with Claims(any_redis.url) as one, Claims(any_redis.url) as other:
        for name in NAMES:
            assert (await one.take(name, "a", until=_soon(), remember=60)).word == "taken"
            assert (await other.take(name, "b", until=_soon())).word == "held"
            assert await one.renew(name, "a", until=_soon(), remember=60)
            assert not await other.renew(name, "b", until=_soon())
            assert await one.drop(name, "a", failed=True, remember=60) == 1
            taken = await other.take(name, "b", until=_soon(), remember=60)
            assert (taken.word, taken.number, taken.is_begun) == ("taken", 1, True)
            await other.finish(name, "b", keep=60)
            assert (await one.take(name, "c", until=_soon())).word == "done"
            assert not await one.lock(name, "d", keep=60)


async def test_a_claim_ends_when_it_was_said(any_redis: AnyRedis) -> None:
    """Not later, whatever the clock of the server shows."""
    client: Any = any_redis.client
    async with Claims(any_redis.url) as claims:
        for name in NAMES:
            await claims.take(name, "a", until=_soon(20.0))
            assert 15_000 < client.pttl(name) <= 20_000
        assert (await claims.take("over", "a", until=_soon(-1.0))).word == "late"
        assert not client.exists("over")


async def test_a_redis_that_does_not_answer_is_given_up(redis_url: str) -> None:
    """Before a copy that was hidden can be seen again; and what is carried out later leaves nothing."""
    with RedisProcess() as redis, redis.client() as client:
        async with Claims(redis.url, patience=0.2) as claims:
            await claims.take("first", "a", until=_soon())
            redis.pause()
            with pytest.raises(BrokerUnavailableError):
                await claims.take("x", "a", until=_soon(1.0))
            await asyncio.sleep(0.6)
            redis.resume()
            assert client.ping()
            assert (await claims.take("y", "a", until=_soon())).word == "taken"  # behind the other one
            assert not client.exists("x")


@pytest.mark.parametrize("name", ["", "a{b", "}", "x" * 513, None, 7])
async def test_names_that_are_none(name: Any) -> None:
    """Nothing is sent."""
    async with Claims("redis://localhost:1") as claims:
        with pytest.raises(ConfigError, match="braces"):
            await claims.take(name, "a", until=_soon())


async def test_closed_is_closed(redis_url: str) -> None:
    """And may be closed twice."""
    claims = Claims(redis_url)
    assert await claims.lock("x", "a", keep=5)
    await claims.aclose()
    await claims.aclose()
    with pytest.raises(ClosedError):
        await claims.lock("x", "a", keep=5)


async def test_the_user_of_the_guide_may_do_all_it_needs() -> None:
    """docs/guides/dq.md has its rule."""
    page = (Path(__file__).parents[2] / "docs" / "guides" / "dq.md").read_text(encoding="utf-8")
    rule = re.search(r"^ACL SETUSER consumer .*$", page, re.MULTILINE)
    assert rule is not None
    with RedisProcess(RedisOptions()) as redis, redis.client() as admin:
        words = rule[0].replace("PASSWORD", "secret").split()
        admin.execute_command(*words)
        url = redis.url.replace("unix://", "unix://consumer:secret@")
        async with Claims(url) as claims:
            assert (await claims.take("x", "a", until=_soon(), limit=3, remember=60)).word == "taken"
            assert await claims.renew("x", "a", until=_soon(), remember=60)
            assert await claims.drop("x", "a", failed=True, remember=60) == 1
            assert (await claims.take("x", "b", until=_soon(), limit=1)).word == "spent"
            assert (await claims.take("x", "b", until=_soon(), limit=1, anew=True)).word == "taken"
            assert (await claims.take("x", "c", until=_soon())).word == "held"
            await claims.finish("x", "b", keep=60)
            assert await claims.lock("y", "a", keep=60)
        assert admin.execute_command("ACL", "LOG") == []

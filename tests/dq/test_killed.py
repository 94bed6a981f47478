"""A consumer that is killed at each point of a delivery loses nothing (docs/adr/0024)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis

from tests.dq.consuming import TUBE, Record, consuming, gone, put, put_one
from tests.support.fake_beanstalkd import FakeBeanstalkd
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults]

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def victim(
    fakes: list[FakeBeanstalkd], url: str, ledger: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a consumer for a block, at the end of which it is killed."""
    endpoints = ",".join(fake.endpoint for fake in fakes)
    arguments = ["-m", "tests.dq.victim", endpoints, url, str(ledger)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def noted(ledger: Path, word: str) -> list[bytes]:
    """What was begun, or ended."""
    if not ledger.exists():
        return []
    lines = [line.split(" ", 1) for line in ledger.read_text().splitlines()]
    return [body.encode() for found, body in lines if found == word]


async def test_killed_at_every_word_to_a_node(
    fakes: list[FakeBeanstalkd], redis_url: str, redis_client: Redis, tmp_path: Path
) -> None:
    """Whether the node has heard it or not. What was marked as done is not done again."""
    ledger, record = tmp_path / "ledger", Record()
    record.go.set()
    fake, silent = fakes[0], fakes[1]
    # The number of each job is its place in this list.
    bodies = [
        b"hide unheard",
        b"hide heard",
        b"wait for ever",
        b"wait while prolonging unheard",
        b"wait while prolonging heard",
        b"delete unheard",
        b"delete heard",
        b"refuse put off unheard",
        b"refuse put off heard",
    ]
    fake.faults = {
        "release 1": "hang",
        "release 2": "mute",
        "reserve-job 4": "hang",
        "reserve-job 5": "mute",
        "delete 6": "hang",
        "delete 7": "mute",
        "reserve-job 8": "hang",
        "reserve-job 9": "mute",
    }
    silent.faults = {"reserve-with-timeout": "mute"}
    for body in bodies:
        await put_one(fake, body)
    await put_one(silent, b"reserved and not heard of")
    async with victim([fake, silent], redis_url, ledger):

        def is_there() -> bool:
            heard = {" ".join(line.split()[:2]) for line in fake.seen}
            return set(fake.faults) <= heard and bool(silent.in_tube(TUBE, "reserved"))

        await wait_until(is_there, "the consumer to be at every point")
        await wait_until(lambda: b"wait for ever" in noted(ledger, "begin"), "the handler")
    fake.faults, silent.faults = {}, {}
    ended = set(noted(ledger, "end"))
    # The one that was put off without delay came to another slot at once.
    assert ended == {b"delete unheard", b"delete heard", b"refuse put off heard"}
    async with consuming([fake, silent], redis_url, record.handler):
        await gone([fake, silent])
    assert set(record.bodies) == {*bodies, b"reserved and not heard of"} - ended


async def test_killed_between_the_handler_and_the_mark(fakes: list[FakeBeanstalkd], tmp_path: Path) -> None:
    """It is handled again, or the mark came to Redis after all. Its copies are gone in the end."""
    ledger, record = tmp_path / "ledger", Record()
    with RedisProcess() as redis:
        await put(fakes, b"pause")
        async with victim(fakes, redis.url, ledger):
            await wait_until(lambda: noted(ledger, "begin"), "the handler")
            redis.pause()
            await wait_until(lambda: noted(ledger, "end"), "its end")
        redis.resume()
        async with consuming(fakes, redis.url, record.handler):
            await gone(fakes)
    assert len(record.bodies) <= 1


async def test_killed_again_and_again_under_load(
    fakes: list[FakeBeanstalkd], redis_url: str, redis_client: Redis, tmp_path: Path
) -> None:
    """At whatever moment: every message is handled."""
    ledger, record = tmp_path / "ledger", Record()
    bodies = [b"%d" % number for number in range(120)]
    await put(fakes, *bodies)
    for round_ in range(1, 3):
        async with victim(fakes, redis_url, ledger):
            await wait_until(lambda n=round_: len(noted(ledger, "begin")) >= 20 * n, "some to be handled")
    async with consuming(fakes, redis_url, record.handler, concurrency=8):
        await gone(fakes)
    assert set(noted(ledger, "end")) | set(record.bodies) == set(bodies)

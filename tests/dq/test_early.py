"""`ack="early"`: go-queue's order, and what it costs."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from redis import Redis

from asyncq.dq import Discarded, Message
from asyncq.dq.stamp import key_of
from tests.dq.consuming import Record, all_jobs, consuming, events, gone, put, put_one
from tests.support.fake_beanstalkd import FakeBeanstalkd
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until


async def test_a_copy_is_gone_before_it_is_handled(
    fakes: list[FakeBeanstalkd], redis_url: str, redis_client: Redis
) -> None:
    """The lock is that of go-queue: 16 letters and digits for an hour and half a second."""
    record = Record()
    async with consuming(fakes[:1], redis_url, record.handler, ack="early"):
        key = await put_one(fakes[0], b"wait")
        await wait_until(lambda: record.messages, "the message")
        assert not fakes[0].jobs
        lock: bytes = redis_client.get(key)  # type: ignore[assignment]
        assert re.fullmatch(rb"[A-Za-z0-9]{16}", lock)
        assert 3_590_000 < redis_client.pttl(key) <= 3_600_500  # type: ignore[operator]
        assert not redis_client.exists(f"asyncq:claim:{{{key}}}")
        record.go.set()
    assert redis_client.get(key) == lock
    commands = [line.split()[0] for line in fakes[0].seen]
    assert not {"release", "touch", "bury", "reserve-job"} & set(commands)


async def test_each_is_handled_once(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """All other copies are thrown away."""
    record = Record()
    async with consuming(fakes, redis_url, record.handler, ack="early") as consumer:
        await put(fakes, *(b"%d" % number for number in range(20)))
        await wait_until(lambda: not all_jobs(fakes), "all copies to be gone")
        await wait_until(lambda: consumer.stats.handled == 20, "all to be handled")
        await wait_until(lambda: consumer.stats.duplicates == 40, "all other copies")
    assert sorted(record.bodies) == sorted(b"%d" % number for number in range(20))


async def test_what_fails_is_lost(
    fakes: list[FakeBeanstalkd], redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, logged and told, and not tried again; the other copies are thrown away."""
    record, told = Record(), []

    async def on_error(message: Message, error: Exception) -> None:
        told.append((message.body, type(error)))

    async with consuming(fakes, redis_url, record.handler, ack="early", on_error=on_error) as consumer:
        await put(fakes, b"fail")
        await gone(fakes)
        await wait_until(lambda: consumer.stats.duplicates == 2, "the other copies")
        await wait_until(lambda: consumer.stats.lost == 1, "the loss")
        assert (consumer.stats.failed, consumer.stats.lost, consumer.stats.handled) == (1, 1, 0)
    assert len(record.messages) == 1
    assert told == [(b"fail", ValueError)]
    assert "message_lost" in events(caplog)


async def test_without_redis_what_comes_is_lost(fakes: list[FakeBeanstalkd]) -> None:
    """As in go-queue: it was deleted before."""
    record = Record()
    with RedisProcess() as redis:
        redis.kill()
        async with consuming(fakes[:1], redis.url, record.handler, ack="early") as consumer:
            await put_one(fakes[0], b"x")
            await wait_until(lambda: consumer.stats.lost == 1, "the loss")
    assert not fakes[0].jobs
    assert not record.messages


async def test_a_lock_of_anybody_means_that_it_is_done(
    fakes: list[FakeBeanstalkd], redis_url: str, redis_client: Redis
) -> None:
    """Also a lease of a consumer of ours: in this order nothing can be put back."""
    record = Record()
    async with consuming(fakes[:1], redis_url, record.handler, ack="early") as consumer:
        for lock in ("a1B2c3D4e5F6g7H8", "asyncq:lease:x", "asyncq:done:x"):
            raw = b"%d/%b" % (time.time_ns(), lock.encode())
            redis_client.set(key_of(raw), lock)
            await put_one(fakes[0], b"", raw=raw)
        await wait_until(lambda: consumer.stats.duplicates == 3, "all of them")
    assert not record.messages
    assert not fakes[0].jobs


async def test_what_is_late_or_unreadable_is_discarded(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """Each copy by itself, since no lock is asked for."""
    told: list[Discarded] = []
    record = Record()
    async with consuming(
        fakes[:2], redis_url, record.handler, ack="early", on_discard=told.append
    ) as consumer:
        for fake in fakes[:2]:
            await put_one(fake, b"late", due_ns=1)
        await put_one(fakes[0], b"", raw=b"notime")
        await wait_until(lambda: len(told) == 3, "the discards")
        assert consumer.stats.discarded == 3
    assert sorted(one.reason for one in told) == ["late", "late", "unreadable"]
    assert not record.messages


async def test_a_handler_that_is_not_done_in_time_is_lost(
    fakes: list[FakeBeanstalkd], redis_url: str
) -> None:
    """It is cancelled; there is nothing to give back."""
    record = Record()
    async with consuming(
        fakes[:1], redis_url, record.handler, ack="early", shutdown_timeout=0.05
    ) as consumer:
        await put_one(fakes[0], b"wait")
        await wait_until(lambda: record.messages, "the message")
        await asyncio.wait_for(consumer.stop(), 10)
        assert consumer.stats.lost == 1
    assert record.cancelled == 1
    assert not fakes[0].jobs

"""How a consumer begins and ends."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from redis import Redis

from asyncq.dq import Beanstalk, Consumer, ConsumerStats, DqConf, Message
from asyncq.errors import AlreadyRunningError, ConfigError
from tests.dq.consuming import TUBE, Record, confs, consuming, gone, put_one
from tests.support.fake_beanstalkd import FakeBeanstalkd
from tests.support.waiting import wait_until


async def test_stopping_is_prompt(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """Nobody waits for the end of a reservation."""
    async with consuming(fakes, redis_url, Record().handler):
        await wait_until(
            lambda: all("reserve-with-timeout 5" in fake.seen for fake in fakes), "the reservations"
        )
        started = time.monotonic()
    assert time.monotonic() - started < 4.0
    await wait_until(lambda: not any(fake.conns for fake in fakes), "the connections to be closed")


async def test_running_handlers_may_finish(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """Nothing more is taken meanwhile."""
    record = Record()
    async with consuming(fakes[:1], redis_url, record.handler, concurrency=1) as consumer:
        await put_one(fakes[0], b"wait")
        await wait_until(lambda: record.messages, "the message")
        await put_one(fakes[0], b"another")
        asyncio.get_running_loop().call_later(0.1, record.go.set)
        await consumer.stop()
        assert consumer.stats == ConsumerStats(received=1, handled=1)
    assert [job.body.partition(b"/")[2] for job in fakes[0].jobs.values()] == [b"another"]


async def test_what_is_not_done_in_time_is_given_back(
    fakes: list[FakeBeanstalkd], redis_url: str, redis_client: Redis
) -> None:
    """Others have it at once, and it did not fail."""
    record = Record()
    async with consuming(fakes[:1], redis_url, record.handler, shutdown_timeout=0.05) as consumer:
        await put_one(fakes[0], b"wait")
        await wait_until(lambda: record.messages, "the message")
        await consumer.stop()
        assert consumer.stats.given_back == 1
    assert record.cancelled == 1
    assert len(fakes[0].in_tube(TUBE, "ready")) == 1
    assert not redis_client.exists(record.messages[0].key)
    record.go.set()
    async with consuming(fakes[:1], redis_url, record.handler):
        await gone(fakes[:1])
    assert [message.attempt for message in record.messages] == [1, 1]


async def test_a_thread_that_is_not_done_in_time_keeps_its_message_for_a_while(
    fakes: list[FakeBeanstalkd], redis_url: str, redis_client: Redis
) -> None:
    """It cannot be stopped, so others had better not begin at once; the consumer leaves all the same."""
    begun, over = threading.Event(), threading.Event()
    seen: list[Message] = []

    def handler(message: Message) -> None:
        seen.append(message)
        begun.set()
        over.wait(30)

    try:
        async with consuming(fakes[:1], redis_url, handler, shutdown_timeout=0.05) as consumer:
            await put_one(fakes[0], b"x")
            await wait_until(begun.is_set, "the message")
            await asyncio.wait_for(consumer.stop(), 10)
            assert consumer.stats.given_back == 1
        assert len(fakes[0].in_tube(TUBE, "delayed")) == 1
        assert redis_client.exists(seen[0].key)
    finally:
        over.set()
    record = Record()
    async with consuming(fakes[:1], redis_url, record.handler):
        await gone(fakes[:1])
    assert record.bodies == [b"x"]


async def test_a_node_that_does_not_answer_does_not_hold_up_a_stop(
    fakes: list[FakeBeanstalkd], redis_url: str
) -> None:
    """Its copy comes back by itself, and is recognised as done."""
    record = Record()
    fakes[0].faults["delete"] = "hang"
    async with consuming(fakes[:1], redis_url, record.handler, shutdown_timeout=0.05) as consumer:
        await put_one(fakes[0], b"x")
        await wait_until(lambda: "delete 1" in fakes[0].seen, "the end of the message")
        started = time.monotonic()
        await consumer.stop()
        assert time.monotonic() - started < 8.0
    fakes[0].faults.clear()
    async with consuming(fakes[:1], redis_url, record.handler) as other:
        await gone(fakes[:1])
        assert other.stats.duplicates == 1
    assert record.bodies == [b"x"]


async def test_a_cancelled_start_gives_back_and_ends(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """As a group of services does that is told to hurry."""
    record = Record()
    consumer = Consumer(DqConf(tuple(confs(fakes[:1])), redis_url), record.handler, hold=3)
    task = asyncio.ensure_future(consumer.start())
    await put_one(fakes[0], b"wait")
    await wait_until(lambda: record.messages, "the message")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(fakes[0].in_tube(TUBE, "ready")) == 1
    await consumer.stop()


async def test_stop_before_start_and_twice(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """It never begins then; and one object runs once."""
    consumer = Consumer(DqConf(tuple(confs(fakes)), redis_url), Record().handler)
    await consumer.stop()
    await consumer.stop()
    await consumer.start()
    assert not any(fake.seen for fake in fakes)
    with pytest.raises(AlreadyRunningError):
        await consumer.start()


def test_what_is_wrong_with_a_consumer_is_said_at_once() -> None:
    """All of it, and near misses."""
    conf = DqConf((Beanstalk("a:1", "t"),), "redis://localhost")
    with pytest.raises(ConfigError) as caught:
        Consumer(conf, print, ack="never", concurrency=0, hold=2, guard=-1, backoff=None, on_error=7)
    options = {problem.option for problem in caught.value.problems}
    assert options == {"ack", "concurrency", "hold", "guard", "backoff", "on_error"}
    with pytest.raises(ConfigError, match="did you mean 'concurrency'"):
        Consumer(conf, print, concurency=3)
    with pytest.raises(ConfigError, match="handler"):
        Consumer(conf, None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="DqConf"):
        Consumer("redis://", print)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="scheme"):
        DqConf((Beanstalk("a:1", "t"),), "http://localhost")


def test_a_consumer_is_made_before_there_is_an_event_loop() -> None:
    """Programs make their services first, and then run them all in a group."""

    async def handle(message: Message) -> None:
        raise AssertionError(message)

    conf = DqConf((Beanstalk("127.0.0.1:1", TUBE),), "redis://127.0.0.1:1/0")
    consumer = Consumer(conf, handle)
    asyncio.run(consumer.stop())
    asyncio.run(consumer.start())

"""Groups that change, and a Kafka that goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from asyncq.errors import RetryIn
from asyncq.kq import KafkaUnavailableError, KqConf, Message, Queue
from tests.kq.handling import NotingHandler, conf, until_committed
from tests.support.kafka_double import FakeCluster
from tests.support.waiting import wait_until


@asynccontextmanager
async def _two(conf: KqConf, one: Any, other: Any) -> AsyncIterator[tuple[Queue, Queue]]:
    first, second = Queue(conf, one), Queue(conf, other)
    async with first.running(), second.running():
        yield first, second


async def test_partitions_are_given_up_when_what_runs_is_over_and_committed(broker: FakeCluster) -> None:
    """Nothing runs twice when a member comes: what is in flight is waited for."""
    one, other = NotingHandler("slow"), NotingHandler()
    broker.put("slow", "behind")
    first = Queue(conf(processors=1), one)
    async with first.running():
        await wait_until(lambda: one.begun, "it to begin")
        second = Queue(conf(), other)
        life = asyncio.ensure_future(second.start())
        await asyncio.sleep(0.05)
        assert not other.begun
        one.release()
        await wait_until(lambda: "behind" in one.ended + other.ended, "the other one")
        await second.stop()
        await life
    assert sorted(one.ended + other.ended) == ["behind", "slow"]
    assert broker.committed[0] == 2


async def test_a_handler_that_takes_too_long_does_not_hold_up_the_group(broker: FakeCluster) -> None:
    """Its message goes to whoever has the partition then; it is cancelled here."""
    one = NotingHandler("slow")
    broker.put("slow")
    first = Queue(conf(shutdown_timeout=0.05), one)
    async with first.running():
        await wait_until(lambda: one.begun, "it to begin")
        one.gates.pop("slow")
        await broker.rebalance()
        await one.until("slow")
        await until_committed(broker, 0, 1)
    assert one.begun == ["slow", "slow"]
    assert first.stats.dropped == 1


async def test_a_message_that_waits_for_its_next_attempt_is_given_up(broker: FakeCluster) -> None:
    """It is not finished, so it comes again, and its attempts are counted anew."""
    seen: list[int] = []
    broker.put("bad")

    async def handle(message: Message) -> None:
        seen.append(message.attempt)
        if len(seen) == 1:
            raise RetryIn(3600)

    async with Queue(conf(), handle).running():
        await wait_until(lambda: seen, "the first attempt")
        await asyncio.sleep(0)
        await broker.rebalance()
        await until_committed(broker, 0, 1)
    assert seen == [1, 1]


async def test_two_queues_share_a_topic(broker: FakeCluster) -> None:
    """Everything is handled, nothing twice."""
    one, other = NotingHandler(), NotingHandler()
    async with _two(conf(), one, other):
        for partition in (0, 1):
            broker.put(*(f"{partition}-{number}" for number in range(20)), partition=partition)
        await wait_until(lambda: len(one.ended) + len(other.ended) >= 40, "all of them")
    assert len({*one.ended, *other.ended}) == len(one.ended) + len(other.ended) == 40


async def test_reading_begins_again_after_an_error_of_kafka(
    broker: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that goes away later is waited for."""
    handler = NotingHandler()
    queue = Queue(conf(), handler)
    async with queue.running():
        broker.broken += [KafkaError("gone"), KafkaError("gone")]
        await wait_until(lambda: len(broker.made) == 3, "a third try")
        broker.put("a")
        await handler.until("a")
    assert "kq_interrupted" in {getattr(record, "event", "") for record in caplog.records}


async def test_a_refusal_is_not_tried_again(broker: FakeCluster) -> None:
    """Nothing will come of it; the text says what and where."""
    queue = Queue(conf(), NotingHandler())
    broker.broken.append(GroupAuthorizationFailedError("g"))
    with pytest.raises(KafkaUnavailableError, match=r"cannot use Kafka at b:1: .*GroupAuthorizationFailed"):
        await queue.start()

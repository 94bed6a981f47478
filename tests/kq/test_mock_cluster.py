"""A queue at the mock cluster: the protocol, with a group of one member."""

from __future__ import annotations

import asyncio
import socket

import pytest
from opentelemetry import trace

from asyncq.kq import KafkaUnavailableError, KqConf, Message, Pusher, Queue, TopicNotFoundError
from tests.support.mock_kafka import PARTITIONS, MockKafka
from tests.support.spans import Recorder
from tests.support.waiting import wait_until


async def test_from_pusher_to_handler(kafka: MockKafka) -> None:
    """Snappy, keys, headers with the trace, commits, and where a group begins."""
    topic = await kafka.topic()
    got: list[tuple[Message, int]] = []

    async def handle(message: Message) -> None:
        got.append((message, trace.get_current_span().get_span_context().trace_id))

    conf = KqConf(
        brokers=tuple(kafka.brokers), group=topic, topic=topic, min_bytes=1, max_wait=0.1, commit_interval=0
    )
    async with Pusher(kafka.brokers, topic, sync=True) as pusher:
        await pusher.push("before anybody listens")
        async with Queue(conf, handle).running() as queue:
            assert queue.partitions == tuple(range(PARTITIONS))
            await wait_until(lambda: queue.stats.rebalances == 1, "the group")
            expected = {number: int(number == 0) for number in range(PARTITIONS)}

            async def is_anchored() -> bool:
                return await kafka.committed(topic, topic) == expected

            await wait_until(is_anchored, "the end to be committed")
            with Recorder().tracer.start_as_current_span("order") as span:
                await pusher.push("paid" * 1000, key="order-7")
            await wait_until(lambda: got, "the message")
        ((message, trace_id),) = got
        assert (message.key, message.text) == (b"order-7", "paid" * 1000)
        assert trace_id == span.get_span_context().trace_id
    assert sum((await kafka.committed(topic, topic)).values()) == 2


async def test_a_topic_that_is_not_there_is_said_at_the_start(kafka: MockKafka) -> None:
    """Nothing is made by looking."""
    topic = await kafka.topic()

    async def handle(message: Message) -> None:
        """Do nothing."""

    with pytest.raises(TopicNotFoundError, match="did you mean"):
        await Queue(KqConf(brokers=tuple(kafka.brokers), group="g", topic=f"{topic}x"), handle).start()


async def test_brokers_that_are_away_are_said_at_the_start() -> None:
    """One error, with the brokers in it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        broker = f"127.0.0.1:{free.getsockname()[1]}"

    async def handle(message: Message) -> None:
        """Do nothing."""

    queue = Queue(KqConf(brokers=(broker,), group="g", topic="t"), handle)
    with pytest.raises(KafkaUnavailableError, match=f"cannot use Kafka at {broker}: "):
        async with queue.running():
            pass


async def test_a_queue_may_be_stopped_while_it_joins(
    kafka: MockKafka, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mock cluster answers who joins after three seconds; nothing of it is left behind."""
    topic = await kafka.topic()

    async def handle(message: Message) -> None:
        """Do nothing."""

    queue = Queue(KqConf(brokers=tuple(kafka.brokers), group=topic, topic=topic), handle)
    monkeypatch.setattr("asyncq.kq.reading.LEAVE_PATIENCE", 0.1)
    caplog.set_level("INFO", "aiokafka")
    life = asyncio.ensure_future(queue.start())
    await wait_until(lambda: "(Re-)joining" in caplog.text, "it to ask")
    await queue.stop()
    await life

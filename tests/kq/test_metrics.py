"""What queues and pushers show to Prometheus."""

from __future__ import annotations

from dataclasses import fields

import pytest
from prometheus_client import CollectorRegistry

from asyncq.errors import ConfigError
from asyncq.kq import Message, Pusher, PusherStats, Queue, QueueStats
from asyncq.kq.metrics import PusherCollector, QueueCollector
from tests.kq.handling import NotingHandler, conf
from tests.support.kafka_double import FakeCluster
from tests.support.mock_kafka import MockKafka
from tests.support.waiting import wait_until


async def test_what_a_queue_did_is_shown(broker: FakeCluster) -> None:
    """While a handler runs, and when it is done."""
    handler = NotingHandler("slow")
    broker.put("a", "slow", partition=0)
    queue = Queue(conf(name="payments"), handler)
    registry = CollectorRegistry()
    registry.register(QueueCollector(queue))

    def value(name: str) -> float | None:
        labels = {"queue": "payments", "topic": "t", "group": "g"}
        return registry.get_sample_value(f"asyncq_kq_{name}", labels)

    async with queue.running():
        await wait_until(lambda: "slow" in handler.begun and "a" in handler.ended, "both to begin")
        await wait_until(lambda: value("handled_total") == 1, "the first")
        assert (value("received_total"), value("running"), value("partitions")) == (2, 1, 2)
        handler.release()
        await handler.until("slow")
        await wait_until(lambda: value("running") == 0, "the end")
        await wait_until(lambda: value("commits_total") or 0, "a commit")
    assert (value("handled_total"), value("failures_total"), value("skipped_total")) == (2, 0, 0)
    assert value("partitions") == 0


async def test_pushers_to_one_topic_are_shown_together(kafka: MockKafka) -> None:
    """They have no names."""
    topic, other = await kafka.topic(), await kafka.topic()
    pushers = [Pusher(kafka.brokers, at, flush_interval=0.01) for at in (topic, topic, other)]
    registry = CollectorRegistry()
    registry.register(PusherCollector(*pushers))

    def value(name: str, of: str) -> float | None:
        return registry.get_sample_value(f"asyncq_kq_pusher_{name}", {"topic": of})

    assert value("pushed_total", topic) == 0
    for pusher in pushers:
        async with pusher:
            await (await pusher.push("paid"))
    assert (value("pushed_total", topic), value("stored_total", topic)) == (2, 2)
    assert (value("pushed_total", other), value("stored_total", other)) == (1, 1)
    assert (value("failed_total", topic), value("pending", topic), value("pending_bytes", topic)) == (0, 0, 0)
    assert (value("chunks_total", other) or 0) >= 1


def test_everything_that_is_counted_is_shown(kafka: MockKafka) -> None:
    """A new number without a metric is forgotten."""
    shown = {family.name for family in QueueCollector(_queue("a"), namespace="shop").collect()}
    assert shown == {f"shop_kq_{field.name}" for field in fields(QueueStats)} | {"shop_kq_partitions"}
    pusher = Pusher(kafka.brokers, "t")
    shown = {family.name for family in PusherCollector(pusher, namespace="shop").collect()}
    assert shown == {f"shop_kq_pusher_{field.name}" for field in fields(PusherStats)}


def test_two_of_one_name_are_refused() -> None:
    """Nobody could tell them apart."""
    with pytest.raises(ConfigError, match="a different one of each queue"):
        QueueCollector(_queue("a"), _queue("a"))
    for collector in (QueueCollector, PusherCollector):
        with pytest.raises(ConfigError, match="namespace"):
            collector(namespace="my shop")


def _queue(name: str) -> Queue:
    async def handle(_: Message) -> None:
        """Do nothing."""

    return Queue(conf(name=name), handle)

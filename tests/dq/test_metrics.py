"""What consumers show to Prometheus."""

from __future__ import annotations

from dataclasses import fields

import pytest
from prometheus_client import CollectorRegistry

from asyncq.dq import Consumer, ConsumerStats, DqConf, Message
from asyncq.dq.metrics import ConsumerCollector
from asyncq.errors import ConfigError
from tests.dq.consuming import Record, confs, consuming, gone, put, put_one
from tests.support.fake_beanstalkd import FakeBeanstalkd


async def test_what_became_of_messages_is_shown(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """Handled, thrown away as a copy, and discarded; all by the name of the consumer."""
    record = Record()
    async with consuming(fakes, redis_url, record.handler, name="reminders") as consumer:
        registry = CollectorRegistry()
        registry.register(ConsumerCollector(consumer))
        await put(fakes, b"a", b"b")
        await put_one(fakes[0], b"long ago", due_ns=1)
        await gone(fakes)

    def value(name: str) -> float | None:
        return registry.get_sample_value(f"asyncq_dq_{name}", {"consumer": "reminders"})

    assert value("handled_total") == 2
    # More where the nodes' clocks, which run ahead here, end a reservation in which a copy is thrown away.
    assert value("duplicates_total") == consumer.stats.duplicates >= 2 * (len(fakes) - 1)
    assert value("discarded_total") == 1
    assert (value("failed_total"), value("lost_total"), value("running")) == (0, 0, 0)
    assert value("received_total") == consumer.stats.received >= 2 * len(fakes) + 1


def test_everything_that_is_counted_is_shown(fakes: list[FakeBeanstalkd]) -> None:
    """A new number without a metric is forgotten; and a consumer that does not run has zeros."""
    collector = ConsumerCollector(_consumer(fakes, "a"), namespace="shop")
    shown = {family.name for family in collector.collect()}
    assert shown == {f"shop_dq_{field.name}" for field in fields(ConsumerStats)}
    assert {sample.value for family in collector.collect() for sample in family.samples} == {0}


def test_two_of_one_name_are_refused(fakes: list[FakeBeanstalkd]) -> None:
    """Nobody could tell them apart."""
    with pytest.raises(ConfigError, match="a different one of each consumer"):
        ConsumerCollector(_consumer(fakes, "a"), _consumer(fakes, "a"))
    with pytest.raises(ConfigError, match="namespace"):
        ConsumerCollector(_consumer(fakes, "a"), namespace="my shop")
    both = ConsumerCollector(_consumer(fakes, "a"), _consumer(fakes, "b"))
    assert {sample.labels["consumer"] for one in both.collect() for sample in one.samples} == {"a", "b"}


def _consumer(fakes: list[FakeBeanstalkd], name: str) -> Consumer:
    async def handle(_: Message) -> None:
        """Do nothing."""

    return Consumer(DqConf(confs(fakes), "redis://127.0.0.1:1/0"), handle, name=name)

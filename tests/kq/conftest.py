"""Kafka for the tests of kq."""

from __future__ import annotations

import pytest

from tests.support.kafka_double import FakeCluster
from tests.support.mock_kafka import MockKafka


@pytest.fixture(scope="session")
def kafka() -> MockKafka:
    """A mock cluster of this process. Each test has topics and groups of its own."""
    return MockKafka()


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """A cluster that does what the test says, with two partitions; and no waiting for second attempts."""
    return _installed(monkeypatch, FakeCluster(partitions=2))


def _installed(monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster) -> FakeCluster:
    async def there(*_: object, **__: object) -> None:
        """The topic is there."""

    monkeypatch.setattr("asyncq.kq.reading.AIOKafkaConsumer", cluster.consumer)
    monkeypatch.setattr("asyncq.kq.queue.check_topic", there)
    monkeypatch.setattr("asyncq.kq.verdicts.FIRST_DELAY", 0.01)
    monkeypatch.setattr("asyncq.kq.reading.FIRST_DELAY", 0.01)
    return cluster

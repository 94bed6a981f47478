"""Where the examples find Kafka: at `ASYNCQ_KAFKA`, or in a cluster that librdkafka plays for them."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

from confluent_kafka import Producer


@contextmanager
def example_brokers(topic: str) -> Generator[list[str]]:
    """Give the addresses of brokers that have a topic, for the length of a block.

    A program of your own just writes its addresses, such as `["localhost:9092"]`.
    """
    given = os.environ.get("ASYNCQ_KAFKA")
    if given:
        yield given.split(",")
        return
    # The cluster lives as long as this client.
    client = Producer({"bootstrap.servers": "played", "test.mock.num.brokers": 1, "log_level": 0})
    found = client.list_topics(topic, timeout=20)
    yield [f"{broker.host}:{broker.port}" for broker in found.brokers.values()]

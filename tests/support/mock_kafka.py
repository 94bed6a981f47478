"""A Kafka cluster in this process: librdkafka's mock cluster, which speaks the protocol over loopback ports.

It knows producing, fetching and groups of one member, and keeps everything in memory. What needs a real
broker (groups that change, restarts, logins) is tested with one, in `tests/services`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

__all__ = ["MockKafka"]

PARTITIONS = 4
"""What a topic of the mock cluster has."""

_PATIENCE = 30.0
_numbers = count(1)


class MockKafka:
    """A mock cluster, and clients of librdkafka's to look into it."""

    def __init__(self) -> None:
        # The cluster lives as long as the client that it is an option of.
        self._producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
        found = self._producer.list_topics(timeout=_PATIENCE)
        self.brokers = [f"{broker.host}:{broker.port}" for broker in found.brokers.values()]

    async def topic(self) -> str:
        """A new topic."""
        name = f"topic-{next(_numbers)}"
        await asyncio.to_thread(self._producer.list_topics, name, _PATIENCE)
        return name

    async def produce(
        self, topic: str, values: Iterable[bytes | str], *, partition: int = 0, **options: Any
    ) -> None:
        """Store messages, in order, in one partition."""
        for value in values:
            self._producer.produce(topic, value, partition=partition, **options)
        left = await asyncio.to_thread(self._producer.flush, _PATIENCE)
        assert not left

    async def messages(self, topic: str, count: int) -> Sequence[Message]:
        """So many messages of a topic, from its beginning."""
        return await asyncio.to_thread(self._read, topic, count)

    def _read(self, topic: str, count: int) -> Sequence[Message]:
        consumer = Consumer(self._options("nobody"))
        try:
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
            found: list[Message] = []
            while len(found) < count:
                more = consumer.consume(count - len(found), _PATIENCE)
                assert more, f"{len(found)} messages and no more of {count}"
                for message in more:
                    assert message.error() is None, message.error()
                found += more
            return found
        finally:
            consumer.close()

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """What a group has committed, by partition."""
        return await asyncio.to_thread(self._committed, group, topic)

    def _committed(self, group: str, topic: str) -> dict[int, int]:
        consumer = Consumer(self._options(group))
        try:
            asked = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            return {
                place.partition: place.offset
                for place in consumer.committed(asked, timeout=_PATIENCE)
                if place.offset >= 0
            }
        finally:
            consumer.close()

    def _options(self, group: str) -> dict[str, Any]:
        return {
            "bootstrap.servers": ",".join(self.brokers),
            "group.id": group,
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }

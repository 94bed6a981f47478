"""Stands in for aiokafka's consumer and the cluster behind it, so that groups can be steered to the letter.

The real ones are slow to make change their minds (a mock cluster lets each group wait for three seconds, a
broker waits for heartbeats). What this one does was read off aiokafka 0.14: the listener is called before and
after partitions move, no messages come in between, and whoever commits what is not assigned is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

__all__ = ["FakeCluster", "FakeConsumer"]


@dataclass
class FakeCluster:
    """One topic, its groups of one name, and what the test makes of them."""

    topic: str = "t"
    partitions: int = 1
    committed: dict[int, int] = field(default_factory=dict)
    commits: list[dict[int, int]] = field(default_factory=list)
    members: list[FakeConsumer] = field(default_factory=list)
    refusals: list[KafkaError] = field(default_factory=list)  #: for the next commits
    broken: list[KafkaError] = field(default_factory=list)  #: for the next looks for messages
    made: list[dict[str, Any]] = field(default_factory=list)  #: options of the consumers

    def __post_init__(self) -> None:
        self.records: list[list[ConsumerRecord]] = [[] for _ in range(self.partitions)]
        self.arrived = asyncio.Event()
        self._turn = asyncio.Lock()

    def put(self, *values: str, partition: int = 0, key: bytes | None = None, **headers: str) -> None:
        """Store messages."""
        for value in values:
            self.records[partition].append(
                ConsumerRecord(
                    topic=self.topic,
                    partition=partition,
                    offset=len(self.records[partition]),
                    timestamp=1_700_000_000_000,
                    timestamp_type=0,
                    key=key,
                    value=value.encode(),
                    checksum=None,
                    serialized_key_size=0,
                    serialized_value_size=0,
                    headers=tuple((name, text.encode()) for name, text in headers.items()),
                )
            )
        self.arrived.set()

    def consumer(self, **options: Any) -> FakeConsumer:
        """What is called in the place of `AIOKafkaConsumer`."""
        self.made.append(options)
        return FakeConsumer(self)

    async def rebalance(self) -> None:
        """Share the partitions among the members anew, as the group's leader does."""
        async with self._turn:
            members = list(self.members)
            for member in members:
                member.is_moving = True
            await asyncio.gather(*(member.revoke() for member in members))
            for number, member in enumerate(members):
                await member.assign(range(number, self.partitions, len(members)))


class FakeConsumer:
    """As much of a consumer as a reader uses."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.positions: dict[TopicPartition, int] = {}
        self.is_moving = True
        self._listener: Any = None
        self._assigned = asyncio.Event()
        self._joining: asyncio.Future[None] | None = None

    def subscribe(self, topics: Iterable[str], *, listener: Any) -> None:
        """Note who is told."""
        assert list(topics) == [self.cluster.topic]
        self._listener = listener

    async def start(self) -> None:
        """Join the group; as aiokafka's it returns before the listener hears of its partitions."""
        self.cluster.members.append(self)
        self._joining = asyncio.ensure_future(self.cluster.rebalance())
        await self._assigned.wait()

    async def stop(self) -> None:
        """Leave the group. The others get the partitions when the test says so."""
        if self in self.cluster.members:
            self.cluster.members.remove(self)
        if self._joining is not None:
            await asyncio.wait([self._joining])

    async def revoke(self) -> None:
        """Tell the listener, then forget the partitions."""
        await self._listener.on_partitions_revoked(set(self.positions))
        self.positions.clear()

    async def assign(self, numbers: Iterable[int]) -> None:
        """Give partitions, to be read from what is committed."""
        for number in numbers:
            self.positions[TopicPartition(self.cluster.topic, number)] = self.cluster.committed.get(number, 0)
        self.is_moving = False
        self._assigned.set()
        self.cluster.arrived.set()
        await asyncio.sleep(0.01)  # messages may come before the listener is told
        await self._listener.on_partitions_assigned(set(self.positions))
        self.cluster.arrived.set()

    async def getmany(
        self, *wanted: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Messages of some partitions, or of all, when there are any."""
        if self.cluster.broken:
            raise self.cluster.broken.pop(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(timeout_ms / 1000, 0.05)):
                while not (found := self._found(wanted, max_records)):
                    self.cluster.arrived.clear()
                    await self.cluster.arrived.wait()
                return found
        return {}

    def _found(
        self, wanted: tuple[TopicPartition, ...], most: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        for tp, position in self.positions.items() if not self.is_moving else ():
            found = self.cluster.records[tp.partition][position : position + most]
            if found and (not wanted or tp in wanted):
                self.positions[tp] += len(found)
                return {tp: found}
        return {}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit, unless the test says otherwise."""
        await asyncio.sleep(0)
        if self.cluster.refusals:
            raise self.cluster.refusals.pop(0)
        if self not in self.cluster.members:
            raise CommitFailedError
        if set(offsets) - set(self.positions):
            raise IllegalStateError
        found = {tp.partition: number for tp, number in offsets.items()}
        self.cluster.commits.append(found)
        self.cluster.committed |= found

    async def committed(self, tp: TopicPartition) -> int | None:
        """What is committed."""
        return self.cluster.committed.get(tp.partition)

    async def position(self, tp: TopicPartition) -> int:
        """Where it reads next."""
        if tp not in self.positions:
            raise IllegalStateError
        return self.positions[tp]

    async def end_offsets(self, wanted: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Where what is to come will be."""
        return {tp: len(self.cluster.records[tp.partition]) for tp in wanted}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read from there."""
        if tp not in self.positions:
            raise IllegalStateError
        self.positions[tp] = offset

"""What the tests of kq have in common, whichever language plays."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections import Counter
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from tests.support.driving import Driven
from tests.support.services.kafka_broker import KafkaBroker

__all__ = ["codecs", "handled", "names", "queue", "records", "write"]

_numbers = itertools.count(1)
_CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}


def names(what: str) -> tuple[str, str]:
    """Return a topic and a group that no other test of this session has."""
    number = next(_numbers)
    return f"{what}-{number}", f"{what}-group-{number}"


def queue(kafka: KafkaBroker, topic: str, group: str, **more: Any) -> dict[str, Any]:
    """Return a KqConf that answers soon."""
    settings = {"Name": group, "Brokers": [kafka.bootstrap], "Topic": topic, "Group": group}
    return {
        "queue": {**settings, "Offset": "first", "MinBytes": 1, **more},
        # Of ours alone; Go takes half a minute to miss a member, and nobody can tell it otherwise.
        "ours": {"session_timeout": 6.0},
        "commit_interval_ms": 100,
        "max_wait_ms": 100,
    }


def handled(*programs: Driven) -> Counter[bytes]:
    """Return how often each message was begun, over all these consumers."""
    return Counter(event["payload"] for program in programs for event in program.seen("begin"))


async def write(kafka: KafkaBroker, topic: str, *values: bytes) -> None:
    """Write messages, one after the other, by a client that is neither Go's nor ours."""
    writer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    await writer.start()
    try:
        for value in values:
            await writer.send_and_wait(topic, value, key=b"key")
    finally:
        await writer.stop()


async def records(
    kafka: KafkaBroker, topic: str, count: int, timeout: float = 30
) -> list[ConsumerRecord[bytes, bytes]]:
    """Read so many records of a topic, by a client that is neither Go's nor ours."""
    reader = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=50
    )
    await reader.start()
    try:
        found: list[ConsumerRecord[bytes, bytes]] = []
        async with asyncio.timeout(timeout):
            while len(found) < count:
                for some in (await reader.getmany(timeout_ms=100)).values():
                    found += some
        return found
    finally:
        await reader.stop()


def codecs(kafka: KafkaBroker, topic: str) -> set[str]:
    """Return how the batches of a topic are compressed, as they lie on the broker's disk."""
    found: set[str] = set()
    for segment in (kafka.directory / "data").glob(f"{topic}-*/*.log"):
        data = segment.read_bytes()
        at = 0
        # A batch: offset (8), length (4), epoch (4), magic (1), checksum (4), attributes (2).
        while at + 23 <= len(data):
            (length,) = struct.unpack_from(">i", data, at + 8)
            (attributes,) = struct.unpack_from(">h", data, at + 21)
            found.add(_CODECS[attributes & 7])
            at += 12 + length
    return found

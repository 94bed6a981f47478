"""What a kq pusher writes: Go's, and ours in the same bytes."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from tests.support.driving import CallError
from tests.support.services.kafka_broker import KafkaBroker
from tests.support.services.parts import SIDES, Parts, Side

from .kq import codecs, names, records

pytestmark = pytest.mark.parametrize("side", SIDES)

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
# No test waits for it: what is stored before was stored for another reason.
NEVER_MS = 3_600_000


async def test_a_key_is_the_moment_in_nanoseconds(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """19 decimal digits; the value is what was pushed."""
    topic = await kafka.topic(names("keys")[0])
    pusher = await parts(side, "kq-push", brokers=[kafka.bootstrap], topic=topic, sync=True)
    before = time.time_ns()
    await pusher("push", payload=b"a\x00b\xc3\xa9")
    after = time.time_ns()
    (record,) = await records(kafka, topic, 1)
    assert record.value == b"a\x00b\xc3\xa9"
    assert record.key is not None
    assert re.fullmatch(rb"\d{19}", record.key)
    assert before <= int(record.key) <= after
    assert await pusher("name") == topic


async def test_a_key_of_ones_own(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """As it is."""
    topic = await kafka.topic(names("own-keys")[0])
    pusher = await parts(side, "kq-push", brokers=[kafka.bootstrap], topic=topic, sync=True)
    await pusher("push_with_key", key="order-7", payload=b"x")
    (record,) = await records(kafka, topic, 1)
    assert (record.key, record.value) == (b"order-7", b"x")


async def test_a_trace_goes_along_in_a_header(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """In the W3C form; without a span there is no header."""
    topic = await kafka.topic(names("traces")[0], partitions=1)
    pusher = await parts(side, "kq-push", brokers=[kafka.bootstrap], topic=topic, sync=True)
    await pusher("push", payload=b"plain")
    await pusher("push", payload=b"traced", trace=PARENT)
    plain, traced = await records(kafka, topic, 2)
    assert plain.headers == ()
    headers = dict(traced.headers)
    assert re.fullmatch(rb"00-%b-[0-9a-f]{16}-01" % TRACE.encode(), headers["traceparent"])


async def test_batches_are_snappy(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """Which all clients of the other language read."""
    topic = await kafka.topic(names("codec")[0])
    pusher = await parts(side, "kq-push", brokers=[kafka.bootstrap], topic=topic, sync=True)
    await pusher("push", payload=b"x" * 1000)
    await records(kafka, topic, 1)  # Go does not wait until the broker has it
    assert codecs(kafka, topic) == {"snappy"}


async def test_a_chunk_is_written_when_it_is_full(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """However long the interval is."""
    topic = await kafka.topic(names("size")[0])
    pusher = await parts(
        side, "kq-push", brokers=[kafka.bootstrap], topic=topic, chunk=10, interval_ms=NEVER_MS
    )
    for payload in (b"aaaa", b"bbbb", b"cccc"):
        await pusher("push", payload=payload)
    assert {record.value for record in await records(kafka, topic, 3)} == {b"aaaa", b"bbbb", b"cccc"}


async def test_a_chunk_is_written_when_its_time_has_come(
    parts: Parts, kafka: KafkaBroker, side: Side
) -> None:
    """However empty it is."""
    topic = await kafka.topic(names("interval")[0])
    pusher = await parts(side, "kq-push", brokers=[kafka.bootstrap], topic=topic, interval_ms=100)
    await pusher("push", payload=b"x")
    assert [record.value for record in await records(kafka, topic, 1)] == [b"x"]


async def test_closing_writes_what_is_left(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """A program that leaves in order loses nothing."""
    topic = await kafka.topic(names("close")[0])
    pusher = await parts(side, "kq-push", brokers=[kafka.bootstrap], topic=topic, interval_ms=NEVER_MS)
    await pusher("push", payload=b"x")
    await pusher("close")
    assert [record.value for record in await records(kafka, topic, 1)] == [b"x"]


async def test_a_synchronous_push_tells_its_error(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """A topic that nobody made is one."""
    pusher = await parts(side, "kq-push", brokers=[kafka.bootstrap], topic="nobody-made-it", sync=True)
    with pytest.raises(CallError, match=r"(?i)unknown topic|nobody-made-it"):
        await pusher("push", payload=b"x")


async def test_a_key_alone_does_not_keep_order(parts: Parts, kafka: KafkaBroker, side: Side) -> None:
    """By default bytes are spread evenly; a balancer that hashes keys puts one key into one partition."""
    (topic, _), (hashed, _) = names("spread"), names("hashed")
    for name in (topic, hashed):
        await kafka.topic(name)
        pusher = await parts(
            side, "kq-push", brokers=[kafka.bootstrap], topic=name, sync=True, hash=name == hashed
        )
        pushing = [pusher("push_with_key", key="order-7", payload=b"%d" % number) for number in range(6)]
        await asyncio.gather(*pushing)
    assert len({record.partition for record in await records(kafka, topic, 6)}) == 3
    assert len({record.partition for record in await records(kafka, hashed, 6)}) == 1

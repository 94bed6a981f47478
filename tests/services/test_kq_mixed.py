"""Go and Python in one consumer group: every message is handled, by one of them."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

from tests.support.driving import Driven
from tests.support.services.kafka_broker import KafkaBroker
from tests.support.services.parts import SIDES, Parts
from tests.support.waiting import wait_until

from .kq import handled, names, queue

EACH = 300


async def push(pusher: Driven, name: str, until: asyncio.Event | None = None) -> set[bytes]:
    """Push some messages, or some more until an event; return what they say."""
    pushed: set[bytes] = set()
    for number in itertools.count():
        if number >= EACH and (until is None or until.is_set()):
            return pushed
        body = f"{name}{number} sleep 2ms".encode()
        await pusher("push", payload=body)
        pushed.add(body)
        if until is not None:
            await asyncio.sleep(0.01)  # a load that goes on, and is no pile
    raise AssertionError


async def test_both_languages_share_a_group(parts: Parts, kafka: KafkaBroker) -> None:
    """While its members stay, each message is handled exactly once."""
    topic, group = names("mixed")
    await kafka.topic(topic, partitions=6)
    members = [await parts(side, "kq-consume", **queue(kafka, topic, group)) for side in SIDES]
    await kafka.joined(group, members=2)
    pushers = [
        await parts(side, "kq-push", brokers=[kafka.bootstrap], topic=topic, interval_ms=20) for side in SIDES
    ]
    pushed = await asyncio.gather(*[push(one, side) for one, side in zip(pushers, SIDES, strict=True)])
    expected = set().union(*pushed)
    await wait_until(lambda: set(handled(*members)) >= expected, "all messages to be handled", 60)
    assert handled(*members) == dict.fromkeys(expected, 1)
    assert all(handled(one) for one in members), "one of them had no share"


async def test_members_come_and_are_killed(parts: Parts, kafka: KafkaBroker) -> None:
    """Partitions go from hand to hand, and nothing is lost."""
    topic, group = names("churn")
    await kafka.topic(topic, partitions=6)
    conf = queue(kafka, topic, group)
    go = await parts("go", "kq-consume", **conf)
    doomed = await parts("python", "kq-consume", **conf)
    await kafka.joined(group, members=2)
    pushers = [
        await parts(side, "kq-push", brokers=[kafka.bootstrap], topic=topic, interval_ms=20) for side in SIDES
    ]
    enough = asyncio.Event()
    pushing = asyncio.gather(*[push(one, side, enough) for one, side in zip(pushers, SIDES, strict=True)])
    await doomed.until(lambda: len(doomed.seen("end")) >= 20, "the load to run", timeout=60)
    await doomed.kill()
    joined = await parts("python", "kq-consume", **conf)
    await joined.until(lambda: len(joined.seen("end")) >= 20, "its share", timeout=60)
    enough.set()
    expected = set().union(*await pushing)
    members = [go, doomed, joined]

    def finished() -> Counter[bytes]:
        return Counter(
            event["payload"] for one in members for event in one.seen("end") if event["outcome"] == "ok"
        )

    await wait_until(lambda: set(finished()) >= expected, "all messages to be handled", 90)
    assert set(finished()) == expected
    # Who keeps its partitions repeats nothing.
    assert set(handled(joined).values()) == {1}
    again = {payload for payload, times in handled(*members).items() if times > 1}
    assert again <= set(handled(go, doomed))

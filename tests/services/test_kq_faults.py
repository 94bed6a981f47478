"""kq under load while something is killed: nothing is lost, and what ran twice has its reason."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.driving import CallError, Driven
from tests.support.services.kafka_broker import KafkaBroker
from tests.support.services.parts import Parts
from tests.support.waiting import wait_until

from .kq import handled, names, queue

COUNT = 600


async def push(pusher: Driven) -> set[bytes]:
    """Push messages for some seconds, and return what they say."""
    bodies = [f"m{number} sleep 5ms".encode() for number in range(COUNT)]
    for body in bodies:
        await pusher("push", payload=body)
        await asyncio.sleep(0.002)  # the load of some seconds, and not of a moment
    return set(bodies)


async def test_a_consumer_is_killed_and_another_one_goes_on(parts: Parts, kafka: KafkaBroker) -> None:
    """What it had begun and not committed is handled again, and nothing else."""
    topic, group = names("kill")
    await kafka.topic(topic, partitions=4)
    conf = queue(kafka, topic, group)
    doomed, survivor = [await parts("python", "kq-consume", **conf) for _ in "ab"]
    await kafka.joined(group, members=2)
    pusher = await parts("python", "kq-push", brokers=[kafka.bootstrap], topic=topic, interval_ms=20)
    pushing = asyncio.create_task(push(pusher))
    await doomed.until(lambda: len(doomed.seen("end")) >= 40, "the load to run", timeout=60)
    await doomed.kill()
    expected = await pushing
    begun = handled(doomed)

    def is_done() -> bool:
        ended = {event["payload"] for one in (doomed, survivor) for event in one.seen("end")}
        return ended >= expected

    await wait_until(is_done, "all messages to be handled", 90)
    assert {payload for payload, times in handled(doomed, survivor).items() if times > 1} <= set(begun)


async def test_go_asks_nobody_whether_a_message_is_stored(parts: Parts, own_kafka: KafkaBroker) -> None:
    """It pushes without acknowledgement, to a frozen broker as well; ours says that it was not stored."""
    topic, _ = names("acks")
    await own_kafka.topic(topic)
    push = {"brokers": [own_kafka.bootstrap], "topic": topic, "sync": True}
    go = await parts("go", "kq-push", **push)
    ours = await parts("python", "kq-push", **push, delivery_timeout=2.0)
    for pusher in (go, ours):
        await pusher("push", payload=b"connects")
    own_kafka.pause()
    try:
        await go("push", payload=b"who knows")
        with pytest.raises(CallError):
            await ours("push", payload=b"was not stored")
    finally:
        own_kafka.resume()


async def test_the_broker_is_killed_and_comes_back(parts: Parts, own_kafka: KafkaBroker) -> None:
    """What was pushed meanwhile waits, and the queue goes on."""
    topic, group = names("broker")
    await own_kafka.topic(topic)
    consumer = await parts("python", "kq-consume", **queue(own_kafka, topic, group))
    pusher = await parts(
        "python",
        "kq-push",
        brokers=[own_kafka.bootstrap],
        topic=topic,
        interval_ms=20,
        delivery_timeout=150.0,
    )
    pushing = asyncio.create_task(push(pusher))
    await consumer.until(lambda: len(consumer.seen("end")) >= 40, "the load to run", timeout=60)
    await asyncio.to_thread(own_kafka.restart)
    expected = await pushing
    await pusher("flush")

    def is_done() -> bool:
        return {event["payload"] for event in consumer.seen("end")} >= expected

    await wait_until(is_done, "all messages to be handled", 120)

"""What ours alone promises, at a real broker: groups that change, outages, logins."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from asyncq.kq import (
    KafkaUnavailableError,
    KqConf,
    Message,
    MessageFailedError,
    Pusher,
    PushError,
    Queue,
    TopicNotFoundError,
)
from tests.support.services.kafka_broker import KafkaBroker
from tests.support.waiting import wait_until

from .kq import names, write


def _conf(kafka: KafkaBroker, topic: str, group: str, **options: Any) -> KqConf:
    quick: dict[str, Any] = {"offset": "first", "min_bytes": 1, "max_wait": 0.1, "commit_interval": 0.1}
    return KqConf(brokers=(kafka.bootstrap,), topic=topic, group=group, **{**quick, **options})


class _Noting:
    """Notes what comes, and lets messages that say so wait for the gate."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.gate = asyncio.Event()

    async def __call__(self, message: Message) -> None:
        self.begun.append(message.text)
        if "slow" in message.text:
            await self.gate.wait()
        self.ended.append(message.text)


@pytest.mark.parametrize("assignors", [("range",), ("roundrobin",), ("range", "roundrobin")])
async def test_members_come_and_go_and_nothing_is_handled_twice(kafka: KafkaBroker, assignors: Any) -> None:
    """What runs is waited for and committed before partitions move, so an orderly change repeats nothing."""
    topic, group = names("orderly")
    await kafka.topic(topic, partitions=4)
    conf = _conf(kafka, topic, group, assignors=assignors)
    seen: Counter[str] = Counter()

    async def handle(message: Message) -> None:
        await asyncio.sleep(0.002)
        seen[message.text] += 1

    async with Pusher([kafka.bootstrap], topic, flush_interval=0.02) as pusher:

        async def push(numbers: range) -> None:
            for number in numbers:
                await pusher.push(str(number))
                await asyncio.sleep(0.001)

        async with Queue(conf, handle).running() as first:
            await push(range(300))
            async with Queue(conf, handle).running() as second:
                pushing = asyncio.ensure_future(push(range(300, 900)))
                await wait_until(lambda: len(second.partitions) == len(first.partitions) == 2, "a fair share")
                await pushing
                await first.stop()
                await wait_until(lambda: len(second.partitions) == 4, "the rest", 60)
                await push(range(900, 1000))
                await wait_until(lambda: len(seen) == 1000, "all messages", 60)
    assert set(seen.values()) == {1}
    assert sum((await kafka.committed(group, topic)).values()) == 1000


async def test_a_partition_is_given_up_when_its_message_is_done(kafka: KafkaBroker) -> None:
    """The new member waits for the old one's handler; the message is not handled twice."""
    topic, group = names("handover")
    await kafka.topic(topic, partitions=2)
    conf = _conf(kafka, topic, group, shutdown_timeout=20)
    one, other = _Noting(), _Noting()
    await write(kafka, topic, *(b"slow %d" % number for number in range(4)))
    async with Queue(conf, one).running():
        await wait_until(lambda: len(one.begun) == 4, "all to begin")
        second = Queue(conf, other)
        life = asyncio.ensure_future(second.start())
        # It has asked to be let in when the broker says that the group is being put together anew.
        await wait_until(lambda: _state(kafka, group, "PreparingRebalance"), "the group to change", 60)
        assert other.begun == []
        one.gate.set()
        await wait_until(lambda: second.partitions, "the new member to have its share", 60)
        assert sorted(one.ended) == [f"slow {number}" for number in range(4)]
        assert sum((await kafka.committed(group, topic)).values()) == 4
        await second.stop()
        await life
    assert other.begun == []


async def _state(kafka: KafkaBroker, group: str, state: str) -> bool:
    return (await kafka.group(group)).state == state


async def test_a_member_that_comes_back_finds_what_was_pushed_meanwhile(kafka: KafkaBroker) -> None:
    """Offset `last`: the beginning is committed at once, so `last` is not said a second time."""
    topic, group = names("last")
    await kafka.topic(topic, partitions=2)
    await write(kafka, topic, b"before")
    handler = _Noting()
    conf = _conf(kafka, topic, group, offset="last")
    async with Queue(conf, handler).running():

        async def is_anchored() -> bool:
            return sorted((await kafka.committed(group, topic)).values()) == [0, 1]

        await wait_until(is_anchored, "the beginning to be committed")
    await write(kafka, topic, b"meanwhile")
    async with Queue(conf, handler).running():
        await wait_until(lambda: handler.ended, "the message")
    assert handler.ended == ["meanwhile"]


async def test_a_place_that_has_expired_is_not_a_reason_to_skip(kafka: KafkaBroker) -> None:
    """With offset `last`, too: reading goes on with the earliest message that is left."""
    topic, group = names("expired")
    await kafka.topic(topic, partitions=1)
    handler = _Noting()
    conf = _conf(kafka, topic, group, offset="last")
    async with Queue(conf, handler).running():

        async def is_anchored() -> bool:
            return await kafka.committed(group, topic) == {0: 0}

        await wait_until(is_anchored, "the beginning to be committed")
    await write(kafka, topic, b"0", b"1", b"2", b"3")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=2)})
    await admin.close()
    async with Queue(conf, handler).running():
        await wait_until(lambda: len(handler.ended) == 2, "what is left")
    assert handler.ended == ["2", "3"]


async def test_a_message_that_may_not_be_skipped_stops_the_queue_and_comes_again(kafka: KafkaBroker) -> None:
    """Without `force_commit`, after `max_attempts`."""
    topic, group = names("halt")
    await kafka.topic(topic, partitions=1)
    await write(kafka, topic, b"good", b"bad")
    conf = _conf(kafka, topic, group, force_commit=False, max_attempts=1, processors=1)

    async def fail(message: Message) -> None:
        if message.text == "bad":
            raise LookupError("no such order")

    with pytest.raises(MessageFailedError, match=f"{topic}-0-1 failed after 1 attempts: LookupError"):
        await Queue(conf, fail).start()
    assert await kafka.committed(group, topic) == {0: 1}
    handler = _Noting()
    async with Queue(conf, handler).running():
        await wait_until(lambda: handler.ended, "the message to come again")
    assert handler.ended == ["bad"]


async def test_a_pusher_waits_for_a_broker_that_restarts(own_kafka: KafkaBroker) -> None:
    """`kill -9` in the middle: whatever a synchronous push returned for is there, and nothing was lost."""
    topic, group = names("outage")
    await own_kafka.topic(topic)
    stored: set[str] = set()
    seen: set[str] = set()

    async def handle(message: Message) -> None:
        seen.add(message.text)

    async with Pusher([own_kafka.bootstrap], topic, sync=True, delivery_timeout=150) as pusher:
        stop = asyncio.Event()

        async def push() -> None:
            number = 0
            while not stop.is_set():
                await pusher.push(str(number))
                stored.add(str(number))
                number += 1

        pushing = asyncio.ensure_future(push())
        await wait_until(lambda: len(stored) > 50, "the load to run")
        await asyncio.to_thread(own_kafka.restart)
        before = len(stored)
        await wait_until(lambda: len(stored) > before + 50, "the load to go on", 120)
        stop.set()
        await pushing
    async with Queue(_conf(own_kafka, topic, group), handle).running():
        await wait_until(lambda: seen >= stored, "all of them", 60)


async def test_a_queue_is_let_in_with_the_right_password_only(kafka: KafkaBroker) -> None:
    """A wrong one is said in one sentence, and not tried for ever."""
    topic, group = names("login")
    await kafka.topic(topic)
    login: dict[str, Any] = {"username": kafka.username, "password": kafka.password}
    async with Pusher([kafka.sasl_bootstrap], topic, sync=True, **login) as pusher:
        await pusher.push("x")
    wrong = {**login, "password": "wrong"}
    with pytest.raises(KafkaUnavailableError, match=f"cannot use Kafka at {kafka.sasl_bootstrap}: .*"):
        await Pusher([kafka.sasl_bootstrap], topic, **wrong).start()
    conf = KqConf(brokers=(kafka.sasl_bootstrap,), topic=topic, group=group, **wrong)
    with pytest.raises(KafkaUnavailableError, match="uthentication") as error:
        await Queue(conf, _Noting()).start()
    assert "wrong" not in str(error.value)


async def test_no_topic_is_made_by_mistake(kafka: KafkaBroker) -> None:
    """Neither who pushes nor who reads makes one; the text has a name that is like it."""
    topic, group = names("present")
    await kafka.topic(topic)
    with pytest.raises(TopicNotFoundError, match=f"did you mean '{topic}'"):
        await Pusher([kafka.bootstrap], f"{topic}x").start()
    with pytest.raises(TopicNotFoundError):
        await Queue(_conf(kafka, f"{topic}x", group), _Noting()).start()
    with pytest.raises(TopicNotFoundError):
        await Pusher([kafka.bootstrap], f"{topic}x").start()


async def test_a_message_that_cannot_be_stored_is_said_in_time(own_kafka: KafkaBroker) -> None:
    """The broker is away for longer than `delivery_timeout`."""
    topic, _ = names("gone")
    await own_kafka.topic(topic)
    async with Pusher([own_kafka.bootstrap], topic, sync=True, delivery_timeout=3) as pusher:
        await pusher.push("before")
        await asyncio.to_thread(own_kafka.kill)
        async with asyncio.timeout(60):
            with pytest.raises(PushError, match=f"a message is not stored in topic '{topic}'"):
                await pusher.push("lost")
    assert (pusher.stats.stored, pusher.stats.failed) == (1, 1)


async def test_a_queue_may_be_stopped_while_the_broker_is_away(own_kafka: KafkaBroker) -> None:
    """It does not wait for it to come back; what it could not commit comes again."""
    topic, group = names("alone")
    await own_kafka.topic(topic, partitions=1)
    await write(own_kafka, topic, b"a")
    handler = _Noting()
    async with Queue(_conf(own_kafka, topic, group), handler).running():
        await wait_until(lambda: handler.ended, "the message")
        await asyncio.to_thread(own_kafka.kill)
    await asyncio.to_thread(own_kafka.start)
    assert (await own_kafka.committed(group, topic))[0] in {0, 1}

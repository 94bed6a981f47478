"""Delayed messages, as a user writes them: only type-checked, never run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import assert_type

from asyncq import Client, Task, beanstalk
from asyncq.app import ServiceGroup
from asyncq.dq import (
    Beanstalk,
    Consumer,
    ConsumerConfig,
    ConsumerStats,
    Discarded,
    DqConf,
    Message,
    Producer,
    ProducerNode,
    RedisConf,
    bridge,
)

NODES = [Beanstalk("a:11300", "t"), Beanstalk("b:11300", "t")]
CONF = DqConf(tuple(NODES), RedisConf("localhost:6379"))


async def handler(message: Message) -> None:
    """An ordinary one."""
    assert_type(message.body, bytes)
    assert_type(message.due, datetime)


def blocking(message: Message) -> int:
    """What it returns is dropped."""
    return message.attempt


async def produce() -> None:
    """Put and revoke."""
    async with Producer(NODES) as producer, ProducerNode("a:11300", "t") as one:
        assert_type(await producer.delay(b"x", timedelta(minutes=30)), str)
        ids = await one.at(b"x", datetime.now(UTC))
        await producer.revoke(ids)
        await producer.delay("x", 1)  # type: ignore[arg-type]
        await producer.at(b"x", 5)  # type: ignore[arg-type]


async def consume(client: Client) -> None:
    """Any handler will do."""
    consumer = Consumer(CONF, handler, ack="early", on_error=failed)
    Consumer(CONF, blocking, ConsumerConfig(on_discard=told))
    Consumer(CONF, bridge.enqueue(client, "order:close", queue="low"))
    Consumer(CONF, bridge.enqueue(client, lambda message: Task("x", message.body)))
    ServiceGroup().add(consumer)
    assert_type(consumer.stats, ConsumerStats)
    await consumer.start()
    await consumer.stop()


def failed(message: Message, error: Exception) -> None:
    """Told of what failed."""
    assert_type(message.attempt, int)
    assert_type(error, Exception)


def told(found: Discarded) -> None:
    """Told of what is not handled."""
    assert_type(found.message, Message | None)


async def below() -> None:
    """The client of beanstalkd."""
    async with beanstalk.Client("a:11300") as client:
        assert_type(await client.put(b"x"), beanstalk.Put)
        assert_type(await client.peek_ready(), beanstalk.Job | None)

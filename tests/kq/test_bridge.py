"""From a topic into a task queue: each message becomes one task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from asyncq import Client, Inspector, Task
from asyncq.errors import BrokerUnavailableError, RetryIn
from asyncq.kq import Message, Queue, bridge
from tests.kq.handling import conf, until_committed
from tests.support.kafka_double import FakeCluster


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    """A client of an empty Redis."""
    async with Client(redis_url) as client:
        yield client


async def test_a_message_becomes_a_task_under_its_own_name(
    broker: FakeCluster, client: Client, redis_url: str
) -> None:
    """Its place in Kafka is the id, its value the payload, its options are those that were given."""
    broker.put("paid", partition=1)
    handler = bridge.enqueue(client, "payment:notify", queue="low", max_retry=3)
    async with Queue(conf(), handler).running():
        await until_committed(broker, 1, 1)
    async with Inspector(redis_url) as inspector:
        info = await inspector.tasks.get("low", "t-1-0")
    assert (info.type, info.payload, info.max_retry, info.retention) == ("payment:notify", b"paid", 3, 3600.0)


async def test_a_message_that_comes_again_is_the_task_that_is_there(
    broker: FakeCluster, client: Client, redis_url: str
) -> None:
    """After a crash before the commit, say: a conflict of ids is success."""
    broker.put("a", "b")
    for _ in range(2):
        queue = Queue(conf(), bridge.enqueue(client, "t"))
        async with queue.running():
            await until_committed(broker, 0, 2)
        assert (queue.stats.handled, queue.stats.failures) == (2, 0)
        broker.committed.clear()
    async with Inspector(redis_url) as inspector:
        assert (await inspector.queues.get("default")).pending == 2


async def test_a_function_makes_the_task(broker: FakeCluster, client: Client, redis_url: str) -> None:
    """Or none: not each message is worth one."""

    def made(message: Message) -> Task | None:
        return Task("notify", {"order": message.text}) if message.text != "ignored" else None

    broker.put("A7", "ignored")
    async with Queue(conf(), bridge.enqueue(client, made)).running():
        await until_committed(broker, 0, 2)
    async with Inspector(redis_url) as inspector:
        assert (await inspector.queues.get("default")).pending == 1
        assert (await inspector.tasks.get("default", "t-0-0")).payload == {"order": "A7"}


async def test_redis_being_away_loses_no_message(
    broker: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `force_commit`, too, which skips messages that failed: this one has not."""
    monkeypatch.setattr("asyncq.kq.bridge.AGAIN", 0.01)
    calls: list[Any] = []

    class Away:
        async def enqueue(self, task: Task, **options: Any) -> None:
            calls.append(options["task_id"])
            if len(calls) < 4:
                raise BrokerUnavailableError("localhost:6379", "refused")

    away: Any = Away()
    broker.put("a")
    queue = Queue(conf(force_commit=True), bridge.enqueue(away, "t"))
    async with queue.running():
        await until_committed(broker, 0, 1)
    assert calls == ["t-0-0"] * 4
    assert (queue.stats.handled, queue.stats.skipped) == (1, 0)


async def test_a_bridge_says_that_redis_is_away() -> None:
    """To whoever calls it: another attempt, and why."""

    class Away:
        async def enqueue(self, task: Task, **options: Any) -> None:
            await asyncio.sleep(0)
            raise BrokerUnavailableError("localhost:6379", "refused")

    away: Any = Away()
    now = datetime.now(UTC)
    message = Message(topic="t", partition=0, offset=0, key=None, value=b"", headers={}, timestamp=now)
    with pytest.raises(RetryIn) as error:
        await bridge.enqueue(away, "t")(message)
    assert isinstance(error.value.__cause__, BrokerUnavailableError)

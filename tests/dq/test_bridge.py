"""Messages that become tasks: each one once, whatever comes twice."""

from __future__ import annotations

import pytest

from asyncq import Client, Inspector, Task
from asyncq.dq import Message, bridge
from asyncq.errors import ConfigError
from tests.dq.consuming import consuming, gone, put
from tests.support.fake_beanstalkd import FakeBeanstalkd

MESSAGE = Message(b"42", 1_795_225_131_786_937_573, "0d3403d7e31d8a65fad68a947fdf2c13", "a:1", "t", 1)


async def test_messages_become_tasks(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """Of three copies one, under the key of the message."""
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        async with consuming(fakes, redis_url, bridge.enqueue(client, "order:close", queue="low")):
            await put(fakes, b"1", b"2", b"3")
            await gone(fakes)
        found = [task async for task in inspector.tasks.iterate("low", "pending")]
    assert sorted(task.payload for task in found) == [b"1", b"2", b"3"]
    assert {task.type for task in found} == {"order:close"}
    assert all(len(task.id) == 32 for task in found)


async def test_a_message_that_comes_again_adds_nothing(redis_url: str) -> None:
    """Its task is there."""
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        handler = bridge.enqueue(client, "x")
        await handler(MESSAGE)
        await handler(MESSAGE)
        assert (await inspector.queues.get("default")).pending == 1


async def test_a_function_may_make_the_task(redis_url: str) -> None:
    """Or none."""
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:

        def make(message: Message) -> Task | None:
            return Task("y", {"n": int(message.body)}) if message.body != b"0" else None

        handler = bridge.enqueue(client, make)
        await handler(MESSAGE)
        await handler(Message(b"0", 1, "k", "a:1", "t", 2))
        assert (await inspector.queues.get("default")).pending == 1
        assert (await inspector.tasks.get("default", MESSAGE.key)).payload == {"n": 42}


def test_what_is_wrong_is_said_at_once() -> None:
    """Before a message comes."""
    client = Client("redis://localhost:1")
    with pytest.raises(ConfigError, match="task_id"):
        bridge.enqueue(client, "x", task_id="mine")
    with pytest.raises(ConfigError, match="max_retry"):
        bridge.enqueue(client, "x", max_retry=-1)
    with pytest.raises(ConfigError, match="task"):
        bridge.enqueue(client, 7)  # type: ignore[arg-type]

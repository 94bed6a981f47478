"""What may be given to `Client.result`, and how it says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from asyncq import Client, Task
from asyncq.errors import ConfigError, QueueNotFoundError, ResultTimeoutError, TaskNotFoundError
from tests.conftest import AnyRedis
from tests.support.listing import listed


async def test_what_never_was_is_named(any_redis: AnyRedis) -> None:
    """A misspelt queue is another mistake than a wrong id."""
    async with Client(any_redis.url) as client:
        info = await client.enqueue(Task("x"), queue="reports")
        await listed(client)
        with pytest.raises(QueueNotFoundError, match="did you mean 'reports'"):
            await client.result(info.id, queue="report")
        with pytest.raises(TaskNotFoundError, match="no task 'nobody'"):
            await client.result("nobody", queue="reports")


@pytest.mark.parametrize(
    ("task", "options", "option"),
    [
        (7, {}, "task"),
        ("", {}, "task"),
        ("id", {"queue": ""}, "queue"),
        ("id", {"queue": "{a}"}, "queue"),
        ("id", {"timeout": -1}, "timeout"),
        ("id", {"timeout": "soon"}, "timeout"),
    ],
)
async def test_a_wrong_argument_is_named_before_anything_is_sent(
    task: Any, options: dict[str, Any], option: str
) -> None:
    """Nobody listens at this address."""
    async with Client("redis://127.0.0.1:1") as client:
        with pytest.raises(ConfigError) as raised:
            await client.result(task, **options)
        assert raised.value.option == option


async def test_a_queue_beside_a_task_must_be_its_own(redis_url: str) -> None:
    """Two answers to one question are a mistake, unless they are the same."""
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("x"), queue="q")
        with pytest.raises(ConfigError, match="'q'"):
            await client.result(info, 0, queue="r")
        with pytest.raises(ResultTimeoutError):
            await client.result(info, 0, queue="q")

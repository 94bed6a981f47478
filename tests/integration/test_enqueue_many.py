"""Enqueueing much and at once: an outcome for each, few calls, and answers that get lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import pytest
from redis import Redis

from asyncq.client import Client
from asyncq.errors import (
    BrokerUnavailableError,
    ConfigError,
)
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.support.census import take_census
from tests.support.proxy import Proxy
from tests.support.servers import RedisProcess


def _mixed() -> Iterator[Any]:
    yield Task("t", 1)
    yield Task("t", object())
    yield Task("t", 2, task_id="mine")
    yield Task("t", 3, task_id="mine")
    yield "no task"
    yield Task("t", 4, unique=60)
    yield Task("t", 4, unique=60)
    yield Task("t", 5, process_in=60, queue="other")


async def _mixed_later() -> AsyncIterator[Any]:
    for task in _mixed():
        await asyncio.sleep(0)
        yield task


@pytest.mark.parametrize("source", [_mixed, _mixed_later, lambda: list(_mixed())])
@pytest.mark.parametrize("chunk", [1, 2, 3, 1000])
async def test_many_tasks_say_for_each_what_happened(
    any_redis: AnyRedis, source: Callable[[], Any], chunk: int
) -> None:
    """In the order in which they came; bad ones spoil nothing."""
    async with Client(any_redis.url) as client:
        outcomes = [outcome async for outcome in client.enqueue_many(source(), chunk=chunk)]
    kinds = [
        type(outcome.error).__name__ if outcome.error else str(outcome.info and outcome.info.state)
        for outcome in outcomes
    ]
    assert kinds == [
        "pending", "PayloadError", "pending", "TaskIdConflictError", "ConfigError", "pending",
        "DuplicateTaskError", "scheduled",
    ]  # fmt: skip
    assert [outcome.is_enqueued for outcome in outcomes] == [outcome.error is None for outcome in outcomes]
    assert take_census(any_redis.client).counts == {"pending": 3}
    assert take_census(any_redis.client, "other").counts == {"scheduled": 1}


async def test_options_for_many_are_for_each(redis_url: str, redis_client: Redis) -> None:
    """They win over the tasks' own."""
    async with Client(redis_url) as client:
        tasks = [Task("t", number, queue="a") for number in range(3)]
        assert [outcome.error async for outcome in client.enqueue_many(tasks, queue="b")] == [None] * 3
        assert [outcome async for outcome in client.enqueue_many([])] == []
        with pytest.raises(ConfigError, match="chunk"):
            _ = [outcome async for outcome in client.enqueue_many(tasks, chunk=0)]
    assert take_census(redis_client, "b").counts == {"pending": 3}


async def test_millions_are_read_as_they_are_needed(redis_url: str, redis_client: Redis) -> None:
    """A generator need not fit into memory, and its order is the order in the queue."""
    read = 0

    def tasks() -> Iterator[Task]:
        nonlocal read
        for number in range(5000):
            read += 1
            yield Task("t", number)

    async with Client(redis_url) as client:
        ids = []
        async for outcome in client.enqueue_many(tasks(), chunk=100):
            assert outcome.info is not None
            ids.append(outcome.info.id)
            assert read <= len(ids) + 200
    assert take_census(redis_client)["pending"] == ids[::-1]


async def test_whoever_stops_in_the_middle_leaves_no_mess(redis_url: str, redis_client: Redis) -> None:
    """What was sent is there, and the client can be used and closed."""
    async with Client(redis_url) as client:
        many = client.enqueue_many((Task("t", number) for number in range(1000)), chunk=10)
        async for outcome in many:
            assert outcome.is_enqueued
            break
        await cast("Any", many).aclose()
        await client.enqueue(Task("t"))
    census = take_census(redis_client)
    assert 2 <= census.created <= 21


# -- few calls ------------------------------------------------------------------------------------


def _calls(client: Redis) -> int:
    stats = cast("dict[str, Any]", client.info("commandstats"))
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha"))


async def test_tasks_that_are_enqueued_together_share_calls(redis_url: str, redis_client: Redis) -> None:
    """One is on its way, the others gather and go with the next."""
    async with Client(redis_url) as client:
        await client.enqueue(Task("t"))
        before = _calls(redis_client)
        await asyncio.gather(*(client.enqueue(Task("t", number)) for number in range(500)))
        assert _calls(redis_client) - before <= 3
        before = _calls(redis_client)
        for number in range(5):
            await client.enqueue(Task("t", number))
        assert _calls(redis_client) - before == 5
    assert take_census(redis_client).created == 506


async def test_large_payloads_do_not_make_one_enormous_call(redis_url: str, redis_client: Redis) -> None:
    """Redis does nothing else while it reads one."""
    async with Client(redis_url) as client:
        await client.enqueue(Task("t"))
        before = _calls(redis_client)
        await asyncio.gather(*(client.enqueue(Task("t", b"x" * 1_000_000)) for _ in range(20)))
        assert 4 <= _calls(redis_client) - before <= 10
    assert take_census(redis_client).created == 21


async def test_a_caller_that_gives_up_spoils_nothing_for_the_others(
    redis_url: str, redis_client: Redis
) -> None:
    """Its task may be there or not; theirs are."""
    async with Client(redis_url) as client:
        waiting = [asyncio.ensure_future(client.enqueue(Task("t", number))) for number in range(50)]
        await asyncio.sleep(0)
        for one in waiting[::2]:
            one.cancel()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [True, False] * 25
    census = take_census(redis_client)
    assert {answer.id for answer in answers[1::2]} <= set(census["pending"])  # type: ignore[union-attr]


# -- sent again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["request", "reply"])
async def test_a_call_whose_answer_was_lost_makes_no_second_task(
    redis_process: RedisProcess, redis_client: Redis, lost: str
) -> None:
    """Also when a task has been taken, and is gone, before it is sent again."""
    with Proxy(redis_process) as proxy:
        async with Client(proxy.url) as client:
            await client.enqueue(Task("t", "first"))
            if lost == "reply":
                proxy.lose_reply("EVALSHA")
            else:
                proxy.lose_request("EVALSHA")
            tasks = [
                Task("t", "mine", task_id="mine"),
                Task("t", 1),
                Task("t", 2, process_in=60),
                Task("t", 3, unique=60),
            ]
            infos = await asyncio.gather(*(client.enqueue(task) for task in tasks))
            assert proxy.losses == 1
    assert [str(info.state) for info in infos] == ["pending", "pending", "scheduled", "pending"]
    census = take_census(redis_client)
    assert (census.created, census.counts) == (5, {"pending": 4, "scheduled": 1})


async def test_patience_ends(tmp_path: Any) -> None:
    """With where, why and what to try; and the client is not broken by it."""
    async with Client(f"unix://{tmp_path}/nobody.sock", patience=0.1) as client:
        for _ in range(2):
            with pytest.raises(BrokerUnavailableError, match=r"nobody\.sock"):
                await client.enqueue(Task("t"))
        outcomes = [outcome async for outcome in client.enqueue_many([Task("t"), Task("u")])]
    assert [type(outcome.error) for outcome in outcomes] == [BrokerUnavailableError] * 2

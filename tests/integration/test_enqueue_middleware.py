"""What a client wraps around enqueueing: of one, of many, from blocking code, and what goes wrong in it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis import Redis

from asyncq import sync
from asyncq.client import Client, EnqueueCall
from asyncq.errors import ClosedError, ConfigError, DuplicateTaskError, PayloadError
from asyncq.options import TaskOptions
from asyncq.scheduler import Scheduler
from asyncq.task import Task
from asyncq.task_info import TaskInfo
from tests.conftest import AnyRedis
from tests.support.census import take_census
from tests.support.waiting import wait_until


class _Noting:
    """Middleware that writes down what it sees, and hands on one more header."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen

    async def __call__(self, task: Task, options: TaskOptions, call_next: EnqueueCall) -> TaskInfo:
        self.seen.append(f"{self.name} {task.type}")
        headers = {**options.get("headers", {}), self.name: "was here"}
        info = await call_next(task, {**options, "headers": headers})
        self.seen.append(f"{self.name} {info.state}")
        return info


async def _picky(task: Task, options: TaskOptions, call_next: EnqueueCall) -> TaskInfo:
    if task.payload == "bad":
        raise PermissionError("not this one")
    return await call_next(task, options)


async def _forgetful(task: Task, options: TaskOptions, call_next: EnqueueCall) -> TaskInfo:
    await call_next(task, options)
    return None  # type: ignore[return-value]


async def test_the_middleware_added_first_is_outermost(any_redis: AnyRedis) -> None:
    """It sees what it was called with, and what came of it, and its changes arrive."""
    seen: list[str] = []
    async with Client(any_redis.url, middleware=[_Noting("a", seen)], defaults={"queue": "q"}) as client:
        client.use(_Noting("b", seen), _Noting("c", seen))
        info = await client.enqueue(Task("t", 1, headers={"own": "1"}), headers={"call": "1"}, process_in=60)
    assert seen == ["a t", "b t", "c t", "c scheduled", "b scheduled", "a scheduled"]
    assert dict(info.headers) == {
        "own": "1",
        "call": "1",
        "a": "was here",
        "b": "was here",
        "c": "was here",
    }
    assert info.queue == "q"
    assert take_census(any_redis.client, "q").counts == {"scheduled": 1}


@pytest.mark.parametrize("chunk", [1, 2, 1000])
async def test_many_go_through_it_one_by_one(redis_url: str, redis_client: Redis, chunk: int) -> None:
    """Each with options of its own to change; what it refuses spoils nothing, and the order stays."""
    given: list[Any] = [
        Task("t", 1),
        Task("t", "bad"),
        Task,
        Task("t", object()),
        Task("t", 2, unique=60),
        Task("t", 2, unique=60),
        Task("t", 3),
    ]
    seen: list[str] = []
    async with Client(redis_url, middleware=[_Noting("a", seen), _picky]) as client:
        outcomes = [
            outcome async for outcome in client.enqueue_many(given, chunk=chunk, headers={"call": "1"})
        ]
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None),
        PermissionError,
        ConfigError,
        PayloadError,
        type(None),
        DuplicateTaskError,
        type(None),
    ]
    assert [outcome.task for outcome in outcomes if outcome.info] == [given[0], given[4], given[6]]
    assert all(
        dict(outcome.info.headers) == {"call": "1", "a": "was here"} for outcome in outcomes if outcome.info
    )
    assert take_census(redis_client).counts == {"pending": 3}
    assert seen.count("a t") == 6


async def test_what_it_raises_is_raised(redis_url: str, redis_client: Redis) -> None:
    """And nothing was enqueued; what it is given is a task."""
    async with Client(redis_url, middleware=[_picky]) as client:
        with pytest.raises(PermissionError):
            await client.enqueue(Task("t", "bad"))
        for wrong, says in ((Task, "not the class"), ("t", r"Task\('t', payload\)")):
            with pytest.raises(ConfigError, match=says):
                await client.enqueue(wrong)  # type: ignore[arg-type]
    assert take_census(redis_client).counts == {}


async def test_it_may_try_again(redis_url: str, redis_client: Redis) -> None:
    """`call_next` is not used up."""

    async def insistent(task: Task, options: TaskOptions, call_next: EnqueueCall) -> TaskInfo:
        try:
            return await call_next(task, options)
        except DuplicateTaskError:
            return await call_next(Task("t", "another"), {})

    async with Client(redis_url, middleware=[insistent]) as client:
        for _ in range(2):
            await client.enqueue(Task("t", 1), unique=60)
    assert take_census(redis_client).counts == {"pending": 2}


async def test_a_forgotten_return_is_said(redis_url: str) -> None:
    """Otherwise whoever enqueued would be told nothing."""
    async with Client(redis_url, middleware=[_forgetful]) as client:
        with pytest.raises(ConfigError, match="call_next returned"):
            await client.enqueue(Task("t"))


@pytest.mark.parametrize("bad", [[lambda task, options, call_next: None], ["text"], "text", _picky, [1]])
@pytest.mark.parametrize("door", [Client, sync.Client, Scheduler])
def test_middleware_is_an_async_function(door: Any, bad: Any) -> None:
    """What is none would fail with each task."""
    with pytest.raises(ConfigError, match="async def"):
        door("redis://h", middleware=bad)


async def test_a_scheduler_has_it_too(redis_url: str, redis_client: Redis) -> None:
    """What it refuses is missing at one time of one entry, and told; the others go on."""
    failed: list[str] = []
    seen: list[str] = []

    def on_error(entry: object, error: Exception) -> None:
        failed.append(type(error).__name__)

    scheduler = Scheduler(redis_url, middleware=[_picky, _Noting("a", seen)], on_error=on_error)
    scheduler.register("@every 1s", Task("t", "bad"))
    scheduler.register("@every 1s", Task("t", "good"))
    async with scheduler.running():
        await wait_until(lambda: failed and "a pending" in seen, "a time of both")
    assert set(failed) == {"PermissionError"}
    assert take_census(redis_client).counts["pending"] == seen.count("a pending")


async def test_a_client_that_closes_lets_what_was_begun_arrive(redis_url: str, redis_client: Redis) -> None:
    """As without middleware, also when nobody asks for the outcomes any more."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(task: Task, options: TaskOptions, call_next: EnqueueCall) -> TaskInfo:
        if task.payload:
            begun.set()
            await go_on.wait()
        return await call_next(task, options)

    client = Client(redis_url, middleware=[slow])
    outcomes = client.enqueue_many([Task("t", number) for number in range(3)], chunk=1)
    assert (await anext(outcomes)).is_enqueued
    await begun.wait()
    await outcomes.aclose()  # type: ignore[attr-defined]
    closing = asyncio.ensure_future(client.aclose())
    await asyncio.sleep(0)
    go_on.set()
    await closing
    assert take_census(redis_client).counts == {"pending": 2}
    with pytest.raises(ClosedError):
        await client.enqueue(Task("t"))


def test_blocking_code_has_it_too(redis_url: str, redis_client: Redis) -> None:
    """The same coroutines, in the thread of the client."""
    seen: list[str] = []
    with sync.Client(redis_url, middleware=[_picky]) as client:
        client.use(_Noting("a", seen))
        info = client.enqueue(Task("t", 1))
        assert dict(info.headers) == {"a": "was here"}
        outcomes = list(client.enqueue_many([Task("t", 1), Task("t", "bad")]))
        with pytest.raises(PermissionError):
            client.enqueue(Task("t", "bad"))
    assert [outcome.is_enqueued for outcome in outcomes] == [True, False]
    assert take_census(redis_client).counts == {"pending": 2}

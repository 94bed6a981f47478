"""Pages of tasks: in each state, by cursor and by number, with filters, and with what cannot be read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncq import Client, Inspector, Mux, Server, SkipRetry, Task, TaskInfo
from asyncq.errors import ConfigError, GroupNotFoundError, QueueNotFoundError
from asyncq.retry import Fixed
from tests.conftest import AnyRedis
from tests.support.listing import listed
from tests.support.waiting import wait_until


@asynccontextmanager
async def both(redis: AnyRedis) -> AsyncIterator[tuple[Client, Inspector]]:
    """A client and an inspector."""
    async with Client(redis.url) as client, Inspector(redis.url) as inspector:
        yield client, inspector


def numbers(tasks: list[TaskInfo]) -> list[int]:
    """What was enqueued."""
    return [task.payload for task in tasks]


async def every_page(inspector: Inspector, state: Any, **how: Any) -> list[TaskInfo]:
    """All tasks, page by page; each page but the last is full."""
    found: list[TaskInfo] = []
    cursor = None
    while True:
        page = await inspector.tasks.list("q", state, cursor=cursor, **how)
        found += page.tasks
        if page.cursor is None:
            return found
        assert page.cursor != cursor
        cursor = page.cursor


async def test_pending_tasks_come_in_the_order_in_which_they_are_taken(any_redis: AnyRedis) -> None:
    """And with all that is known of each, as `get` shows it."""
    async with both(any_redis) as (client, inspector):
        for number in range(10):
            await client.enqueue(Task("x", number), queue="q")
        page = await inspector.tasks.list("q", "pending", size=4)
        assert (numbers(page.tasks), page.total, page.scanned) == ([0, 1, 2, 3], 10, 4)
        assert (page.queue, page.state, len(page), list(page)) == ("q", "pending", 4, page.tasks)
        one = await inspector.tasks.get("q", page.tasks[0].id)
        assert (one.id, one.payload, one.version) == (page.tasks[0].id, 0, page.tasks[0].version)
        assert numbers(await every_page(inspector, "pending", size=3)) == [*range(10)]
        assert numbers(await every_page(inspector, "pending", size=3, newest_first=True)) == [
            *range(9, -1, -1)
        ]
        by_number = [
            await inspector.tasks.list("q", "pending", size=4, page=number) for number in (1, 2, 3, 4)
        ]
        assert [numbers(page.tasks) for page in by_number] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], []]


async def test_each_state_has_its_pages(any_redis: AnyRedis) -> None:
    """From what a server left behind; what a page says of a task is what `get` says of it."""
    mux = Mux()

    @mux.handle("ok")
    async def ok(task: Task) -> int:
        return int(task.payload)

    @mux.handle("retry")
    async def fails(task: Task) -> None:
        raise OSError(f"no {task.payload}")

    @mux.handle("archive")
    async def never(task: Task) -> None:
        raise SkipRetry(f"never {task.payload}")

    async with both(any_redis) as (client, inspector):
        for number in range(5):
            for kind in ("ok", "retry", "archive"):
                await client.enqueue(Task(kind, number), queue="q", retention=600)
            await client.enqueue(Task("later", number), queue="q", process_in=600 + number)
            await client.enqueue(Task("grouped", number), queue="q", group="g")
        server = Server(any_redis.url, queues=["q"], retry=Fixed(600.0), concurrency=1)
        async with server.running(mux):

            async def is_done() -> bool:
                pages = [
                    await inspector.tasks.list("q", state) for state in ("completed", "retry", "archived")
                ]
                return all(page.total == 5 for page in pages)

            await wait_until(is_done, "all to be over")
        for state in ("completed", "retry", "archived", "scheduled", "aggregating"):
            group = {"group": "g"} if state == "aggregating" else {}
            found = await every_page(inspector, state, size=2, **group)
            assert sorted(numbers(found)) == [*range(5)]
            assert {task.state for task in found} == {state}
            backwards = await every_page(inspector, state, size=2, newest_first=True, **group)
            assert [task.id for task in backwards] == [task.id for task in found][::-1]
            assert [task.id async for task in inspector.tasks.iterate("q", state, **group)] == [  # type: ignore[arg-type]
                task.id for task in found
            ]
            for task in found:
                assert task == await inspector.tasks.get("q", task.id)
        errors = [task async for task in inspector.tasks.iterate("q", "archived", error="NEVER 3")]
        assert numbers(errors) == [3]


async def test_running_tasks_have_pages(any_redis: AnyRedis) -> None:
    """Who holds them is another question; whether somebody does is said."""
    async with both(any_redis) as (client, inspector):
        info = await client.enqueue(Task("x"), queue="q")
        pipe = any_redis.client
        pipe.delete("asyncq:{q}:pending")
        pipe.hset(f"asyncq:{{q}}:t:{info.id}", mapping={"state": "active", "delivery": "s:1"})
        pipe.zadd("asyncq:{q}:lease", {info.id: 5.0})
        page = await inspector.tasks.list("q", "active")
        assert [task.id for task in page] == [info.id]
        assert page.tasks[0].is_orphaned
        assert page.tasks[0].next_process_at is None


async def test_filters(any_redis: AnyRedis) -> None:
    """Each alone and all together; a budget, and a cursor to go on."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    async with both(any_redis) as (client, inspector):
        for number in range(30):
            kind = "email:welcome" if number % 2 else "sms"
            when = at + timedelta(seconds=number)
            await client.enqueue(Task(kind, number), queue="q", process_at=when)
            await client.enqueue(Task(kind, number), queue="q")
        for state in ("scheduled", "pending"):
            odd = await every_page(inspector, state, type="email:*", size=4)
            assert numbers(odd) == [*range(1, 30, 2)]
            assert numbers(await every_page(inspector, state, type="sms")) == [*range(0, 30, 2)]
            assert await every_page(inspector, state, type="email") == []
            few = await every_page(inspector, state, where=lambda task: task.payload % 10 == 7, scan=4)
            assert numbers(few) == [7, 17, 27]
            back = await every_page(
                inspector, state, where=lambda task: task.payload % 10 == 7, size=1, newest_first=True
            )
            assert numbers(back) == [27, 17, 7]
        since, until = at + timedelta(seconds=10), at + timedelta(seconds=14)
        within = await every_page(inspector, "scheduled", since=since, until=until, size=2)
        assert numbers(within) == [10, 11, 12, 13, 14]
        both_of = await every_page(inspector, "scheduled", since=since, until=until, type="sms")
        assert numbers(both_of) == [10, 12, 14]
        second = await inspector.tasks.list("q", "scheduled", since=since, size=3, page=2)
        assert numbers(second.tasks) == [13, 14, 15]
        assert len(await every_page(inspector, "pending", since=datetime.now(UTC) - timedelta(hours=1))) == 30
        assert await every_page(inspector, "pending", until=datetime.now(UTC) - timedelta(hours=1)) == []
        page = await inspector.tasks.list("q", "pending", type="nothing", scan=10)
        assert (page.tasks, page.scanned, page.total) == ([], 10, 30)
        assert page.cursor is not None


async def test_what_cannot_be_read_is_shown_as_such(any_redis: AnyRedis) -> None:
    """It breaks no page, and can be deleted."""
    async with both(any_redis) as (client, inspector):
        first, second, third = [await client.enqueue(Task("x"), queue="q", process_in=60) for _ in range(3)]
        any_redis.client.hset(f"asyncq:{{q}}:t:{second.id}", "msg", b"\xc1what")
        any_redis.client.delete(f"asyncq:{{q}}:t:{third.id}")
        page = await inspector.tasks.list("q", "scheduled")
        found = {task.id: task for task in page}
        assert found[first.id].unreadable == ""
        assert "msgpack" in found[second.id].unreadable
        assert "no task" in found[third.id].unreadable
        assert found[second.id].raw == b"\xc1what"
        await inspector.tasks.delete("q", second.id)
        assert (await inspector.tasks.list("q", "scheduled", type="x")).tasks == [found[first.id]]


async def test_large_tasks_are_read_few_at_a_time(any_redis: AnyRedis) -> None:
    """The page is full all the same."""
    async with both(any_redis) as (client, inspector):
        for number in range(12):
            await client.enqueue(Task("x", bytes([number]) * 900_000), queue="q")
        page = await inspector.tasks.list("q", "pending", size=11)
        assert [task.raw[0] for task in page] == [*range(11)]
        assert [task.raw[0] async for task in inspector.tasks.iterate("q", "pending")] == [*range(12)]


async def test_what_is_not_there_is_named(any_redis: AnyRedis) -> None:
    """With what was probably meant; an empty state is an empty page."""
    async with both(any_redis) as (client, inspector):
        await client.enqueue(Task("x"), queue="mails", group="users")
        await listed(client)
        assert (await inspector.tasks.list("mails", "retry")).tasks == []
        with pytest.raises(QueueNotFoundError, match="'mails'"):
            await inspector.tasks.list("mail", "retry")
        with pytest.raises(GroupNotFoundError, match="'users'"):
            await inspector.tasks.list("mails", "aggregating", group="user")
        with pytest.raises(GroupNotFoundError):
            await inspector.tasks.delete_all("mails", "aggregating", group="user")
        with pytest.raises(QueueNotFoundError):
            await inspector.tasks.delete_all("mail", "retry")


_NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("state", "arguments", "told"),
    [
        ("pendign", {}, "did you mean 'pending'"),
        (7, {}, "state=7"),
        ("pending", {"group": "g"}, "group"),
        ("aggregating", {}, "the name of a group"),
        ("retry", {"size": 0}, "1 or more"),
        ("retry", {"size": 1001}, "iterate"),
        ("retry", {"page": 0}, "1 or more"),
        ("retry", {"page": 2, "type": "x"}, "cursor"),
        ("retry", {"page": 2, "cursor": "x"}, "not both"),
        ("retry", {"cursor": "x"}, "cursor"),
        ("retry", {"cursor": 5}, "cursor"),
        ("retry", {"scan": "many"}, "scan"),
        ("retry", {"type": " "}, "type"),
        ("retry", {"typ": "x"}, "did you mean 'type'"),
        ("retry", {"since": datetime(2026, 1, 1)}, "naive"),  # noqa: DTZ001 - that is the mistake
        ("retry", {"since": _NOW, "until": _NOW - timedelta(1)}, "until"),
        ("retry", {"where": 5}, "function"),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    state: Any, arguments: dict[str, Any], told: str
) -> None:
    """There is no Redis here at all."""
    async with Inspector("redis://127.0.0.1:1") as inspector:
        with pytest.raises(ConfigError, match=told):
            await inspector.tasks.list("q", state, **arguments)


async def test_a_cursor_is_of_one_list(any_redis: AnyRedis) -> None:
    """Of one state, group and direction."""
    async with both(any_redis) as (client, inspector):
        for _ in range(3):
            await client.enqueue(Task("x"), queue="q")
        cursor = (await inspector.tasks.list("q", "pending", size=1)).cursor
        with pytest.raises(ConfigError, match="cursor"):
            await inspector.tasks.list("q", "retry", cursor=cursor)
        with pytest.raises(ConfigError, match="cursor"):
            await inspector.tasks.list("q", "pending", cursor=cursor, newest_first=True)

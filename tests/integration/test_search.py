"""One search over queues and states."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asyncq import Client, Inspector, Mux, Server, SkipRetry, Task
from asyncq._broker.browse import PAGE_BYTES
from asyncq.errors import ConfigError
from asyncq.inspector import SearchPage, TaskQuery
from asyncq.inspector.listing import MOST_BYTES
from tests.conftest import AnyRedis
from tests.support.listing import listed
from tests.support.waiting import wait_until


async def _fill(client: Client, inspector: Inspector) -> None:
    """Tasks in three queues: pending, scheduled, archived, aggregating."""
    for number in range(6):
        await client.enqueue(Task("email:send", {"user": {"id": number}}), queue="mail")
        await client.enqueue(Task("bill:send", {"user": {"id": number}}), queue="bill", process_in=600)
        await client.enqueue(Task("note", number), queue="notes", group=f"g{number % 2}")
    for info in (await inspector.tasks.list("mail", "pending", size=2)).tasks:
        await inspector.tasks.archive("mail", info.id)


@asynccontextmanager
async def _filled(redis: AnyRedis) -> AsyncIterator[tuple[Client, Inspector]]:
    async with Client(redis.url) as client, Inspector(redis.url) as inspector:
        await _fill(client, inspector)
        await listed(client)
        yield client, inspector


async def _all(inspector: Inspector, query: str, **how: Any) -> list[SearchPage]:
    pages = [await inspector.search.find(query, **how)]
    while pages[-1].cursor is not None:
        pages.append(await inspector.search.find(query, cursor=pages[-1].cursor, **how))
        assert len(pages) < 100
    return pages


def _told(pages: list[SearchPage]) -> list[tuple[str, str, Any]]:
    return [(info.queue, info.state.value, info.payload) for page in pages for info in page]


async def test_everything_comes_by_state_and_queue(any_redis: AnyRedis) -> None:
    """Page by page, each task once."""
    async with _filled(any_redis) as (_, inspector):
        pages = await _all(inspector, "", size=4)
        assert [len(page) for page in pages[:-1]] == [4] * (len(pages) - 1)
        assert {page.total for page in pages} == {18}
        user = [{"user": {"id": number}} for number in range(6)]
        assert _told(pages) == [
            *(("mail", "pending", one) for one in user[2:]),
            ("mail", "archived", user[1]),
            ("mail", "archived", user[0]),
            *(("bill", "scheduled", one) for one in user),
            *(("notes", "aggregating", number) for number in (0, 2, 4, 1, 3, 5)),
        ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("queue:bill payload.user.id:3", [("bill", "scheduled", {"user": {"id": 3}})]),
        ("type:email:* state:archived", [("mail", "archived", {"user": {"id": n}}) for n in (1, 0)]),
        ("group:g1", [("notes", "aggregating", number) for number in (1, 3, 5)]),
        ("group:g1 payload:3", [("notes", "aggregating", 3)]),
        ("queue:no-such-queue", []),
        ("queue:b*,notes state:scheduled payload:5", [("bill", "scheduled", {"user": {"id": 5}})]),
        ("until:2001-01-01 state:pending", []),
        ("state:completed", []),
    ],
)
@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_what_is_said_must_fit(any_redis: AnyRedis, query: str, found: list[Any]) -> None:
    """Whatever the size of a page."""
    async with _filled(any_redis) as (_, inspector):
        for size in (1, 50):
            assert _told(await _all(inspector, query, size=size)) == found


async def test_an_id_is_found_wherever_it_is(any_redis: AnyRedis) -> None:
    """Without looking at any other task; the same id may be in several queues."""
    async with _filled(any_redis) as (client, inspector):
        for queue in ("bill", "mail"):
            await client.enqueue(Task("x", queue), queue=queue, task_id="here")
        await listed(client)
        found = await inspector.search.by_id("here")
        assert ([info.queue for info in found], found.is_whole) == (["bill", "mail"], True)
        assert await inspector.search.by_id("nowhere") == []
        for query, queues in (
            ("id:here", ["bill", "mail"]),
            ("id:here queue:mail", ["mail"]),
            ("id:here state:archived", []),
            ("id:here type:y", []),
        ):
            page = await inspector.search.find(query)
            assert ([info.queue for info in page], page.cursor) == (queues, None)
        # A word that is an id comes first, and once.
        page = await inspector.search.find("here", size=1000)
        assert [info.queue for info in page] == ["bill", "mail"]


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_a_page_looks_at_so_many_and_goes_on(any_redis: AnyRedis) -> None:
    """Also when nothing was found: nobody waits for a million tasks."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        [_ async for _ in client.enqueue_many([Task("x", number) for number in range(1000)])]
        pages = await _all(inspector, "payload:777", scan=300)
        assert [page.scanned for page in pages] == [300, 300, 300, 100]
        assert [len(page) for page in pages] == [0, 0, 1, 0]
        hurried = await inspector.search.find("payload:nothing", scan=1000, within=0.0)
        assert 0 < hurried.scanned < 1000
        assert hurried.cursor is not None


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_a_page_costs_the_same_however_many_tasks_there_are(any_redis: AnyRedis) -> None:
    """In commands of Redis."""

    def commands() -> int:
        stats: Any = any_redis.client.info("commandstats")
        return sum(stats[name]["calls"] for name in stats if not name.endswith(("|setinfo", "_info")))

    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        costs: list[int] = []
        for _ in range(3):
            [_ async for _ in client.enqueue_many([Task("x", number) for number in range(2000)])]
            await inspector.search.find("payload:nothing", scan=400)
            before = commands()
            await inspector.search.find("payload:nothing", scan=400)
            costs.append(commands() - before)
        # Scripts count what they call, tasks that are read among it.
        assert max(costs) - min(costs) <= 2


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_a_page_of_large_tasks_ends_early(any_redis: AnyRedis) -> None:
    """What is read for one page fits into memory, whatever is in the tasks; none of them is passed over."""
    count, size = 48, 900_000
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        for number in range(count):
            await client.enqueue(Task("large", bytes(size)), task_id=f"{number:02}")
        pages = await _all(inspector, "type:small", scan=1000)
        assert [page.scanned * size <= MOST_BYTES + PAGE_BYTES + 2 * size for page in pages] == [True, True]
        assert sum(page.scanned for page in pages) == count
        page = await inspector.tasks.list("default", "pending", size=count)
        assert MOST_BYTES <= page.bytes <= MOST_BYTES + PAGE_BYTES + 2 * size
        rest = await inspector.tasks.list("default", "pending", size=count, cursor=page.cursor)
        assert [info.id for info in (*page, *rest)] == [f"{number:02}" for number in range(count)]
        assert rest.cursor is None
        # One that has a number is whole: the next one begins where it ends.
        assert len(await inspector.tasks.list("default", "pending", size=count, page=1)) == count
        await inspector.tasks.archive_all("default", "pending")
        report = await inspector.failures.list(scan=1000)
        assert not report.is_complete
        assert report.scanned * size <= MOST_BYTES + PAGE_BYTES + 2 * size
        assert (await inspector.failures.list(scan=20_000)).is_complete


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_places_are_what_bulk_work_goes_over(any_redis: AnyRedis) -> None:
    """With the filters for each."""
    async with _filled(any_redis) as (_, inspector):
        places = await inspector.search.places("type:*:send payload.user.id:3")
        assert [(place.queue, place.state.value, place.size) for place in places] == [
            ("mail", "pending", 4), ("mail", "archived", 2), ("bill", "scheduled", 6),
            ("notes", "aggregating", 3), ("notes", "aggregating", 3),
        ]  # fmt: skip
        assert [place.group for place in places[-2:]] == ["g0", "g1"]
        done = [
            (await inspector.tasks.delete_all(place.queue, place.state, **place.filters)).done
            for place in places
        ]
        assert done == [1, 0, 1, 0, 0]
        assert _told(await _all(inspector, "payload.user.id:3")) == []


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_what_went_meanwhile_stops_no_search(any_redis: AnyRedis) -> None:
    """A queue between two pages, and the group that the cursor stands in."""
    async with _filled(any_redis) as (_, inspector):
        page = await inspector.search.find("", size=2)
        await inspector.queues.remove("mail", force=True)
        rest = await inspector.search.find("", size=50, cursor=page.cursor)
        assert [info.queue for info in rest] == ["bill"] * 6 + ["notes"] * 6
        page = await inspector.search.find("queue:notes", size=1)
        await inspector.tasks.delete_all("notes", "aggregating", group="g0")
        rest = await inspector.search.find("queue:notes", cursor=page.cursor)
        assert [info.payload for info in rest] == [1, 3, 5]


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({"size": 0}, "size"),
        ({"size": 1001}, "size"),
        ({"scan": 0}, "scan"),
        ({"within": -1}, "within"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "lJkAoKA"}, "cursor"),
        ({"query": "state:gone"}, "state"),
        ({"query": 5}, "query"),
    ],
)
async def test_what_is_wrong_is_refused(redis_url: str, how: dict[str, Any], name: str) -> None:
    """With the name of the argument."""
    async with Inspector(redis_url) as inspector:
        with pytest.raises(ConfigError) as caught:
            await inspector.search.find(**how)
        assert caught.value.option == name
        with pytest.raises(ConfigError):
            await inspector.search.by_id("")


async def test_failures_are_told_by_cause(any_redis: AnyRedis) -> None:
    """Of all queues and both states; each is picked by its filter."""
    mux = Mux()

    @mux.handle("email")
    async def email(task: Task) -> None:
        number = task.payload
        if number % 3 == 0:
            raise SkipRetry(f"no address in row {number}")
        raise ConnectionError(f"10.0.0.{number}: refused")

    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        async with Server(any_redis.url, queues=["a", "b"], retry=lambda *_: 600.0).running(mux):
            for number in range(9):
                await client.enqueue(Task("email", number), queue="ab"[number % 2])

            async def all_failed() -> bool:
                queues = await inspector.queues.list()
                return sum(info.retry + info.archived for info in queues) == 9

            await wait_until(all_failed, "all to have failed")
        report = await inspector.failures.list()
        assert (report.scanned, report.total, report.is_complete, report.others) == (9, 9, True, 0)
        assert [(one.count, one.type, one.error, one.message, one.places) for one in report.causes] == [
            (6, "email", "ConnectionError", "#: refused", {("a", "retry"): 3, ("b", "retry"): 3}),
            (3, "email", "SkipRetry", "no address in row #", {("a", "archived"): 2, ("b", "archived"): 1}),
        ]
        refused, bad = report.causes
        assert refused.first_at is not None
        assert refused.last_at is not None
        assert refused.first_at <= refused.last_at
        assert refused.sample.last_failed_at == refused.last_at
        assert TaskQuery.parse(str(refused.query)) == refused.query
        assert len(await inspector.search.find(refused.query)) == 6
        bulk = await inspector.tasks.run_all("a", "archived", dry_run=True, **bad.filters)
        assert bulk.matched == 2
        assert (await inspector.tasks.run_all("a", "retry", **bad.filters)).done == 0
        only = await inspector.failures.list("b", states=["archived"], type="em*")
        assert [(one.id, one.count) for one in only.causes] == [(bad.id, 1)]


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_failures_are_looked_at_up_to_a_number(any_redis: AnyRedis) -> None:
    """A small queue to its end, beside a large one; and it says that there is more."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        for queue, count in (("large", 400), ("small", 10)):
            [_ async for _ in client.enqueue_many([Task(f"in-{queue}") for _ in range(count)], queue=queue)]
            await inspector.tasks.archive_all(queue, "pending")
        report = await inspector.failures.list(scan=100)
        assert {cause.type: cause.count for cause in report.causes} == {"in-small": 10, "in-large": 90}
        assert (report.scanned, report.total, report.is_complete) == (100, 410, False)
        assert all(cause.message == "" for cause in report.causes)
        for wrong in ({"states": ["pending"]}, {"scan": 0}, {"colour": "red"}):
            with pytest.raises(ConfigError):
                await inspector.failures.list(**wrong)  # type: ignore[arg-type]


async def test_payloads_of_go_are_searched(redis_url: str) -> None:
    """JSON, as Go writes it."""
    async with (
        Client(redis_url, wire="asynq") as client,
        Inspector(redis_url, wire="asynq") as inspector,
    ):
        await client.enqueue(Task("email", json.dumps({"to": ["ann", "bob"]}).encode()))
        page = await inspector.search.find("payload.to:bob")
        assert len(page) == 1

"""Running, archiving and deleting: one task, some, and all of a kind, beside servers at work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from asyncq import Client, Context, Inspector, Mux, Server, SkipRetry, Task
from asyncq.errors import (
    ConfigError,
    QueueNotFoundError,
    ResultNotKeptError,
    TaskNotFoundError,
    TaskStateError,
)
from asyncq.inspector import BulkReport
from tests.conftest import AnyRedis
from tests.integration.test_inspector_pages import both, numbers
from tests.support.census import take_census
from tests.support.listing import listed
from tests.support.waiting import wait_until


async def put(client: Client, tasks: Iterable[Task]) -> None:
    """Enqueue all of them."""
    async for outcome in client.enqueue_many(tasks):
        assert outcome.info is not None


async def assert_sound(inspector: Inspector) -> None:
    """Nothing for the doctor."""
    report = await inspector.audit()
    assert report.is_clean, str(report)


async def test_a_task_is_run_archived_and_deleted(any_redis: AnyRedis) -> None:
    """Each from where it is."""
    async with both(any_redis) as (client, inspector):
        info = await client.enqueue(Task("x"), queue="q", process_in=60, unique=600)
        await listed(client)
        await inspector.tasks.run("q", info.id)
        assert (await inspector.tasks.get("q", info.id)).state == "pending"
        await inspector.tasks.archive("q", info.id)
        assert (await inspector.tasks.get("q", info.id)).state == "archived"
        await inspector.tasks.delete("q", info.id)
        with pytest.raises(TaskNotFoundError):
            await inspector.tasks.get("q", info.id)
        assert await client.enqueue(Task("x"), queue="q", unique=600)  # the lock went with it
        await assert_sound(inspector)


async def test_an_action_that_is_not_allowed_says_what_would_be(any_redis: AnyRedis) -> None:
    """And changes nothing."""
    async with both(any_redis) as (client, inspector):
        info = await client.enqueue(Task("x"), queue="q")
        with pytest.raises(TaskStateError, match="is pending, and would have to be scheduled or retry") as no:
            await inspector.tasks.run("q", info.id)
        assert (no.value.state, no.value.allowed[:2]) == ("pending", ("scheduled", "retry"))
        await inspector.tasks.archive("q", info.id)
        with pytest.raises(TaskStateError, match="archived"):
            await inspector.tasks.archive("q", info.id)
        for act in (inspector.tasks.run, inspector.tasks.archive, inspector.tasks.delete):
            with pytest.raises(TaskNotFoundError):
                await act("q", "nobody")
            with pytest.raises(QueueNotFoundError):
                await act("nowhere", info.id)


async def test_some_tasks_are_told_one_by_one(any_redis: AnyRedis) -> None:
    """What a list with check boxes needs."""
    async with both(any_redis) as (client, inspector):
        ids = [(await client.enqueue(Task("x"), queue="q")).id for _ in range(3)]
        later = (await client.enqueue(Task("x"), queue="q", process_in=60)).id
        words = await inspector.tasks.apply("archive", "q", [*ids[:2], later, "nobody", ids[0]])
        assert words == {ids[0]: "done", ids[1]: "done", later: "done", "nobody": "missing"}
        assert await inspector.tasks.apply("run", "q", ids) == {
            ids[0]: "done", ids[1]: "done", ids[2]: "pending",
        }  # fmt: skip
        assert await inspector.tasks.apply("delete", "q", []) == {}
        with pytest.raises(QueueNotFoundError):
            await inspector.tasks.apply("delete", "nowhere", ids)
        for wrong in ("abc", [5], [""]):
            with pytest.raises(ConfigError, match="task_ids"):
                await inspector.tasks.apply("delete", "q", wrong)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="action"):
            await inspector.tasks.apply("kill", "q", ids)  # type: ignore[arg-type]
        await assert_sound(inspector)


async def test_an_archived_task_that_runs_again_is_tried_once_or_afresh(any_redis: AnyRedis) -> None:
    """As asynq, which keeps the count; or with all retries again. A server that idles begins at once."""
    mux, seen = Mux(), list[int]()

    @mux.handle("x")
    async def fail(task: Task, ctx: Context) -> None:
        seen.append(ctx.retried)
        raise SkipRetry if ctx.retried else OSError

    async with both(any_redis) as (client, inspector):
        info = await client.enqueue(Task("x"), queue="q", max_retry=3)
        async with Server(any_redis.url, queues=["q"], retry=lambda *_: 0.0).running(mux):
            for fresh, total in ((False, 2), (False, 3), (True, 5)):

                async def archived(total: int = total) -> bool:
                    task = await inspector.tasks.get("q", info.id)
                    return len(seen) == total and task.state == "archived"

                if total > 2:
                    await inspector.tasks.run("q", info.id, fresh=fresh)
                await wait_until(archived, "it to be archived again")
        assert seen == [0, 1, 1, 0, 1]
        await assert_sound(inspector)


async def test_who_waits_for_a_task_hears_that_it_was_deleted(any_redis: AnyRedis) -> None:
    """Instead of waiting for ever."""
    async with both(any_redis) as (client, inspector):
        info = await client.enqueue(Task("x"), queue="q")
        waiting = asyncio.ensure_future(client.result(info, timeout=20))
        await wait_until(lambda: any_redis.client.exists("asyncq:{q}:awaited"), "somebody to wait")
        await inspector.tasks.delete("q", info.id)
        with pytest.raises(ResultNotKeptError):
            await waiting


_STATES: list[tuple[str, dict[str, Any]]] = [
    ("pending", {}),
    ("scheduled", {"process_in": 600}),
    ("aggregating", {"group": "g"}),
]


@pytest.mark.parametrize(("state", "options"), _STATES, ids=[state for state, _ in _STATES])
async def test_all_tasks_of_a_state(any_redis: AnyRedis, state: Any, options: dict[str, Any]) -> None:
    """With filters, a limit, a dry run, and progress that adds up."""
    told: list[BulkReport] = []
    group: Any = {"group": "g"} if state == "aggregating" else {}
    async with both(any_redis) as (client, inspector):
        tasks = inspector.tasks
        await put(client, (Task("odd" if n % 2 else "even", n, queue="q", **options) for n in range(1000)))
        count = await tasks.delete_all("q", state, dry_run=True, **group)
        assert (count.matched, count.done, count.dry_run, count.is_complete) == (1000, 0, True, True)
        count = await tasks.archive_all("q", state, dry_run=True, type="odd", limit=20, **group)
        assert (count.matched, count.done, count.is_complete) == (20, 0, False)
        few = await tasks.archive_all("q", state, limit=10, **group)
        assert (few.matched, few.done, few.is_complete) == (10, 10, False)
        away = numbers((await tasks.list("q", "archived")).tasks)
        assert len(away) == 10
        assert away == [*range(10)] or state != "pending"  # the others came in the same instant
        odd = sum(number % 2 for number in range(1000) if number not in away)
        half = await tasks.delete_all("q", state, type="odd", on_progress=told.append, **group)
        assert (half.total, half.scanned, half.matched, half.done) == (990, 990, odd, odd)
        assert half.is_complete
        assert [report.scanned for report in told] == sorted(report.scanned for report in told)
        assert told[-1] == half
        assert len(told) >= 5
        left = [task.payload async for task in tasks.iterate("q", state, **group)]
        assert sorted(left) == [number for number in range(0, 1000, 2) if number not in away]
        assert left == sorted(left) or state != "pending"
        rest = await tasks.delete_all("q", state, **group)
        assert (rest.done, rest.skipped, dict(rest.reasons)) == (len(left), 0, {})
        if group:
            assert not any_redis.client.exists("asyncq:{q}:groups")
        again = await tasks.run_all("q", "archived")
        assert (again.done, again.action, again.queue, again.state) == (10, "run", "q", "archived")
        assert numbers((await tasks.list("q", "pending")).tasks) == away
        nothing = await tasks.delete_all("q", "scheduled")
        assert (nothing.total, nothing.is_complete) == (0, True)
        await assert_sound(inspector)
    take_census(any_redis.client, "q")


async def test_a_rate_is_kept(any_redis: AnyRedis) -> None:
    """So that what runs again does not flatten what it talks to."""
    loop = asyncio.get_running_loop()
    async with both(any_redis) as (client, inspector):
        await put(client, (Task("x", queue="q", process_in=600) for _ in range(60)))
        began, moments = loop.time(), list[tuple[int, float]]()
        report = await inspector.tasks.run_all(
            "q", "scheduled", rate=100, on_progress=lambda it: moments.append((it.done, loop.time() - began))
        )
        assert report.done == 60
        for done, after in moments:
            assert done <= 100 * after + 11  # a chunk is let through at once


async def test_bulk_work_may_be_cancelled(any_redis: AnyRedis) -> None:
    """What was done is done, and nothing by half."""
    async with both(any_redis) as (client, inspector):
        await put(client, (Task("x", n, queue="q", unique=600) for n in range(2000)))
        work: list[asyncio.Task[BulkReport]] = []

        def stop(report: BulkReport) -> None:
            if report.done >= 500:
                work[0].cancel()

        work.append(asyncio.ensure_future(inspector.tasks.delete_all("q", "pending", on_progress=stop)))
        with pytest.raises(asyncio.CancelledError):
            await work[0]
        left = (await inspector.tasks.list("q", "pending")).total
        assert 0 < left <= 1500
        await assert_sound(inspector)


async def test_what_comes_in_meanwhile_is_left_alone(any_redis: AnyRedis) -> None:
    """Or it would have no end: each chunk of work makes as much new work here."""
    async with both(any_redis) as (client, inspector):
        for state, options in (("pending", {}), ("scheduled", {"process_in": 600})):
            await put(client, (Task("old", queue="q", **options) for _ in range(900)))  # type: ignore[arg-type]
            more = set[asyncio.Task[Any]]()

            def come_in(_: BulkReport, options: Any = options, more: Any = more) -> None:
                new = [Task("new", queue="q", **options) for _ in range(300)]
                more.add(asyncio.ensure_future(put(client, new)))

            report = await inspector.tasks.delete_all("q", state, on_progress=come_in)  # type: ignore[arg-type]
            await asyncio.gather(*more)
            assert (report.total, report.done, report.is_complete) == (900, 900, True)
            left = [task.type async for task in inspector.tasks.iterate("q", state)]  # type: ignore[arg-type]
            assert left == ["new"] * len(more) * 300
            await inspector.tasks.delete_all("q", state)  # type: ignore[arg-type]
        await assert_sound(inspector)


async def test_what_comes_in_before_the_last_hides_nothing(any_redis: AnyRedis) -> None:
    """Delayed tasks come in anywhere; what was there first is not left behind for them in silence."""
    async with both(any_redis) as (client, inspector):
        for chunks, is_enough in ((2, True), (100, False)):
            await put(client, (Task("old", queue="q", process_in=600 + n) for n in range(900)))
            more = list[asyncio.Task[Any]]()

            def come_in(_: BulkReport, chunks: int = chunks, more: Any = more) -> None:
                new = [Task("new", queue="q", process_in=1400) for _ in range(300)]
                more += [asyncio.ensure_future(put(client, new))] if len(more) < chunks else []

            report = await inspector.tasks.delete_all("q", "scheduled", type="old", on_progress=come_in)
            await asyncio.gather(*more)
            left = [task.type async for task in inspector.tasks.iterate("q", "scheduled")]
            assert report.is_complete == ("old" not in left)
            assert left.count("new") == len(more) * 300
            if is_enough:
                assert (report.total, report.done) == (900, 900)
            await inspector.tasks.delete_all("q", "scheduled")
        await assert_sound(inspector)


async def test_what_fails_again_meanwhile_is_left_alone(any_redis: AnyRedis) -> None:
    """Archived tasks that run again may be archived again before the work has ended."""
    mux, runs = Mux(), list[str]()

    @mux.handle("x")
    async def never(task: Task) -> None:
        runs.append(task.id)
        raise SkipRetry

    async with both(any_redis) as (client, inspector):
        await put(client, (Task("x", queue="q") for _ in range(1000)))
        async with Server(any_redis.url, queues=["q"], concurrency=50).running(mux):

            async def archived() -> bool:
                return (await inspector.tasks.list("q", "archived")).total == 1000

            await wait_until(archived, "all to be archived", 30.0)
            report = await inspector.tasks.run_all("q", "archived", rate=5000)
            assert (report.total, report.done) == (1000, 1000)
            await wait_until(lambda: len(runs) == 2000, "all to have run twice", 30.0)
            await wait_until(archived, "all to be archived again", 30.0)
        assert max(runs.count(task_id) for task_id in set(runs[:20])) == 2
        await assert_sound(inspector)


@pytest.mark.parametrize("kind", ["all", "some"])
async def test_tasks_are_deleted_while_servers_take_them(any_redis: AnyRedis, kind: str) -> None:
    """Each is run once or deleted, and none is both or neither."""
    mux, ran = Mux(), set[int]()

    @mux.handle("x")
    async def note(task: Task) -> None:
        assert task.payload not in ran
        ran.add(task.payload)

    which: dict[str, Callable[..., bool]] = (
        {"where": lambda task: task.payload % 3 == 0} if kind == "some" else {}
    )
    count = 3000
    async with both(any_redis) as (client, inspector):
        await put(client, (Task("x", n, queue="q") for n in range(count)))
        async with Server(any_redis.url, queues=["q"], concurrency=20).running(mux):
            await wait_until(lambda: ran, "work to begin")
            report = await inspector.tasks.delete_all("q", "pending", **which)  # type: ignore[arg-type]

            async def is_empty() -> bool:
                pages = [await inspector.tasks.list("q", state) for state in ("pending", "active")]
                return not any(page.total for page in pages)

            await wait_until(is_empty, "nothing to be left", 30.0)
        assert report.is_complete
        assert len(ran) + report.done == count
        if kind == "some":
            assert ran >= {n for n in range(count) if n % 3}
        assert report.done > 0
        assert set(report.reasons) <= {"active", "missing"}
        await assert_sound(inspector)
    census = take_census(any_redis.client, "q")
    assert census.gone == {"done": len(ran), "deleted": report.done}


@pytest.mark.parametrize(
    ("method", "state", "arguments", "told"),
    [
        ("run_all", "pending", {}, "scheduled, retry, archived, completed or aggregating"),
        ("archive_all", "archived", {}, "pending, scheduled, retry or aggregating"),
        ("delete_all", "active", {}, "state='active'"),
        ("delete_all", "retry", {"rate": 0}, "rate"),
        ("delete_all", "retry", {"rate": True}, "rate"),
        ("delete_all", "retry", {"limit": 0}, "limit"),
        ("delete_all", "retry", {"limit": 1.5}, "limit"),
        ("delete_all", "retry", {"dry_run": 1}, "dry_run"),
        ("delete_all", "retry", {"on_progress": 1}, "on_progress"),
        ("delete_all", "retry", {"tipe": "x"}, "did you mean 'type'"),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    method: str, state: str, arguments: dict[str, Any], told: str
) -> None:
    """There is no Redis here at all."""
    async with Inspector("redis://127.0.0.1:1") as inspector:
        with pytest.raises(ConfigError, match=told):
            await getattr(inspector.tasks, method)("q", state, **arguments)


async def test_it_is_a_client_that_shares_its_connection(any_redis: AnyRedis) -> None:
    """Two pieces of work at the same time do not take each other's receipts."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        await put(client, (Task("x", queue="q", process_in=600) for _ in range(1500)))
        await put(client, (Task("x", queue="q") for _ in range(1500)))
        reports = await asyncio.gather(
            inspector.tasks.delete_all("q", "scheduled"), inspector.tasks.delete_all("q", "pending")
        )
        assert [report.done for report in reports] == [1500, 1500]
        await assert_sound(inspector)

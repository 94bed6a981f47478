"""The trail: what is noted of a change, whatever becomes of it, and who may read that."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncq import Client, Inspector, Task
from asyncq.errors import (
    ConfigError,
    NotAllowedError,
    QueueNotFoundError,
    TaskChangedError,
    TaskIdConflictError,
)
from asyncq.inspector import Rights, TrailRecord, hide_fields
from asyncq.inspector.noting import REFUSALS
from tests.conftest import AnyRedis


async def _said(inspector: Inspector, **filters: Any) -> list[tuple[str, str, str, str, str, int | None]]:
    page = await inspector.trail.list(**filters)
    return [
        (one.actor, one.action, one.queue, one.target, one.outcome, one.count)
        for one in reversed(page.records)
    ]


async def test_a_change_is_noted_with_what_came_of_it(any_redis: AnyRedis) -> None:
    """Done, failed, refused: one record each, in order."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        info = await client.enqueue(Task("x"), queue="q", process_in=60)
        ann = inspector.acting_as("ann", via="web")
        await ann.tasks.run("q", info.id)
        with pytest.raises(QueueNotFoundError):
            await ann.queues.pause("nowhere")
        with pytest.raises(NotAllowedError):
            await ann.acting_as("eve", rights=Rights.viewer()).tasks.delete("q", info.id)
        assert await _said(inspector) == [
            ("ann", "task.run", "q", info.id, "done", None),
            ("ann", "queue.pause", "nowhere", "", "failed", None),
            ("eve", "task.delete", "q", info.id, "refused", None),
        ]
        page = await inspector.trail.list()
        assert [one.reason for one in page][:2] == [
            "'eve' lacks the right 'task.delete'",
            "there is no queue 'nowhere'",
        ]
        assert {one.via for one in page} == {"web"}
        assert abs(page.records[0].at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_program_that_names_nobody_leaves_no_trace(any_redis: AnyRedis) -> None:
    """It pays nothing for a trail that it does not want, and writes nothing that its Redis user may not."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        info = await client.enqueue(Task("x"), queue="q", process_in=60)
        await inspector.tasks.run("q", info.id)
        assert not await inspector.trail.list()
        assert not any_redis.client.exists("asyncq:trail")


async def test_work_on_many_is_noted_at_its_begin_and_its_end(any_redis: AnyRedis) -> None:
    """With what was meant, and how many it was. Both records are of one operation."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        ids = [(await client.enqueue(Task("x:1"), queue="q", process_in=60)).id for _ in range(3)]
        ann = inspector.acting_as("ann")
        await ann.tasks.run_all("q", "scheduled", type="x:*", limit=2)
        await ann.tasks.apply("delete", "q", [*ids, "nothing"])
        assert await ann.queues.remove("q", force=True) == 0
        records = [*reversed((await inspector.trail.list()).records)]
        assert [(one.action, one.outcome, one.count) for one in records] == [
            ("task.run", "begun", None),
            ("task.run", "done", 2),
            ("task.delete", "begun", None),
            ("task.delete", "done", 3),
            ("queue.remove", "begun", None),
            ("queue.remove", "done", 0),
        ]
        assert records[0].target == "scheduled type='x:*' limit=2"
        assert records[2].target.startswith("4 tasks: ")
        assert [records[at].operation == records[at + 1].operation for at in (0, 1, 2)] == [True, False, True]
        assert len(await inspector.trail.list(operation=records[0].operation)) == 2


async def test_enqueueing_many_is_one_change(any_redis: AnyRedis) -> None:
    """A file with a million lines must not push everything else out of the trail."""
    async with Inspector(any_redis.url, actor="ann") as inspector:
        seen: list[int] = []
        tasks = [Task("x", number, queue="ab"[number % 2]) for number in range(1200)]
        tasks[7] = Task("one", queue="a", task_id="same")
        tasks[8] = Task("two", queue="a", task_id="same")
        outcomes = await inspector.tasks.enqueue_many(tasks, on_progress=seen.append)
        assert [one.task for one in outcomes] == tasks
        assert [at for at, one in enumerate(outcomes) if not one.is_enqueued] == [8]
        assert isinstance(outcomes[8].error, TaskIdConflictError)
        assert seen == [499, 999, 1199]
        done, begun = await inspector.trail.list()
        assert (begun.target, done.count) == ("1,200 tasks: 1,198 x, 1 one, 1 two", 1199)
        with pytest.raises(ConfigError, match="task 1: payload"):
            await inspector.tasks.enqueue_many([Task("x"), Task("x", object())])
        limited = inspector.acting_as("bob", rights=Rights.all(queues=["a"]))
        with pytest.raises(NotAllowedError, match="'b'"):
            await limited.tasks.enqueue_many([Task("x", queue=name) for name in ("a", "b")])
        assert (await inspector.queues.get("a")).size + (await inspector.queues.get("b")).size == 1199


async def test_work_that_is_cancelled_says_how_far_it_came(any_redis: AnyRedis) -> None:
    """Whoever gave up needs to know what was done."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        async for _ in client.enqueue_many(Task("x") for _ in range(60)):
            pass
        far = asyncio.Event()
        ann = inspector.acting_as("ann")
        work = asyncio.ensure_future(
            ann.tasks.archive_all("default", "pending", rate=100, on_progress=lambda _: far.set())
        )
        await far.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        last = (await inspector.trail.list()).records[0]
        assert last.outcome == "interrupted"
        assert last.count == (await inspector.queues.get("default")).archived


async def test_an_edit_is_noted_with_before_and_after(any_redis: AnyRedis) -> None:
    """What did not change is not named. A change that came too late is noted as that."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        info = await client.enqueue(
            Task("x", {"n": 1}), queue="q", max_retry=3, headers={"a": "b"}, process_in=60
        )
        ann = inspector.acting_as("ann")
        await ann.tasks.edit("q", info.id, payload={"n": 2}, max_retry=5, headers={"a": "b"})
        (record,) = await inspector.trail.list()
        assert record.changes == {"payload": ('{"n": 1}', '{"n": 2}'), "max_retry": ("3", "5")}
        with pytest.raises(TaskChangedError):
            await ann.tasks.edit("q", info.id, version="of long ago", max_retry=9)
        failed = (await inspector.trail.list()).records[0]
        assert (failed.outcome, failed.changes) == ("failed", {})
        with pytest.raises(ConfigError):
            await ann.tasks.edit("q", info.id, max_retry=-1)
        assert len(await inspector.trail.list()) == 2  # a slip of the tongue is no attempt


async def test_what_came_of_a_change_is_noted_where_it_is_not_plain(any_redis: AnyRedis) -> None:
    """That a queue was paused already, what became of a cancelled task, and when one is due now."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url, actor="ann") as inspector:
        info = await client.enqueue(Task("x"), queue="q", process_in=60)
        await inspector.queues.pause("q")
        await inspector.queues.pause("q")
        moved = await inspector.tasks.reschedule("q", info.id, delay=7200)
        await inspector.tasks.cancel("q", info.id)
        cancelled, rescheduled, again, paused = await inspector.trail.list()
        assert (paused.reason, again.reason) == ("", "it was paused already")
        before, after = map(datetime.fromisoformat, rescheduled.changes["next_process_at"])
        assert moved.next_process_at is not None
        assert before < after
        assert abs(after - moved.next_process_at) < timedelta(minutes=1)
        assert (cancelled.outcome, cancelled.reason) == ("done", "cancelled")


async def test_entries_are_noted_with_what_was_changed_of_them(any_redis: AnyRedis) -> None:
    """Also which queue they are of, which nobody has said."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        await client.schedules.upsert("@hourly", Task("x"), entry_id="e", queue="q")
        ann = inspector.acting_as("ann")
        await ann.schedules.upsert("@daily", Task("x"), entry_id="e", queue="q")
        await ann.schedules.pause("e", "month's end")
        await ann.schedules.resume("e")
        info = await ann.schedules.run_now("e")
        await ann.schedules.remove("e")
        records = [*reversed((await inspector.trail.list()).records)]
        assert [(one.action, one.queue, one.target, one.outcome) for one in records] == [
            (f"entry.{name}", "q", "e", "done") for name in ("put", "pause", "resume", "run", "remove")
        ]
        assert records[0].changes == {"spec": ("@hourly", "@daily")}
        assert records[1].changes == {"reason": ("", "month's end")}
        assert records[3].changes == {"task": ("", info.id)}
        assert records[4].changes["spec"] == ("@daily", "")


async def test_the_trail_is_read_by_pages_and_filters(any_redis: AnyRedis) -> None:
    """Nothing twice and nothing left out, however small the pages are."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        for name in ("a", "b"):
            await client.enqueue(Task("x"), queue=name)
        ann, bob = inspector.acting_as("ann"), inspector.acting_as("bob", via="cli")
        for number in range(7):
            for who, queue in ((ann, "a"), (bob, "b")):
                await (who.queues.pause(queue) if number % 2 else who.queues.unpause(queue))
        every = (await inspector.trail.list()).records
        assert len(every) == 14
        for size, scan in ((1, 2000), (3, 4), (14, 14), (5, 1)):
            found: list[TrailRecord] = []
            cursor: str | None = None
            while True:
                page = await inspector.trail.list(size=size, scan=scan, cursor=cursor)
                assert len(page) <= size
                assert page.scanned <= scan
                found += page
                cursor = page.cursor
                if cursor is None:
                    break
            assert found == every
        assert len(await inspector.trail.list(actor="ann")) == 7
        assert len(await inspector.trail.list(via="cli", action="queue.pause")) == 3
        assert len(await inspector.trail.list(queue="b", outcome="done", size=2)) == 2
        middle = every[6].at
        early = await inspector.trail.list(until=middle)
        late = await inspector.trail.list(since=middle + timedelta(milliseconds=1))
        assert [*late, *early] == every
        assert (await inspector.trail.list()).total == 14


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ({"outcome": "ok"}, "outcome"),
        ({"action": "task.rum"}, "action"),
        ({"actor": ""}, "actor"),
        ({"since": datetime(2026, 1, 1)}, "since"),  # noqa: DTZ001 - that is what is wrong
        ({"size": 0}, "size"),
        ({"size": 5000}, "size"),
        ({"scan": 0}, "scan"),
        ({"cursor": "7"}, "cursor"),
        ({"cursor": "+"}, "cursor"),
    ],
)
async def test_what_is_asked_for_is_checked(arguments: dict[str, Any], option: str) -> None:
    """Before anything is sent."""
    async with Inspector("redis://localhost:1") as inspector:
        with pytest.raises(ConfigError) as caught:
            await inspector.trail.list(**arguments)
    assert caught.value.option == option


async def test_who_sees_some_queues_sees_the_records_of_these(any_redis: AnyRedis) -> None:
    """A record of none is not of these."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        for name in ("a", "b"):
            await client.enqueue(Task("x"), queue=name)
            await inspector.acting_as("ann").queues.pause(name)
        with pytest.raises(NotAllowedError):
            await inspector.acting_as("eve", rights=Rights.viewer()).schedules.remove("e")
        limited = inspector.acting_as("val", rights=Rights.viewer(queues=["a"]))
        assert [one.queue for one in await limited.trail.list()] == ["a"]
        with pytest.raises(NotAllowedError):
            await limited.trail.list(queue="b")


async def test_what_one_could_see_is_not_shown_to_one_who_cannot(any_redis: AnyRedis) -> None:
    """The texts of an edit are as whoever made it saw them. Another redactor cannot look into them."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        info = await client.enqueue(Task("x", {"card": "4111", "n": 1}), queue="q", process_in=60)
        await inspector.acting_as("ann").tasks.edit(
            "q", info.id, payload={"card": "4222-4222-4222", "n": 1}, max_retry=1
        )
        careful = inspector.acting_as("val", redact=hide_fields("card"))
        (record,) = await careful.trail.list()
        assert record.changes["payload"] == ("[hidden]", "[hidden]")
        assert record.changes["max_retry"] == ("25", "1")
        await careful.tasks.edit("q", info.id, payload={"card": "[hidden]", "n": 2})
        record = (await inspector.trail.list()).records[0]
        assert record.changes == {"payload": ('{"card": "[hidden]", "n": 1}', '{"card": "[hidden]", "n": 2}')}
        assert "4222-4222-4222" not in repr((await careful.trail.list()).records)
        other = inspector.acting_as("pat", redact=hide_fields("n"))
        assert (await other.trail.list()).records[0].changes["payload"] == ("[hidden]", "[hidden]")


async def test_a_trail_that_cannot_be_written_does_not_hold_up_the_change(
    redis_url: str, redis_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The change is done, and the log says both: what was done, and that the trail does not."""
    async with Client(redis_url) as client, Inspector(redis_url, actor="ann") as inspector:
        await client.enqueue(Task("x"), queue="q")
        redis_client.set("asyncq:trail", "by hand")
        with caplog.at_level(logging.INFO, "asyncq.audit"):
            assert await inspector.queues.pause("q")
        assert (await inspector.queues.get("q")).is_paused
    events = [record.__dict__ for record in caplog.records if record.name == "asyncq.audit"]
    assert [one["event"] for one in events] == ["change", "trail_unwritten"]
    assert [(one["actor"], one["action"], one["queue"]) for one in events] == [
        ("ann", "queue.pause", "q")
    ] * 2


async def test_each_change_is_logged_and_told(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """What was changed of a payload is not in the log. A hook that fails undoes nothing."""
    told: list[TrailRecord] = []

    def on_change(record: TrailRecord) -> None:
        told.append(record)
        raise RuntimeError

    async with Client(redis_url) as client, Inspector(redis_url, on_change=on_change) as inspector:
        info = await client.enqueue(Task("x", "old secret"), queue="q", process_in=60)
        with caplog.at_level(logging.INFO, "asyncq.audit"):
            await inspector.acting_as("ann").tasks.edit("q", info.id, payload="new secret")
        assert told == (await inspector.trail.list()).records
    assert [record.__dict__["event"] for record in caplog.records] == ["change", "on_change_failed"]
    assert "secret" not in repr([record.__dict__ for record in caplog.records])


async def test_records_by_hand_are_passed_over(redis_url: str, redis_client: Any) -> None:
    """Whatever stands there, the others can be read."""
    async with Client(redis_url) as client, Inspector(redis_url, actor="ann") as inspector:
        await client.enqueue(Task("x"), queue="q")
        for fields in (
            {"any": "thing"},
            {"outcome": "done"},
            {"outcome": "well", "action": "task.run"},
            {b"\xff": b"\xff"},
        ):
            redis_client.xadd("asyncq:trail", fields)
        redis_client.xadd(
            "asyncq:trail",
            {
                "outcome": "done",
                "action": "task.run",
                "count": "many",
                "changes": '{"a": 1}',
                "actor": b"\xff",
            },
        )
        await inspector.queues.pause("q")
        page = await inspector.trail.list()
    assert [one.action for one in page] == ["queue.pause", "task.run"]
    assert (page.records[1].count, page.records[1].changes, page.scanned) == (None, {}, 6)


async def test_the_asynq_wire_has_a_trail_of_its_own(any_redis: AnyRedis) -> None:
    """Beside the keys of Go, where its tools do not look."""
    url = any_redis.url
    async with Client(url, wire="asynq") as client, Inspector(url, wire="asynq", actor="ann") as inspector:
        await client.enqueue(Task("x"), queue="q")
        await inspector.queues.pause("q")
        assert await _said(inspector) == [("ann", "queue.pause", "q", "", "done", None)]
        assert any_redis.client.exists("asynq:asyncq:trail")
        assert (await inspector.audit()).is_clean


async def test_whoever_may_do_nothing_cannot_flood_the_trail(redis_url: str) -> None:
    """What others did would go out of it at the other end. The log has all of it."""
    told: list[TrailRecord] = []
    async with Client(redis_url) as client, Inspector(redis_url, on_change=told.append) as inspector:
        await client.enqueue(Task("x"), queue="q")
        for name in ("eve", "mallory"):
            viewer = inspector.acting_as(name, rights=Rights.viewer())
            for _ in range(REFUSALS + 5):
                with pytest.raises(NotAllowedError):
                    await viewer.queues.pause("q")
        page = await inspector.trail.list()
        assert Counter(one.actor for one in page) == {"eve": REFUSALS, "mallory": REFUSALS}
        assert "in the log alone" in page.records[0].reason
        assert len(told) == 2 * (REFUSALS + 5)
        await inspector.acting_as("eve").queues.pause("q")
        assert (await inspector.trail.list()).records[0].outcome == "done"

"""The screens that say how it goes: overview, one queue, groups, servers, Redis and the trail."""

from __future__ import annotations

import asyncio
import re
from math import isfinite

import httpx2

from asyncq import Client, Mux, Server, Task
from asyncq.inspector import QueueInfo, RedisInfo
from asyncq.measures import MeasuredPoint, Pulse
from asyncq.web import NoAuth, Principal, Tokens, WebApp
from asyncq.web.figures import charts, pace, spark
from asyncq.web.jobs import AT_ONCE, Job
from asyncq.web.queues import has_no_workers
from asyncq.web.redis import warnings_of
from tests.support.waiting import wait_until
from tests.support.web import Made, visitor
from tests.support.web_site import text


def job_of(made: WebApp, answer: httpx2.Response) -> Job:
    """The job that a form has begun."""
    assert answer.status_code == 303
    found = made.site.jobs.get(answer.headers["location"].rpartition("/")[2])
    assert found is not None
    return found


async def test_the_overview_says_where_to_look(redis_url: str, web: Made) -> None:
    """Backlog, what nobody serves, who works; and each chart is a table for whoever sees none."""
    made = web(redis_url, auth=NoAuth(), environment="production")
    mux, go_on = Mux(), asyncio.Event()

    @mux.handle("wait")
    async def wait(_: Task) -> None:
        await go_on.wait()

    async with Client(redis_url) as client, Server(redis_url, concurrency=4).running(mux) as server:
        await client.enqueue(Task("wait"))
        for _ in range(3):
            await client.enqueue(Task("mail"), queue="mail")
        async with visitor(made) as browser:

            async def is_busy() -> bool:
                made.site.samples.forget()
                return "1 of 4" in text((await browser.get("/servers")).text)

            await wait_until(is_busy, "the task to run")
            made.site.samples.forget()
            page = await browser.get("/")
            words = text(page.text)
            assert "Pending 3 in 2 queues" in words
            assert "Active 1 of 4 slots" in words
            assert "Without workers 1 queues with tasks" in words
            assert "Servers 1 25.0 % busy" in words
            assert "production" in words
            assert page.text.count("<figure") == page.text.count("<caption") == 5
            words = text((await browser.get("/servers")).text)
            assert "What runs now" in words
            assert "1 tasks, the longest running first" in words
            assert server.id in (await browser.get(f"/servers/{server.id}")).text
            words = text((await browser.get("/queues/mail")).text)
            assert "Pending 3" in words
            assert "no workers" in words
            assert "nothing is worked off" in words
            answer = await browser.get("/servers/nobody")
            assert answer.status_code == 404
        go_on.set()


async def test_removing_a_queue_is_confirmed(redis_url: str, web: Made) -> None:
    """By its name, typed out; and its tasks go only if that was ticked."""
    made = web(redis_url, auth=NoAuth())
    async with Client(redis_url) as client, visitor(made) as browser:
        await client.enqueue(Task("mail"), queue="mail")
        page = await browser.get("/queues/mail/remove")
        assert "holds 1 tasks" in text(page.text)
        answer = await browser.post("/queues/mail/remove", data={"name": "mial", "tasks": "1"})
        assert (answer.status_code, "typed out" in answer.text) == (400, True)
        answer = await browser.post("/queues/mail/remove", data={"name": "mail"})
        assert answer.headers["location"] == "/queues/mail/remove"
        page = await browser.get(answer.headers["location"])
        assert "still holds 1 pending" in text(page.text)
        assert "Nothing was done" in text(page.text)
        answer = await browser.post("/queues/mail/remove", data={"name": "mail", "tasks": "1"})
        job = job_of(made, answer)
        await wait_until(lambda: job.is_over, "the queue to be removed")
        words = text((await browser.get(answer.headers["location"])).text)
        assert "Remove: queue mail" in words
        assert "1 of 1 removed" in words
        assert (job.status, job.done) == ("done", 1)
        assert (await browser.get("/queues/mail")).status_code == 404
        answer = await browser.post("/queues/mail/remove", data={"name": "mail", "tasks": "1"})
        assert answer.status_code == 404


async def test_an_empty_queue_is_removed_at_once(redis_url: str, web: Made) -> None:
    """There is nothing to wait for."""
    made = web(redis_url, auth=NoAuth())
    async with Client(redis_url) as client, visitor(made) as browser:
        info = await client.enqueue(Task("mail"), queue="mail")
        await made.site.inspector.tasks.delete("mail", info.id)
        answer = await browser.post("/queues/mail/remove", data={"name": "mail"})
        assert answer.headers["location"] == "/queues"
        words = text((await browser.get("/queues")).text)
        assert "Queue mail was removed; it was empty." in words
        assert made.site.jobs.all() == []


async def test_a_removal_that_is_cancelled_leaves_a_sound_queue(redis_url: str, web: Made) -> None:
    """Paused, with what is left of it; and it can be removed again."""
    made = web(redis_url, auth=NoAuth())
    async with Client(redis_url) as client, visitor(made) as browser:
        _ = [one async for one in client.enqueue_many((Task("mail") for _ in range(4000)), queue="mail")]
        form = {"name": "mail", "tasks": "1"}
        answer = await browser.post("/queues/mail/remove", data=form)
        job, path = job_of(made, answer), answer.headers["location"]
        async with asyncio.timeout(60):
            while not job.done:  # noqa: ASYNC110 - in a few calls more all would be gone
                await asyncio.sleep(0)
        await made.site.jobs.cancel(job)
        assert (job.status, job.ended_at is not None) == ("cancelled", True)
        words = text((await browser.get(path)).text)
        assert "What is left of the queue is sound, and paused" in words
        info = await made.site.inspector.queues.get("mail")
        assert 0 < info.pending < 4000
        assert (info.is_paused, info.is_being_removed) == (True, True)
        assert (await made.site.inspector.audit()).findings == []
        again = job_of(made, await browser.post("/queues/mail/remove", data=form))
        await wait_until(lambda: again.is_over, "the rest to be removed")
        assert again.status == "done"
        outcomes = [one.outcome for one in await made.site.inspector.trail.list(action="queue.remove")]
        assert outcomes == ["done", "begun", "interrupted", "begun"]


async def test_groups_are_shown_and_run(redis_url: str, web: Made) -> None:
    """A queue with groups, its groups, and their tasks let go one by one."""
    made = web(redis_url, auth=NoAuth())
    async with Client(redis_url) as client, visitor(made) as browser:
        for queue in ("bills", "mail"):
            for number in range(2):
                await client.enqueue(Task("mail", number), queue=queue, group="eve/1")
        words = text((await browser.get("/groups")).text)
        assert "bills 1 2" in words
        page = await browser.get("/groups?queue=mail")
        (path,) = set(re.findall(r'action="(/groups/[^"]+/run)"', page.text))
        answer = await browser.post(path)
        job = job_of(made, answer)
        await wait_until(lambda: job.is_over, "the tasks to be let go")
        words = text((await browser.get(answer.headers["location"])).text)
        assert "Run: group eve/1 of queue mail" in words
        assert (job.status, job.done, job.queues) == ("done", 2, ["mail"])
        words = text((await browser.get("/groups?queue=mail")).text)
        assert "No task waits in a group of this queue" in words
        assert (await made.site.inspector.queues.get("bills")).aggregating == 2
        assert (await browser.post(path)).status_code == 404
        assert (await browser.get("/groups?queue=nothing")).status_code == 404


async def test_so_many_jobs_are_enough(redis_url: str, web: Made) -> None:
    """Each asks Redis as fast as it is let; one more is refused in words, and is not begun."""
    made = web(redis_url, auth=NoAuth())
    async with Client(redis_url) as client, visitor(made) as browser:
        _ = [one async for one in client.enqueue_many((Task("mail") for _ in range(600)), queue="mail")]
        counted = await browser.post("/jobs", data={"action": "archive", "q": "queue:mail"})
        await wait_until(lambda: job_of(made, counted).is_over, "the count")
        for _ in range(AT_ONCE):
            form = {"sure": "1", "rate": "1"}
            assert (await browser.post(f"{counted.headers['location']}/go", data=form)).status_code == 303
        answer = await browser.post(f"{counted.headers['location']}/go", data={"sure": "1"})
        assert answer.status_code == 429
        assert "8 jobs are at work" in text(answer.text)
        assert len(made.site.jobs.all()) == AT_ONCE + 1


async def test_a_star_in_the_name_of_a_queue_is_a_star(redis_url: str, web: Made) -> None:
    """And stands for no other queue when its group is let go."""
    made = web(redis_url, auth=NoAuth())
    async with Client(redis_url) as client, visitor(made) as browser:
        for queue in ("a*", "abc"):
            await client.enqueue(Task("mail"), queue=queue, group="g")
        job = job_of(made, await browser.post("/groups/a*/g/run"))
        await wait_until(lambda: job.is_over, "the task to be let go")
        assert job.done == 1
        assert (await made.site.inspector.queues.get("abc")).aggregating == 1


async def test_the_trail_says_who_did_what(redis_url: str, web: Made) -> None:
    """Filtered by who, what, where and outcome, and in pages."""
    made = web(redis_url, auth=Tokens({"the-secret-of-olga!": Principal("olga", NoAuth().rights)}))
    async with (
        Client(redis_url) as client,
        visitor(made, headers={"Authorization": "Bearer the-secret-of-olga!"}) as browser,
    ):
        await client.enqueue(Task("mail"), queue="mail")
        await browser.post("/queues/mail/pause")
        await browser.post("/queues/mail/resume")
        words = text((await browser.get("/audit")).text)
        assert "olga web queue.pause mail" in words
        assert "olga web queue.resume mail" in words
        words = text((await browser.get("/audit?action=queue.pause&actor=olga&queue=mail&outcome=done")).text)
        assert "olga web queue.pause" in words
        assert "olga web queue.resume" not in words
        assert "Nothing is like that" in text((await browser.get("/audit?actor=bob")).text)
        assert (await browser.get("/audit?action=odd")).status_code == 400
        assert (await browser.get("/audit?cursor=odd")).status_code == 400


def test_redis_is_judged() -> None:
    """What costs tasks is said first; what is as it should be is not said at all."""
    from dataclasses import replace

    fine = RedisInfo(
        address="here", server="valkey 9", role="primary", uptime=1.0, clients=1, memory_used=10,
        memory_peak=10, memory_max=100, eviction_policy="noeviction", keys=0, operations=0,
        fragmentation=1.0, appends=True, append_failed=False, snapshot_failed=False, snapshot_at=None,
        unsaved=0,
    )  # fmt: skip
    assert warnings_of(fine) == []
    bad = replace(
        fine,
        append_failed=True,
        snapshot_failed=True,
        memory_used=90,
        eviction_policy="allkeys-lru",
        appends=False,
    )
    found = warnings_of(bad)
    assert len(found) == 5
    assert "append-only file failed" in found[0]
    assert any("allkeys-lru" in one for one in found)
    assert warnings_of(replace(fine, memory_max=None, memory_used=10**12)) == []
    assert len(warnings_of(replace(fine, memory_max=None, memory_used=10**9, fragmentation=2.0))) == 1


def test_the_pace_of_a_queue_says_when_it_is_empty() -> None:
    """A guess from the last minutes; no figure is ever `nan` on a page."""
    from datetime import UTC, datetime

    at = datetime(2026, 11, 21, tzinfo=UTC)
    points = [MeasuredPoint(at=at, seconds=60.0, outcomes={"done": 90, "retried": 30}) for _ in range(3)]
    assert pace(points).throughput == 2.0
    assert pace(points).failed == 0.5
    assert pace(points).drain(_queue(pending=10)) == 5.0
    assert pace(points).drain(_queue(pending=0)) == 0.0
    assert pace([]).drain(_queue(pending=1)) == float("inf")
    values = [value for chart in charts(points) for _, row in chart.rows for value in row]
    assert None in values  # percentiles of nothing
    assert all(value is None or isfinite(value) for value in values)


def test_a_line_beside_a_name_is_drawn_within_its_box() -> None:
    """Its top is what was done most in one step; of a queue in which nothing was done there is none."""
    made = spark(Pulse("mail", 180.0, (0, 5, 10), (0, 0, 5)))
    assert made is not None
    assert (made.total, made.failed) == (15, 5)
    assert made.line == "0,15 28.5,8 57,1"
    assert made.bars == "M57,15V8"
    fine = spark(Pulse("mail", 180.0, (1,), (0,)))
    assert fine is not None
    assert (fine.line, fine.bars) == ("0,1", "")
    assert spark(Pulse("mail", 180.0, (0, 0), (0, 0))) is None


async def test_what_was_done_lately_stands_beside_each_queue(redis_url: str, web: Made) -> None:
    """As a picture, and in words for whoever sees none."""
    made = web(redis_url, auth=NoAuth())
    mux = Mux()

    @mux.handle("fine")
    async def fine(_: Task) -> None:
        return

    @mux.handle("bad")
    async def bad(_: Task) -> None:
        raise OSError("no")

    async with Client(redis_url) as client:
        async with Server(redis_url, queues=["mail"]).running(mux):
            for name in ("fine", "fine", "bad"):
                await client.enqueue(Task(name), queue="mail", retention=60)
            await client.enqueue(Task("fine"), queue="idle")

            async def is_over() -> bool:
                info = await made.site.inspector.queues.get("mail")
                return (info.completed, info.retry) == (2, 1)

            await wait_until(is_over, "the tasks to be over")
        # A server that leaves has written what it counted.
        async with visitor(made) as browser:
            page = (await browser.get("/queues")).text
        assert "3 attempts in the last hour, 1 of them failed" in text(page)
        assert page.count("<svg") == 1


def test_a_queue_that_nobody_serves_is_told_from_one_that_rests() -> None:
    """A paused queue is left alone on purpose, and an empty one needs nobody."""
    assert has_no_workers(_queue(pending=1), frozenset())
    assert not has_no_workers(_queue(pending=1), frozenset({"mail"}))
    assert not has_no_workers(_queue(pending=1, is_paused=True), frozenset())
    assert not has_no_workers(_queue(pending=0), frozenset())


def _queue(*, pending: int, is_paused: bool = False) -> QueueInfo:
    from datetime import UTC, datetime

    states = ("active", "scheduled", "retry", "archived", "completed", "aggregating")
    return QueueInfo(
        name="mail", sizes={"pending": pending, **dict.fromkeys(states, 0)}, groups=0, orphaned=0,
        latency=0.0,
        processed_total=0, failed_total=0, processed=0, failed=0, is_paused=is_paused, paused_at=None,
        is_being_removed=False, at=datetime(2026, 11, 21, tzinfo=UTC),
    )  # fmt: skip

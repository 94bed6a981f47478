"""Failures by cause and schedules in the web UI."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest

from asyncq import Mux, Scheduler, Server, SkipRetry, Task
from asyncq._wire.asynq_records import EnqueueEvent, SchedulerEntry, Timestamp
from asyncq._wire.keys import GoKeys
from tests.conftest import AnyRedis
from tests.support.listing import listed
from tests.support.waiting import wait_until
from tests.support.web_site import Site, at_site, field, text

GO = GoKeys()


async def _fail(site: Site, url: str) -> None:
    mux = Mux()

    @mux.handle("email")
    async def email(task: Task) -> None:
        if task.payload % 3:
            raise ConnectionError(f"10.0.0.{task.payload}: refused")
        raise SkipRetry(f"no <b>address</b> in row {task.payload}")

    async with Server(url, queues=["q"], retry=lambda *_: 600.0).running(mux):
        for number in range(9):
            await site.client.enqueue(Task("email", number), queue="q")
        await listed(site.client)

        async def all_failed() -> bool:
            info = await site.inspector.queues.get("q")
            return info.retry + info.archived == 9

        await wait_until(all_failed, "all to have failed")


async def test_a_cause_is_retried_as_a_whole(any_redis: AnyRedis) -> None:
    """Seen, looked at, counted, and done; the other cause is left alone."""
    async with at_site(any_redis.url) as site:
        assert "No task has failed" in await site.get("/failures")
        await _fail(site, any_redis.url)
        page = await site.get("/failures")
        assert "<b>address" not in page
        said = text(page)
        assert "9 looked at, of 9 failed tasks" in said
        assert said.index("ConnectionError #: refused 6 email") < said.index(
            "SkipRetry no <b>address</b> in row # 3"
        )
        link = re.search(r'<a href="([^"]+)">SkipRetry', page)
        assert link is not None
        assert "3 shown" in text(await site.get(unescape(link[1])))
        queries = [unescape(query) for query in re.findall(r'name="q" value="([^"]+)"', page)]
        path, counted = await site.job(await site.post("/jobs", action="run", q=queries[0]))
        assert "Run 6 tasks?" in text(counted)
        await site.job(await site.post(f"{path}/go", sure="1"))
        info = await site.inspector.queues.get("q")
        assert (info.pending, info.retry, info.archived) == (6, 0, 3)
        assert "ConnectionError" not in text(await site.get("/failures?show=archived&queue=q&type=em*"))


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
@pytest.mark.parametrize(
    ("query", "status"), [("queue=none", 404), ("show=none", 400), ("scan=0", 400), ("scan=99999999", 400)]
)
async def test_what_is_wrong_is_said(any_redis: AnyRedis, query: str, status: int) -> None:
    """With a status."""
    async with at_site(any_redis.url) as site:
        await site.get(f"/failures?{query}", status=status)


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_a_look_says_how_far_it_went(any_redis: AnyRedis) -> None:
    """And offers to go further."""
    async with at_site(any_redis.url) as site:
        [_ async for _ in site.client.enqueue_many([Task("x") for _ in range(2500)], queue="q")]
        await site.inspector.tasks.archive_all("q", "pending")
        page = await site.get("/failures")
        assert "looked at, of 2" in text(page)
        larger = re.search(r'href="([^"]+scan=10000[^"]*)"', page)
        assert larger is not None
        assert "2 500 looked at" in text(await site.get(unescape(larger[1]))).replace(
            "\N{NARROW NO-BREAK SPACE}", " "
        )


async def test_an_entry_is_paused_resumed_run_and_removed(any_redis: AnyRedis) -> None:
    """And what became of it is on its page."""
    async with at_site(any_redis.url) as site:
        assert "There is no entry yet" in await site.get("/schedules")
        await site.inspector.schedules.add(
            "0 9 * * mon-fri", Task("report:<i>make</i>", {"n": 1}), entry_id="a/b <i>c</i>", queue="q"
        )
        page = await site.get("/schedules")
        assert "<i>" not in page
        assert "No scheduler of ours is running" in text(page)
        link = re.search(r'<th scope="row"><a href="([^"]+)"', page)
        assert link is not None
        path = unescape(link[1])
        page = await site.get(path)
        assert "<i>" not in page
        assert page.count("09:00:00 UTC") >= 5
        await site.follow(await site.post(path, action="pause", reason="month's end"))
        assert "month's end" in text(await site.get("/schedules?show=paused"))
        assert "None." in text(await site.get(path))
        await site.follow(await site.post(path, action="resume"))
        assert "No entry is like that" in await site.get("/schedules?show=paused")
        page = text(await site.follow(await site.post(path, action="run")))
        assert "by hand" in page
        assert (await site.inspector.queues.get("q")).pending == 1
        assert "Remove" in (await site.post(path, status=200, action="remove")).text
        assert await site.inspector.schedules.list()
        await site.follow(await site.post(path, action="remove", sure="1"))
        assert not await site.inspector.schedules.list()
        assert "This entry is gone" in await site.get(path)
        await site.post(path, status=404, action="pause")
        await site.get("/schedules/never-was", status=404)
        await site.post(path, status=400, action="explode")
        for query in ("show=none", "page=0"):
            await site.get(f"/schedules?{query}", status=400)


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_schedulers_are_shown_with_their_health(any_redis: AnyRedis) -> None:
    """And what their code declares cannot be removed from here."""
    scheduler = Scheduler(any_redis.url, name="night-shift")
    scheduler.register("@hourly", Task("x"), entry_id="hourly")
    async with at_site(any_redis.url) as site, scheduler.running():
        page = text(await site.get("/schedules"))
        assert "night-shift" in page
        assert " ok " in page
        assert "hourly" in page
        assert "declared in code" in text(await site.get("/schedules/hourly"))
        await site.post("/schedules/hourly", status=409, action="remove", sure="1")


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_hundreds_of_entries_come_in_pages(any_redis: AnyRedis) -> None:
    """And are found by a part of their id."""
    async with at_site(any_redis.url) as site:
        from asyncq.entries import PeriodicTask

        await site.inspector.schedules.upsert_many(
            [PeriodicTask("@hourly", Task("x"), id=f"entry-{n:03}") for n in range(150)]
        )
        page = text(await site.get("/schedules"))
        assert "page 1 of 2" in page
        assert "entry-149" in text(await site.get("/schedules?q=y-149"))
        assert field(await site.get("/schedules?q=y-149"), "q") == "y-149"
        assert "page 2 of 2" in text(await site.get("/schedules?page=7"))


async def test_entries_of_go_are_looked_at_only(redis_url: str, redis_client: Any) -> None:
    """They are in the code of Go's schedulers: with their history, and nothing to change them with."""
    process, at = "web-1:77:5b1f9f4e-6c0f-4f39-9a5e-0d9a3b2f7c11", Timestamp(1_900_000_000, 0)
    raw = [
        SchedulerEntry(
            entry_id="a<i>", spec="@daily", task_type="mail", payload=b"[1]", next=at, prev=at
        ).encode(),
        SchedulerEntry(entry_id="b", spec="@every 90m", task_type="mail", payload=b"\xff").encode(),
    ]
    redis_client.zadd(GO.schedulers, {GO.scheduler(process): int(datetime.now(UTC).timestamp()) + 60})
    redis_client.rpush(GO.scheduler(process), *raw)
    redis_client.zadd(GO.history("a<i>"), {EnqueueEvent(task_id="t1", enqueued_at=at).encode(): at.seconds})
    async with at_site(redis_url, wire="asynq") as site:
        page = await site.get("/schedules")
        assert "<i>" not in page
        said = text(page)
        assert "Entries of Go's schedulers" in said
        assert "a<i> @daily mail default" in said
        path = re.search(r'href="(/schedules/a[^"]+)"', page)
        assert path is not None
        page = await site.get(unescape(path[1]))
        assert "t1" in text(page)
        assert "of Go" in text(page)
        assert 'name="action"' not in page
        await site.get("/schedules/b")
        for action in ("pause", "run", "remove"):
            await site.post(unescape(path[1]), status=404, action=action, sure="1")

"""The list of tasks in the web UI, what is done to those that are ticked, and to all that match."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from starlette.routing import Route

from asyncq import Client, Task
from asyncq.inspector import Rights
from asyncq.web import Principal, bulk, enqueuing, failures, schedules, task, tasks
from tests.conftest import AnyRedis
from tests.support.listing import listed
from tests.support.waiting import wait_until
from tests.support.web_site import Site, at_site, text

HOSTILE = "<script>alert('x')</script>\"'{{7919*7907}}"


async def _fill(client: Client) -> None:
    for number in range(6):
        await client.enqueue(Task("email:send", {"user": number}), queue="mail", task_id=f"m{number}")
    await client.enqueue(
        Task("bill:make", "x"), queue="bill/é {{x}}".replace("{{x}}", "x"), process_in=600, task_id="b0"
    )
    await listed(client)


async def test_all_tasks_are_in_one_list(any_redis: AnyRedis) -> None:
    """Of all queues and states; what is looked for is the address."""
    async with at_site(any_redis.url) as site:
        assert "No task is like that" in await site.get("/tasks")
        await _fill(site.client)
        page = text(await site.get("/tasks"))
        assert "m0" in page
        assert "bill:make" in page
        assert "7 shown, 7 looked at, of 7" in page
        assert " m0 " not in text(await site.get("/tasks?state=scheduled"))
        for query, found in (
            ("queue:mail payload.user:3", ["m3"]),
            ("id:m4", ["m4"]),
            ("m5", ["m5"]),
            ("type:bill:*", []),
        ):
            page = text((await site.visitor.get("/tasks", params={"q": query})).text)
            assert [name for name in (f"m{n}" for n in range(6)) if f" {name} " in page] == found


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_a_long_list_goes_on_by_a_link(any_redis: AnyRedis) -> None:
    """Every task once, whatever comes in meanwhile."""
    async with at_site(any_redis.url) as site:
        [_ async for _ in site.client.enqueue_many([Task("x", n) for n in range(120)], queue="q")]
        seen: list[str] = []
        path: str | None = "/tasks?q=state:pending&size=50"
        while path is not None:
            page = await site.get(path)
            seen += re.findall(r'href="/tasks/q/([^"/]+)"', page)
            following = re.search(r'rel="next" href="([^"]+)"', page)
            path = unescape(following[1]) if following else None
        assert (len(seen), len(set(seen))) == (120, 120)


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
@pytest.mark.parametrize(
    "query",
    [
        "q=state:nonsense",
        "q=since:never",
        "size=0",
        "size=x",
        "cursor=nonsense",
        "q=" + "x" * 2000,
        "state=zzz",
    ],
)
async def test_what_cannot_be_understood_is_said(any_redis: AnyRedis, query: str) -> None:
    """With the field to correct it."""
    async with at_site(any_redis.url) as site:
        page = await site.get(f"/tasks?{query}", status=400)
        assert "Traceback" not in page


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_nothing_that_somebody_wrote_is_taken_for_html(any_redis: AnyRedis) -> None:
    """Types, ids, queues, groups, payloads, headers, errors."""
    async with at_site(any_redis.url) as site:
        queue = HOSTILE.replace("{", "(").replace("}", ")")
        await site.client.enqueue(
            Task(HOSTILE, {HOSTILE: HOSTILE}, headers={"h": HOSTILE}), queue=queue, task_id=HOSTILE
        )
        pages = [await site.get("/tasks"), await site.get("/failures")]
        pages.append((await site.visitor.get("/tasks", params={"q": f'type:"{HOSTILE}"'})).text)
        pages.append((await site.visitor.get("/tasks", params={"q": HOSTILE})).text)
        link = re.search(r'<th scope="row"><a href="([^"]+)"', pages[0])
        assert link is not None
        pages.append(await site.get(unescape(link[1])))
        await site.inspector.tasks.archive(queue, HOSTILE)
        pages.append(await site.get("/failures"))
        pages.append(await site.get(unescape(link[1]) + "/edit"))
        for page in pages:
            assert "<script>alert" not in page
            assert str(7919 * 7907) not in text(page)


async def test_what_is_ticked_is_acted_upon(any_redis: AnyRedis) -> None:
    """What destroys is asked about once more; without scripts, too."""
    async with at_site(any_redis.url) as site:
        await _fill(site.client)
        answer = await site.post("/tasks", status=200, action="archive", task=["mail/m0", "mail/m1"])
        assert "Archive 2 tasks?" in answer.text
        for odd in ("javascript:alert(1)", "https://evil.example/"):
            answer = await site.post("/tasks", status=200, action="archive", task="mail/m0", next=odd)
            assert odd not in answer.text
        kept = {"action": "archive", "task": "mail/m0", "next": "/tasks?q=state:pending"}
        assert 'href="/tasks?q=state:pending"' in (await site.post("/tasks", status=200, **kept)).text
        assert (await site.inspector.tasks.get("mail", "m0")).state == "pending"
        answer = await site.post(
            "/tasks", action="archive", task=["mail/m0", "mail/m1", "mail/gone"], sure="1"
        )
        page = text(await site.follow(answer))
        assert "2 of 3 tasks archived; the others were left alone: 1 missing" in page
        await site.post("/tasks", action="run", task=["mail/m0"])
        await site.post("/tasks", action="cancel", task=["mail/m2"], sure="1")
        await site.post("/tasks", action="delete", task=["mail/m1"], sure="1")
        found = [info.id for info in (await site.inspector.search.find("queue:mail state:archived")).tasks]
        assert found == ["m2"]
        assert {info.id for info in (await site.inspector.search.find("state:pending")).tasks} == {
            "m0", "m3", "m4", "m5",
        }  # fmt: skip


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
@pytest.mark.parametrize(
    "fields",
    [
        {"action": "run"},
        {"action": "explode", "task": "mail/m0"},
        {"action": "run", "task": "no-slash"},
        {"action": "run", "task": [f"q/{n}" for n in range(1001)]},
    ],
)
async def test_a_form_that_is_wrong_is_refused(any_redis: AnyRedis, fields: dict[str, Any]) -> None:
    """And nothing is done."""
    async with at_site(any_redis.url) as site:
        await site.post("/tasks", status=400, **fields)


async def test_all_that_match_are_counted_and_then_acted_upon(any_redis: AnyRedis) -> None:
    """In two steps, each a job with a page."""
    async with at_site(any_redis.url) as site:
        await _fill(site.client)
        path, page = await site.job(await site.post("/jobs", action="archive", q="type:email:*"))
        assert "Archive 6 tasks?" in text(page)
        assert (await site.inspector.queues.get("mail")).archived == 0
        await site.post(f"{path}/go", status=400)
        path, page = await site.job(await site.post(f"{path}/go", sure="1", limit="4"))
        assert "stopped at its limit" in text(page) or "done" in text(page)
        assert (await site.inspector.queues.get("mail")).archived == 4
        path, page = await site.job(await site.post("/jobs", action="run", q="state:archived"))
        path, page = await site.job(await site.post(f"{path}/go", sure="1", rate="1000", fresh="1"))
        assert (await site.inspector.queues.get("mail")).pending == 6
        path, page = await site.job(await site.post("/jobs", action="cancel", q="state:scheduled"))
        await site.job(await site.post(f"{path}/go", sure="1"))
        assert [info.reason for info in await site.inspector.search.find("state:archived")] == ["cancelled"]
        for query in ("type:nothing", "state:active"):
            _, page = await site.job(await site.post("/jobs", action="run", q=query))
            assert "No task matched" in page
        listed = text(await site.get("/jobs"))
        assert "Count to archive" in listed
        assert "type:email:*" in listed


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_a_job_can_be_cancelled(any_redis: AnyRedis) -> None:
    """What it did stays done; what is left is as it was."""
    async with at_site(any_redis.url) as site:
        [_ async for _ in site.client.enqueue_many([Task("x", n) for n in range(500)], queue="q")]
        path, _ = await site.job(await site.post("/jobs", action="archive", q="queue:q"))
        answer = await site.post(f"{path}/go", sure="1", rate="20")
        job_path = answer.headers["location"]
        job = site.app.site.jobs.get(job_path.rpartition("/")[2])
        assert job is not None
        await wait_until(lambda: job.done > 0, "something to be done")
        assert "Cancel this job" in await site.get(job_path)
        page = text(await site.follow(await site.post(f"{job_path}/cancel")))
        assert "cancelled" in page
        info = await site.inspector.queues.get("q")
        assert (job.status, info.pending + info.archived) == ("cancelled", 500)
        assert 0 < info.archived < 500
        await site.get("/jobs/unknown", status=404)


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_a_viewer_changes_nothing(any_redis: AnyRedis) -> None:
    """No button is shown, and what decides: every route refuses."""
    who = Principal("eve", Rights.viewer())
    async with at_site(any_redis.url, auth=lambda _: who) as site:
        await _fill(site.client)
        await site.inspector.schedules.add("@hourly", Task("x"), entry_id="e")
        for path in ("/tasks", "/tasks/mail/m0", "/failures", "/schedules", "/schedules/e", "/jobs"):
            assert 'method="post"' not in (await site.get(path)).replace("/logout", "").split("<main")[1]
        before = await _everything(site)
        refused: set[str] = set()
        for path, fields in (
            ("/tasks", {"action": "run", "task": "mail/m0"}),
            ("/tasks", {"action": "delete", "task": "mail/m0", "sure": "1"}),
            ("/jobs", {"action": "delete", "q": ""}),
            *(
                ("/tasks/mail/m0", {"action": name, "sure": "1"})
                for name in ("run", "archive", "delete", "cancel")
            ),
            ("/tasks/mail/m0/when", {"when": "10m"}),
            ("/tasks/mail/m0/edit", {"payload": "1", "version": ""}),
            ("/enqueue", {"type": "x", "queue": "q", "form": "json", "payload": ""}),
            *(("/schedules/e", {"action": name, "sure": "1"}) for name in ("pause", "run", "remove")),
        ):
            await site.post(path, status=403, **fields)
            refused.add(path)
        for route in _changing():
            if not route.path.startswith("/jobs/"):  # of a job that they cannot begin
                assert any(route.path_regex.fullmatch(path) for path in refused), route.path
        for path in ("/enqueue", "/tasks/mail/m0/edit"):
            await site.get(path, status=403)
        assert await _everything(site) == before


def _changing() -> list[Route]:
    """The routes of these screens that change something."""
    screens = (tasks, task, enqueuing, bulk, failures, schedules)
    routes = [route for screen in screens for route in screen.routes]
    return [route for route in routes if "POST" in (route.methods or ())]


async def _everything(site: Site) -> Any:
    found = await site.inspector.search.find("", size=1000)
    return [(info.queue, info.id, info.version) for info in found], [
        (info.id, info.version, info.is_paused) for info in await site.inspector.schedules.list()
    ]


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_who_sees_some_queues_sees_no_others(any_redis: AnyRedis) -> None:
    """Not in lists, not by their address, not in the jobs of others, not by bulk work."""
    who = [Principal("all", Rights.all()), Principal("mail", Rights.all(queues=["mail"]))]
    async with at_site(
        any_redis.url, auth=lambda request: who[request.headers.get("x-who") == "mail"]
    ) as site:
        await _fill(site.client)
        await site.client.enqueue(Task("secret:work"), queue="secret", task_id="s0")
        path, _ = await site.job(await site.post("/jobs", action="delete", q="queue:secret"))
        site.visitor.headers["x-who"] = "mail"
        for address in (
            "/tasks",
            "/tasks?q=s0",
            "/tasks?q=id:s0",
            "/tasks?queue=secret",
            "/failures",
            "/jobs",
        ):
            page = text(await site.get(address)).replace("queue:secret", "")
            assert "secret:work" not in page
            assert "queue:secret" not in text(await site.get("/jobs"))
        await site.get("/tasks/secret/s0", status=403)
        await site.get(path, status=404)
        await site.post(f"{path}/go", status=404, sure="1")
        await site.post("/tasks/secret/s0", status=403, action="delete", sure="1")
        path, _ = await site.job(await site.post("/jobs", action="delete", q="secret"))
        await site.job(await site.post(f"{path}/go", sure="1"))
        assert (await site.inspector.tasks.get("secret", "s0")).state == "pending"


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_pages_cost_the_same_however_many_tasks_there_are(any_redis: AnyRedis) -> None:
    """In calls of scripts."""

    def calls() -> int:
        # What scripts call is counted, too: by how many calls of scripts there are.
        stats: Any = any_redis.client.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))

    async with at_site(any_redis.url) as site:
        paths = ("/tasks", "/tasks?q=state:pending", "/tasks?q=id:x", "/failures", "/schedules")
        costs: dict[str, list[int]] = {path: [] for path in paths}
        for _ in range(3):
            [_ async for _ in site.client.enqueue_many([Task("x", n) for n in range(1000)], queue="q")]
            await site.inspector.tasks.archive_all("q", "pending", limit=300)
            for path in paths:
                await site.get(path)
                before = calls()
                await site.get(path)
                costs[path].append(calls() - before)
        for path, found in costs.items():
            assert max(found) <= 30, (path, found)

"""What programs put into tasks is text on every page, and pages do nothing that the policy forbids."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import pytest
from redis import Redis

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq.web import NoAuth, WebApp
from tests.conftest import AnyRedis
from tests.support.waiting import wait_until
from tests.support.web import Made, visitor

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"' onclick=alert(3) javascript:x"
TYPE = EVIL + " {{ 7919*7907 }}{% raise %}"


class _Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]

    def faults(self) -> list[str]:
        """What would be blocked, or be somebody else's."""
        found: list[str] = []
        for tag, attributes in self.tags:
            if tag == "script" and not (attributes.get("src") or "").startswith("/static/"):
                found.append("a script that is not ours")
            if tag in ("img", "iframe", "object", "embed", "base", "style"):
                found.append(f"<{tag}>")
            found += [f"{tag} {name}" for name in attributes if name.startswith("on") or name == "style"]
            for name in ("href", "src", "action", "formaction", "hx-get", "hx-post", "hx-sse:connect"):
                value = attributes.get(name)
                if value and not value.startswith(("/", "#")):
                    found.append(f"{tag} {name}={value}")
        found += [f"two elements with id {one}" for one in set(self.ids) if self.ids.count(one) > 1]
        return found


def _paths(made: WebApp, **parts: str) -> list[str]:
    """Every page that can be looked at."""
    found: list[str] = []
    for route in made.routes:
        name = getattr(route, "name", "")
        if "GET" not in (getattr(route, "methods", None) or ()) or name in (
            "static",
            "login",
            "task_raw",
            "job",
        ):
            continue
        if getattr(route, "path", "").startswith("/api/"):
            continue
        found.append(
            str(route.url_path_for(name, **{p: parts[p] for p in getattr(route, "param_convertors", {})}))
        )
    return [*found, *(f"{path}?q={EVIL}" for path in ("/queues", "/tasks", "/servers", "/groups", "/audit"))]


@pytest.fixture
async def evil(redis_url: str, web: Made) -> AsyncIterator[tuple[WebApp, dict[str, str]]]:
    """A site on which every name, payload, header, result and error is markup; and the names."""
    mux = Mux()

    @mux.handle(TYPE)
    async def fail(task: Task) -> Any:
        if task.payload == "fine":
            return EVIL
        raise RuntimeError(EVIL)

    async with Client(redis_url) as client, Inspector(redis_url, actor="<b>eve</b>") as inspector:
        await client.schedules.add("0 3 * * *", Task(TYPE, EVIL), entry_id=EVIL, queue=EVIL)
        task = await client.enqueue(Task(TYPE, {EVIL: EVIL}, headers={"x": EVIL}), queue=EVIL, max_retry=0)
        fine = await client.enqueue(Task(TYPE, "fine"), queue=EVIL, retention=3600)
        await client.enqueue(Task(TYPE, EVIL), queue=EVIL, group=EVIL)
        async with Server(redis_url, queues={EVIL: 1}, name=EVIL).running(mux) as server:

            async def is_over() -> bool:
                info = await inspector.queues.get(EVIL)
                return info.archived == 1 and info.completed == 1

            await wait_until(is_over, "both tasks to be over")
            await inspector.tasks.run(EVIL, fine.id)
            await inspector.queues.pause(EVIL)
            made = web(redis_url, auth=NoAuth(), title=EVIL, environment=EVIL)
            yield made, {"queue": EVIL, "id": task.id, "group": EVIL, "entry": EVIL, "server": server.id}


async def test_markup_is_text_on_every_page(evil: tuple[WebApp, dict[str, str]]) -> None:
    """Queue, type, payload, header, result, error, group, entry, server, query: none becomes a tag."""
    made, parts = evil
    seen = 0
    async with visitor(made) as browser:
        paths = _paths(made, **parts)
        assert len(paths) > 15
        for path in paths:
            answer = await browser.get(path)
            assert answer.status_code in (200, 400), (path, answer.status_code)
            page = _Page()
            page.feed(answer.text)
            assert page.faults() == [], path
            assert str(7919 * 7907) not in answer.text, path
            seen += answer.text.count("&lt;script&gt;alert(1)")
        for path in ("/queues/" + "x" * 50, f"/tasks/{EVIL}/{EVIL}", f"/{EVIL}", f"/queues?sort={EVIL}"):
            answer = await browser.get(path)
            page = _Page()
            page.feed(answer.text)
            assert answer.status_code in (400, 404), path
            assert page.faults() == [], path
    assert seen > 40  # it was there, as text


async def test_answers_of_the_api_are_no_pages(evil: tuple[WebApp, dict[str, str]]) -> None:
    """A browser that is led to one shows text, whatever is in it."""
    made, parts = evil
    async with visitor(made) as browser:
        for name in ("api_get_queue", "api_get_task", "api_list_tasks"):
            (route,) = (one for one in made.routes if getattr(one, "name", "") == name)
            wanted = {part: parts[part] for part in getattr(route, "param_convertors", {})}
            answer = await browser.get(str(route.url_path_for(name, **wanted)))
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["x-content-type-options"] == "nosniff"
            json.loads(answer.text)


async def test_a_page_costs_redis_the_same_however_many_tasks_there_are(
    redis_url: str, redis_client: Redis, web: Made
) -> None:
    """Counted in commands, those inside scripts too; time would say more of this machine than of the page."""

    def commands() -> int:
        stats: Any = redis_client.info("commandstats")
        return sum(one["calls"] for one in stats.values())

    made = web(redis_url, auth=NoAuth())
    spent: list[dict[str, int]] = []
    async with Client(redis_url) as client, visitor(made) as browser:
        first = await client.enqueue(Task("greet", 1), queue="mail", task_id="task-1")
        await client.enqueue(Task("greet", 1), queue="mail", group="g1")
        await client.schedules.add("0 3 * * *", Task("greet"), entry_id="nightly", queue="mail")
        parts = {"queue": "mail", "id": first.id, "group": "g1", "entry": "nightly", "server": "nobody"}
        for count in (200, 6000):
            _ = [
                one
                async for one in client.enqueue_many((Task("greet", n) for n in range(count)), queue="mail")
            ]
            costs: dict[str, int] = {}
            # A search looks at a bounded number of tasks, and says so.
            for path in (one for one in _paths(made, **parts) if "?q=" not in one):
                made.site.samples.forget()
                before = commands()
                await browser.get(path)
                costs[path] = commands() - before
            spent.append(costs)
    few, many = spent
    assert {path: (few[path], many[path]) for path in few if many[path] > few[path] + 20} == {}
    assert max(many.values()) < 3000, many


async def _all_answer(made: WebApp, parts: dict[str, str]) -> None:
    async with visitor(made) as browser:
        for path in _paths(made, **parts):
            answer = await browser.get(path)
            wanted = {200, 404} if "/servers/" in path or "/schedules/" in path else {200, 400}
            assert answer.status_code in wanted, (path, answer.status_code)


async def test_every_page_answers_on_any_redis(any_redis: AnyRedis, web: Made) -> None:
    """Single, cluster, behind sentinels, and the oldest that is supported."""
    async with Client(any_redis.url) as client:
        info = await client.enqueue(Task("greet", 1), queue="mail")
        await client.enqueue(Task("greet", 1), queue="mail", group="g1")
        await client.schedules.add("0 3 * * *", Task("greet"), entry_id="nightly", queue="mail")
        parts = {"queue": "mail", "id": info.id, "group": "g1", "entry": "nightly", "server": "nobody"}
        made = web(any_redis.url, auth=NoAuth())
        await _all_answer(made, parts)
        await made.aclose()


async def test_every_page_answers_on_the_wire_of_asynq(redis_url: str, web: Made) -> None:
    """Where programs of Go's work on the same data."""
    async with Client(redis_url, wire="asynq") as client:
        info = await client.enqueue(Task("greet", {"name": "x"}), queue="mail")
        await client.enqueue(Task("greet", {"name": "x"}), queue="mail", group="g1")
        parts = {"queue": "mail", "id": info.id, "group": "g1", "entry": "nothing", "server": "nobody"}
        await _all_answer(web(redis_url, auth=NoAuth(), wire="asynq"), parts)

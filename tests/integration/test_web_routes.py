"""Nobody gets past the guard and the rights, over every route that there is.

A route that changes something and is not in the table below fails here: say how it is called.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest
from redis import Redis

from asyncq import Client, Task
from asyncq.inspector import Rights
from asyncq.web import Principal, Tokens, WebApp
from tests.support.waiting import wait_until
from tests.support.web import Made, visitor

ADMIN, VIEWER, BILLING = "the-secret-of-an-admin", "the-secret-of-a-viewer", "the-secret-of-billing"

TASK = {"queue": "mail", "id": "task-1"}
QUEUE = {"queue": "mail"}
GROUPED = {"queue": "mail", "group": "g1"}

CHANGES: Mapping[str, tuple[dict[str, str], dict[str, str]]] = {
    "queue_pause": (QUEUE, {}),
    "queue_resume": (QUEUE, {}),
    "_remove": (QUEUE, {"name": "mail", "tasks": "1"}),
    "tasks_act": ({}, {"action": "delete", "task": "mail/task-1", "sure": "1"}),
    "task_act": (TASK, {"action": "delete", "sure": "1"}),
    "task_when": (TASK, {"when": "in 1h"}),
    "_edit": (TASK, {"payload": '{"name": "y"}'}),
    "_enqueue": ({}, {"type": "greet", "queue": "mail", "form": "json", "payload": "1"}),
    "job_count": ({}, {"action": "delete", "q": "queue:mail"}),
    "job_go": ({"job": "?"}, {"sure": "1"}),
    "job_cancel": ({"job": "?"}, {}),
    "entry_act": ({"entry": "nightly"}, {"action": "remove", "sure": "1"}),
    "group_run": (GROUPED, {}),
    "api_pause_queue": (QUEUE, {}),
    "api_resume_queue": (QUEUE, {}),
    "api_remove_queue": (QUEUE, {"force": "true"}),
    "api_run_task": (TASK, {}),
    "api_archive_task": (TASK, {}),
    "api_cancel_task": (TASK, {}),
    "api_delete_task": (TASK, {}),
}
"""Each changing route: the parts of its path, and a form that would change something."""

OF_VISITORS = {"_login", "logout", "_keep"}
"""Change nothing but cookies of whoever sends them."""


@dataclass(frozen=True)
class _Scene:
    made: WebApp
    redis: Redis
    job: str

    def changing(self) -> list[tuple[str, str, str, dict[str, str]]]:
        """Name, method, path and form of each route that changes something."""
        found: list[tuple[str, str, str, dict[str, str]]] = []
        for route in self.made.routes:
            methods = set(getattr(route, "methods", None) or ()) - {"GET", "HEAD"}
            name = getattr(route, "name", "")
            if not methods or name in OF_VISITORS:
                continue
            parts, form = CHANGES[name]
            filled = {part: self.job if value == "?" else value for part, value in parts.items()}
            found += [(name, method, str(route.url_path_for(name, **filled)), form) for method in methods]
        return found

    def state(self) -> dict[bytes, object]:
        """Everything in Redis but the trail, which notes what was refused."""
        keys = [key for key in self.redis.scan_iter() if b"trail" not in key]
        return {key: self.redis.dump(key) for key in keys}


@asynccontextmanager
async def _scene(url: str, redis: Redis, web: Made, *, read_only: bool = False) -> AsyncGenerator[_Scene]:
    """A queue with a task, a group and an entry; and a job that an admin has begun."""
    made = web(
        url,
        auth=Tokens(
            {
                ADMIN: Principal("ada", Rights.admin()),
                VIEWER: Principal("vera", Rights.viewer()),
                BILLING: Principal("bill", Rights.admin(queues=["billing"])),
                **{f"{VIEWER}-{n}": Principal(f"vera-{n}", Rights.viewer()) for n in range(40)},
            }
        ),
        read_only=read_only,
    )
    async with Client(url) as client:
        await client.enqueue(Task("greet", {"name": "x"}), queue="mail", task_id="task-1", process_in=3600)
        await client.enqueue(Task("greet", {"name": "x"}), queue="mail", group="g1")
        await client.enqueue(Task("greet", {"name": "x"}), queue="billing")
        await client.schedules.add("0 3 * * *", Task("greet"), entry_id="nightly", queue="mail")
    site = made.site
    job = ""
    if not read_only:
        async with visitor(made, headers=_bearer(ADMIN)) as browser:
            answer = await browser.post("/jobs", data={"action": "delete", "q": "queue:mail"})
            job = answer.headers["location"].rpartition("/")[2]
            counted = site.jobs.get(job)
            assert counted is not None
            await wait_until(lambda: counted.is_over, "the job to have counted")
    yield _Scene(made, redis, job or "none")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def _send(browser: httpx2.AsyncClient, method: str, path: str, form: dict[str, str]) -> httpx2.Response:
    if method == "POST":
        return await browser.post(path, data=form)
    return await browser.request(method, path, params=form)


async def test_who_may_only_look_changes_nothing(redis_url: str, redis_client: Redis, web: Made) -> None:
    """A page that shows no button is no protection: each request is refused, and nothing is as it was not."""
    async with (
        _scene(redis_url, redis_client, web) as scene,
        visitor(scene.made, headers=_bearer(VIEWER)) as browser,
    ):
        before = scene.state()
        changing = scene.changing()
        assert len(changing) >= len(CHANGES)
        for name, method, path, form in changing:
            answer = await _send(browser, method, path, form)
            assert answer.status_code == 403, (name, answer.status_code)
            assert scene.state() == before, name


async def test_a_right_in_one_queue_is_none_in_another(
    redis_url: str, redis_client: Redis, web: Made
) -> None:
    """An admin of `billing` is nobody in `mail`: changes are refused, and what is there is not told."""
    async with (
        _scene(redis_url, redis_client, web) as scene,
        visitor(scene.made, headers=_bearer(BILLING)) as browser,
    ):
        before = scene.state()
        for name, method, path, form in scene.changing():
            if name == "job_count":
                continue  # counts what may be seen, see below
            answer = await _send(browser, method, path, form)
            refused = answer.status_code in (403, 404) or name == "tasks_act"  # says that it left them alone
            assert refused, (name, answer.status_code)
            assert scene.state() == before, name
        for path in (
            "/queues",
            "/tasks",
            "/",
            "/failures",
            "/schedules",
            "/groups",
            "/api/v1/queues",
            "/jobs",
        ):
            page = await browser.get(path)
            assert page.status_code == 200, path
            assert "task-1" not in page.text, path
            assert "/queues/mail" not in page.text, path
        for path in (
            "/queues/mail",
            "/tasks/mail/task-1",
            "/groups?queue=mail",
            "/api/v1/queues/mail/tasks/task-1",
        ):
            assert (await browser.get(path)).status_code in (403, 404), path


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example"}],
)
async def test_no_other_site_changes_anything(
    redis_url: str, redis_client: Redis, web: Made, headers: dict[str, str]
) -> None:
    """With the cookie of an admin: that is what a browser sends along with a form of somebody else (CSRF)."""
    async with _scene(redis_url, redis_client, web) as scene, visitor(scene.made) as browser:
        assert (await browser.post("/login", data={"token": ADMIN})).status_code == 303
        assert (await browser.get("/queues")).status_code == 200
        del browser.headers["Sec-Fetch-Site"]
        browser.headers.update(headers)
        before = scene.state()
        for name, method, path, form in scene.changing():
            answer = await _send(browser, method, path, form)
            assert answer.status_code == 403, (name, answer.status_code)
        for path in ("/login", "/logout", "/settings"):
            assert (await browser.post(path)).status_code == 403, path
        assert scene.state() == before


async def test_no_stranger_sees_or_changes_anything(redis_url: str, redis_client: Redis, web: Made) -> None:
    """Each route but the login and the style sheets asks who is there."""
    async with _scene(redis_url, redis_client, web) as scene, visitor(scene.made) as browser:
        before = scene.state()
        for name, method, path, form in scene.changing():
            assert (await _send(browser, method, path, form)).status_code == 401, name
        for path in _pages(scene):
            answer = await browser.get(path)
            assert answer.status_code in (303, 401), path
            assert "mail" not in answer.text, path
        assert scene.state() == before


async def test_looking_changes_nothing(redis_url: str, redis_client: Redis, web: Made) -> None:
    """Each page and each address of the API can be fetched ahead by a browser, a crawler or a proxy."""
    async with (
        _scene(redis_url, redis_client, web) as scene,
        visitor(scene.made, headers=_bearer(ADMIN)) as browser,
    ):
        before = scene.state()
        for path in _pages(scene):
            answer = await browser.get(path)
            assert answer.status_code in (200, 404), (path, answer.status_code)
            assert (await browser.head(path)).status_code == answer.status_code, path
        assert scene.state() == before


async def test_read_only_holds_for_every_route(redis_url: str, redis_client: Redis, web: Made) -> None:
    """Also for an admin."""
    async with (
        _scene(redis_url, redis_client, web, read_only=True) as scene,
        visitor(scene.made, headers=_bearer(ADMIN)) as browser,
    ):
        before = scene.state()
        for name, method, path, form in scene.changing():
            answer = await _send(browser, method, path, form)
            assert answer.status_code == 403 or name in ("job_go", "job_cancel"), (name, answer.status_code)
            assert answer.status_code in (403, 404), name
        assert scene.state() == before


async def test_what_is_refused_stands_in_the_trail(redis_url: str, redis_client: Redis, web: Made) -> None:
    """With who it was, and by which way: a page, or a program."""
    async with (
        _scene(redis_url, redis_client, web) as scene,
        visitor(scene.made, headers=_bearer(VIEWER)) as browser,
    ):
        await browser.post("/queues/mail/pause")
        await browser.post("/api/v1/queues/mail/pause")
        page = await browser.get("/audit?outcome=refused")
        assert page.text.count("vera") >= 2
        trail = (await browser.get("/api/v1/audit")).json()["items"]
        found = [(one["actor"], one["via"], one["action"], one["outcome"]) for one in trail[:2]]
        assert found == [("vera", "api", "queue.pause", "refused"), ("vera", "web", "queue.pause", "refused")]


REFUSED: Mapping[str, str] = {
    "queue_pause": "queue.pause",
    "queue_resume": "queue.resume",
    "_remove": "queue.remove",
    "tasks_act": "task.delete",
    "task_act": "task.delete",
    "task_when": "task.reschedule",
    "_edit": "task.edit",
    "_enqueue": "task.enqueue",
    "job_count": "task.delete",
    "job_go": "task.delete",
    "job_cancel": "task.delete",
    "entry_act": "entry.remove",
    "group_run": "task.run",
    "api_pause_queue": "queue.pause",
    "api_resume_queue": "queue.resume",
    "api_remove_queue": "queue.remove",
    "api_run_task": "task.run",
    "api_archive_task": "task.archive",
    "api_cancel_task": "task.cancel",
    "api_delete_task": "task.delete",
    # What is asked before, and the forms.
    "tasks_act?": "task.delete",
    "task_act?": "task.delete",
    "entry_act?": "entry.remove",
    "_edit?": "task.edit",
    "_remove?": "queue.remove",
    "enqueue": "task.enqueue",
    "task_edit": "task.edit",
    "queue_remove": "queue.remove",
}
"""The right that a viewer lacks for each route; `?` stands for a form without its confirmation."""


def _refused(scene: _Scene) -> list[tuple[str, str, str, dict[str, str]]]:
    """Whatever a viewer is refused: each changing route, what is asked before, and the forms to it."""
    found = scene.changing()
    for name, method, path, form in tuple(found):
        less = {key: value for key, value in form.items() if key not in ("sure", "payload", "name", "tasks")}
        if f"{name}?" in REFUSED:
            found.append((f"{name}?", method, path, less))
    for name, parts in (("enqueue", {}), ("task_edit", TASK), ("queue_remove", QUEUE)):
        found.append((name, "GET", str(scene.made.url_path_for(name, **parts)), {}))
    return found


async def test_no_page_keeps_a_refusal_from_the_trail(redis_url: str, redis_client: Redis, web: Made) -> None:
    """What pages refused themselves nobody would know of: each refusal is one record, with who and what."""
    seen: set[str] = set()
    async with _scene(redis_url, redis_client, web) as scene:
        trail = scene.made.site.inspector.trail
        for number, (name, method, path, form) in enumerate(_refused(scene)):
            # Of what is refused to one person only some a minute are kept.
            who = f"vera-{number}"
            async with visitor(scene.made, headers=_bearer(f"{VIEWER}-{number}")) as browser:
                answer = await _send(browser, method, path, form)
                assert answer.status_code == 403, (name, answer.status_code)
            records = (await trail.list(actor=who)).records
            assert [one.outcome for one in records] == ["refused"], name
            assert records[0].action == REFUSED[name], name
            assert records[0].via == ("api" if name.startswith("api_") else "web"), name
            seen.add(name)
    assert seen == set(REFUSED)


def _pages(scene: _Scene) -> list[str]:
    """Every address that answers to GET, with something in its path that is there."""
    parts = {**TASK, **GROUPED, "job": scene.job, "entry": "nightly", "server": "nobody", "part": "payload"}
    found: list[str] = []
    for route in scene.made.routes:
        name = getattr(route, "name", "")
        if "GET" not in (getattr(route, "methods", None) or ()) or name in ("static", "login"):
            continue
        wanted = {part: parts[part] for part in getattr(route, "param_convertors", {})}
        found.append(str(route.url_path_for(name, **wanted)))
    assert len(found) > 30
    return found

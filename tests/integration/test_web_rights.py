"""Every route of the web UI: who may not look sees nothing, and who may not act does nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
import pytest
from redis import Redis
from starlette.routing import Route

from asyncq import Client, Context, Inspector, Mux, Server, Task
from asyncq.inspector import Rights, hide_everything
from asyncq.web import Principal, WebApp, app
from tests.support.keyspace import snapshot
from tests.support.waiting import wait_until
from tests.support.web import visitor

SECRET: Final = "s3cret-of-a-customer"

FREE: Final = ("/static", "/login", "/logout", "/settings", "/api/v1/openapi.json")
"""What needs no right: it shows nothing of Redis, and changes nothing there."""

OWN: Final = ("/jobs",)
"""Lists of what somebody has begun themselves: nothing, of somebody who may do nothing."""

WHO: Final = {
    "admin": Rights.admin(),
    "viewer": Rights.viewer(),
    "nobody": Rights.of(),
    "other": Rights.all(queues=["other"]),
}

PARTS: Final = {
    "queue": "vault",
    "id": "t-scheduled",
    "entry": "vault-entry",
    "group": "vault-group",
    "server": "vault-server",
    "part": "payload",
}

FIELDS: Final = {
    "sure": "1",
    "when": "10m",
    "at": "2030-01-01T00:00:00Z",
    "delay": "600",
    "payload": "1",
    "headers": "",
    "version": "",
    "max_retry": "1",
    "q": "",
    "query": "",
    "type": "x",
    "form": "json",
    "queue": "vault",
    "state": "archived",
    "id": "t-scheduled",
    "ids": "t-scheduled",
    "task": "vault/t-scheduled",
    "force": "1",
    "name": "vault",
    "tasks": "1",
    "reason": "why",
}
"""What forms ask for, as far as one may guess. Each is sent with each action."""

ACTIONS: Final = ("run", "archive", "delete", "cancel", "pause", "resume", "remove")


@asynccontextmanager
async def _site(url: str, **options: Any) -> AsyncIterator[tuple[WebApp, httpx2.AsyncClient]]:
    """A queue with a task of each kind, an entry, a group; and a visitor who says by a header who that is."""
    mux = Mux()

    @mux.handle("vault:")
    async def work(task: Task, ctx: Context) -> str:
        ctx.progress(1, 2, SECRET)
        if task.type == "vault:fails":
            raise ValueError(SECRET)
        return SECRET

    given: dict[str, Any] = {"queue": "vault", "headers": {"auth": SECRET}, "retention": 600}
    async with Client(url) as client, Inspector(url, **options) as inspector:
        await client.enqueue(Task("x"), queue="other", task_id="t-other")
        await client.enqueue(Task("vault:fails", SECRET), task_id="t-archived", max_retry=0, **given)
        await client.enqueue(Task("vault:works", SECRET), task_id="t-completed", **given)
        await client.enqueue(Task("vault:later", SECRET), task_id="t-scheduled", process_in=3600, **given)
        await client.enqueue(Task("vault:part", SECRET), task_id="t-group", group="vault-group", **given)
        entry: Any = {"queue": "vault", "headers": {"auth": SECRET}}
        await client.schedules.upsert("@daily", Task("vault:entry", SECRET), entry_id="vault-entry", **entry)
        async with Server(url, queues=["vault"]).running(mux):

            async def is_over() -> bool:
                info = await inspector.queues.get("vault")
                return (info.archived, info.completed) == (1, 1)

            await wait_until(is_over, "the tasks to be over")
        site = app(inspector, auth=lambda request: _principal(request.headers["x-who"]))
        try:
            async with visitor(site) as browser:
                yield site, browser
        finally:
            await site.aclose()


def _principal(name: str) -> Principal:
    if name == "clerk":
        return Principal(name, Rights.admin(), redact=hide_everything)
    return Principal(name, WHO[name])


def _paths(site: WebApp, methods: set[str], job: str) -> list[tuple[str, str]]:
    """Every route but the free ones: its method, and its path with everything filled in."""
    parts, found = {**PARTS, "job": job}, []
    for route in site.routes:
        assert isinstance(route, Route), f"{route} has to be looked at"
        if route.path.startswith(FREE) or route.methods is None:
            continue
        path = re.sub(r"{(\w+)(:\w+)?}", lambda found: parts.get(found[1], "vault"), route.path)
        found += [(method, path) for method in sorted(route.methods & methods)]
    return found


async def _counted(site: WebApp, browser: httpx2.AsyncClient) -> str:
    """A job that somebody with all rights has begun, and that has only counted."""
    form = {"action": "delete", "q": "queue:vault"}
    answer = await browser.post("/jobs", data=form, headers={"x-who": "admin"})
    assert answer.status_code == 303
    job = answer.headers["location"].rpartition("/")[2]
    found = site.site.jobs.get(job)
    assert found is not None
    await wait_until(lambda: found.is_over, "the job to be over")
    return str(job)


async def _tried(browser: httpx2.AsyncClient, method: str, path: str, who: str) -> list[int]:
    """The answers to a route, to whatever may be asked of it: as a form, and as JSON."""
    headers = {"x-who": who}
    statuses = list[int]()
    for action in ("", *ACTIONS):
        fields = {**FIELDS, "action": action}
        forms: list[dict[str, Any]] = [{"data": fields}]
        if path.startswith("/api/"):
            forms.append({"json": {**fields, "ids": ["t-scheduled"]}, "params": fields})
        for form in forms:
            answer = await browser.request(method, path, headers=headers, **form)
            statuses.append(answer.status_code)
        if 400 not in statuses:
            break  # it asks for no action
    return statuses


@pytest.mark.parametrize("who", ["viewer", "nobody", "other"])
async def test_no_route_changes_anything_for_who_may_not(
    redis_url: str, redis_client: Redis, who: str
) -> None:
    """Whatever is sent, it is refused; and nothing in Redis is another thing than before, but the trail."""
    async with _site(redis_url) as (site, browser):
        job = await _counted(site, browser)
        before = snapshot(redis_client, without=("trail",))
        routes = _paths(site, {"POST", "PUT", "PATCH", "DELETE"}, job)
        assert len(routes) >= 10
        for method, path in routes:
            if who == "other" and "vault" not in path:
                continue  # this one may do such a thing elsewhere: the next test
            statuses = await _tried(browser, method, path, who)
            assert set(statuses) <= {400, 403, 404, 409}, (method, path, statuses)
            assert who != "viewer" or 403 in statuses, f"{method} {path} asks for no right: {statuses}"
        assert snapshot(redis_client, without=("trail",)) == before


async def test_who_may_something_elsewhere_reaches_nothing_else(redis_url: str, redis_client: Redis) -> None:
    """Routes whose address names no queue: the form does, or a filter that means all of them."""
    async with _site(redis_url) as (site, browser):
        job = await _counted(site, browser)
        before = {key: value for key, value in snapshot(redis_client).items() if "vault" in key}
        for method, path in _paths(site, {"POST", "PUT", "PATCH", "DELETE"}, job):
            await _tried(browser, method, path, "other")
        for one in site.site.jobs.all():
            await wait_until(lambda one=one: one.is_over, "the jobs to be over")
        after = {key: value for key, value in snapshot(redis_client).items() if "vault" in key}
        assert after == before


async def test_looking_changes_nothing(redis_url: str, redis_client: Redis) -> None:
    """Links are followed by browsers, mail scanners and crawlers."""
    async with _site(redis_url) as (site, browser):
        job = await _counted(site, browser)
        before = snapshot(redis_client)
        for _, path in _paths(site, {"GET"}, job):
            for query in ("", "?action=delete&sure=1&queue=vault&id=t-scheduled&force=1"):
                answer = await browser.get(path + query, headers={"x-who": "admin"})
                assert answer.status_code < 500, path
        assert snapshot(redis_client) == before


async def test_who_may_not_look_is_shown_nothing(redis_url: str) -> None:
    """Not a page, not a number."""
    async with _site(redis_url) as (site, browser):
        job = await _counted(site, browser)
        for _, path in _paths(site, {"GET"}, job):
            answer = await browser.get(path, headers={"x-who": "nobody"})
            assert answer.status_code in (303, 403, 404) or path in OWN, path
            assert SECRET not in answer.text
            assert "vault:" not in answer.text, path
            assert "vault" in path or "vault" not in answer.text, path


async def test_who_sees_other_queues_is_told_nothing_of_this_one(redis_url: str) -> None:
    """Not its name, not what is in it: only what they have asked for themselves is said back to them."""
    async with _site(redis_url) as (site, browser):
        job = await _counted(site, browser)
        for _, path in _paths(site, {"GET"}, job):
            answer = await browser.get(path, headers={"x-who": "other"}, follow_redirects=False)
            assert SECRET not in answer.text, path
            assert "vault:" not in answer.text, path
            assert "vault" in path or "vault" not in answer.text, path
            assert answer.status_code < 500, path


@pytest.mark.parametrize(
    ("options", "who"), [({"redact": hide_everything}, "admin"), ({}, "clerk")], ids=["all", "one"]
)
async def test_what_is_redacted_is_in_no_page(redis_url: str, options: dict[str, Any], who: str) -> None:
    """Payload, headers, result, error, traceback and progress: from everybody, or from one person."""
    async with _site(redis_url, **options) as (site, browser):
        job = await _counted(site, browser)
        paths = [path for _, path in _paths(site, {"GET"}, job)]
        more = [
            path.replace("t-scheduled", other)
            for path in paths
            if "t-scheduled" in path
            for other in ("t-archived", "t-completed", "t-group")
        ]
        for path in [*paths, *more, f"/tasks?q={SECRET[:6]}", "/tasks?q=error:s3cret"]:
            answer = await browser.get(path, headers={"x-who": who})
            assert answer.status_code in (200, 303, 403, 404), path
            shown = answer.text.replace(SECRET[:6] + '"', "") if "?q=" in path else answer.text
            assert SECRET not in shown, path
        shown = await browser.get("/tasks/vault/t-archived", headers={"x-who": "viewer"})
        assert (SECRET in shown.text) is (who == "clerk")

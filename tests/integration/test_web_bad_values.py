"""Whatever is sent to whatever route, it gets words and a status that says whose fault it is; nothing breaks.

The table in tests/support/web_values.py has each route of the app, and each value that a route reads: what is
missing there fails here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx2
import pytest
from redis import Redis
from starlette.datastructures import FormData, ImmutableMultiDict, QueryParams
from starlette.routing import Route

from asyncq import Client, Mux, Server, Task
from asyncq.inspector import Rights
from asyncq.web import Principal, Tokens, WebApp
from tests.support.waiting import wait_until
from tests.support.web import Made, visitor
from tests.support.web_site import text
from tests.support.web_values import NAME, NO_TEXT, ROUTES, TOKEN, Row

LIVE: Final = "live"
"""Asks any page for its stream; its value is not looked at."""

NO_FORM: Final = ("/logout", "/run", "/cancel")
"""Ends of routes that read no form, so that a broken one is nothing to them. The API reads none either."""


@dataclass(frozen=True)
class _Scene:
    made: WebApp
    redis: Redis
    browser: httpx2.AsyncClient
    parts: Mapping[str, str]

    def state(self) -> dict[bytes, object]:
        """What is in Redis of the queue and of entries, but for the receipts of calls that did nothing."""
        found = [key for key in self.redis.scan_iter(count=1000) if b"{mail}" in key or b"{entries}" in key]
        return {key: self.redis.dump(key) for key in sorted(found) if b"receipt" not in key}


@asynccontextmanager
async def _scene(url: str, redis: Redis, made: WebApp) -> AsyncIterator[_Scene]:
    async with (
        Client(url) as client,
        Server(url, queues=["idle"]).running(Mux()) as server,
        visitor(made, headers={"Authorization": f"Bearer {TOKEN}"}, sees_bugs=True) as browser,
    ):
        await client.enqueue(Task("greet", {"name": "x"}), queue="mail", task_id="task-1", process_in=3600)
        await client.enqueue(Task("greet", {"name": "x"}), queue="mail", group="g1")
        await client.schedules.add("0 3 * * *", Task("greet"), entry_id="nightly", queue="mail")
        answer = await browser.post("/jobs", data={"action": "delete", "q": "queue:nowhere"})
        job = answer.headers["location"].rpartition("/")[2]
        counted = made.site.jobs.get(job)
        assert counted is not None
        await wait_until(lambda: counted.is_over, "the job to have counted")
        parts = {
            "queue": "mail", "id": "task-1", "group": "g1", "entry": "nightly", "server": server.id,
            "job": job, "part": "payload", "path": "app.css",
        }  # fmt: skip
        yield _Scene(made, redis, browser, parts)


@pytest.fixture
async def scene(redis_url: str, redis_client: Redis, web: Made) -> AsyncIterator[_Scene]:
    """A queue with a task, a group and an entry, a job that counted, and somebody who may do everything."""
    made = web(redis_url, auth=Tokens({TOKEN: Principal("ada", Rights.admin())}))
    async with _scene(redis_url, redis_client, made) as ready:
        yield ready


def _known(made: WebApp) -> dict[str, list[str]]:
    """Each route, by method and path as the table has it, with the parts of its path."""
    found: dict[str, list[str]] = {}
    for route in made.routes:
        assert isinstance(route, Route), f"{route} has to be in the table"
        parts = list(route.param_convertors)
        path = route.path_format
        found |= {f"{method} {path}": parts for method in (route.methods or set()) - {"HEAD"}}
    return found


async def test_the_table_has_every_route(redis_url: str, web: Made) -> None:
    """A new route is not proven before it is in there."""
    made = web(redis_url, auth=Tokens(TOKEN))
    assert set(_known(made)) == set(ROUTES)


@dataclass(frozen=True)
class _Try:
    what: str
    url: str
    body: str | None
    answers: frozenset[int]


def _tries(route: str, row: Row, parts: list[str], scene: _Scene) -> Iterator[_Try]:
    """Each bad value, in its place, beside good ones."""
    method, _, path = route.partition(" ")
    good = {name: quote(scene.parts[name], safe="") for name in parts}
    is_form = method == "POST" and not path.startswith("/api/")

    def made(what: str, values: Mapping[str, str], answers: frozenset[int], **others: str) -> _Try:
        pairs = "&".join(f"{name}={value}" for name, value in values.items())
        url = path.format(**{**good, **others})
        return _Try(
            what, url if is_form or not pairs else f"{url}?{pairs}", pairs if is_form else None, answers
        )

    given = {name: quote(value, safe="") for name, value in row.given.items()}
    for name in parts:
        kind = row.parts.get(name, NAME)
        # What a server decodes once, and what only the second layer of it is.
        for value in (*kind.values, "%2500", "%25ff%25fe", "%25ed%25a0%2580"):
            yield made(f"{name}={value[:30]}", given, kind.answers, **{name: value})
    for name, kind in (*row.query.items(), *row.form.items()):
        for value in kind.values:
            # A form that is no UTF-8 is none.
            answers = frozenset({400}) if is_form and value in NO_TEXT else kind.answers
            yield made(f"{name}={value[:30]}", {**given, name: value}, answers)


def _said(answer: httpx2.Response) -> str:
    """What is wrong with the answer to a bad value, if it is one."""
    if answer.status_code < 400:
        return "" if "\n" not in answer.headers.get("location", "") else "a header with lines"
    kind = answer.headers["content-type"]
    if kind == "application/problem+json":
        problem = json.loads(answer.text)
        is_said = problem["status"] == answer.status_code and len(problem["detail"]) > 10
    else:
        is_said = len(text(answer.text.partition("<main")[2] or answer.text)) > 10
    return "" if is_said and "Traceback" not in answer.text else "no message"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of whatever is read from queries and forms."""
    seen: set[str] = set()

    def watch(name: str) -> None:
        original = getattr(ImmutableMultiDict, name)

        def noticed(self: Any, key: Any) -> Any:
            if isinstance(self, QueryParams | FormData):
                seen.add(key)
            return original(self, key)

        monkeypatch.setattr(ImmutableMultiDict, name, noticed)

    for name in ("__getitem__", "__contains__", "getlist"):
        watch(name)
    return seen


AREAS: Final = ("GET /tasks", "GET /api", "GET", "POST /tasks", "POST /enqueue", "POST", "DELETE")


def _area(route: str) -> str:
    return next(area for area in AREAS if route.startswith(area))


@pytest.mark.parametrize("area", AREAS)
async def test_a_bad_value_gets_words_and_the_right_status(scene: _Scene, read: set[str], area: str) -> None:
    """In each part of a path, each value of a query and each field of a form; and nothing is done."""
    wrong: list[str] = []
    known = _known(scene.made)
    before = scene.state()
    for route, row in ROUTES.items():
        if _area(route) != area:
            continue
        method = route.partition(" ")[0]
        read.clear()
        for one in _tries(route, row, known[route], scene):
            headers = {} if one.body is None else {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await scene.browser.request(method, one.url, content=one.body, headers=headers)
            # So many jobs at the same time are refused, whatever they are about.
            await wait_until(lambda: all(job.is_over for job in scene.made.site.jobs.all()), "jobs to end")
            problem = _said(answer)
            if answer.status_code not in one.answers or problem:
                said = text(answer.text.partition("<main")[2] or answer.text)[:150]
                wrong.append(f"{route} {one.what}: {answer.status_code} {problem} {said}")
            if method != "GET":
                after = scene.state()
                if answer.status_code >= 400 and after != before:
                    wrong.append(f"{route} {one.what}: {answer.status_code}, and something was done")
                before = after
        unknown = read - set(row.query) - set(row.form) - set(row.given) - {LIVE}
        if unknown:
            wrong.append(f"{route} reads {sorted(unknown)}, which the table does not have")
    assert not wrong, "\n".join(wrong)


async def test_what_is_no_form_is_refused(scene: _Scene) -> None:
    """Of another kind, broken, of very many fields, or too large; and nothing is done."""
    known = _known(scene.made)
    form = "application/x-www-form-urlencoded"
    bodies: tuple[tuple[bytes, str, int], ...] = (
        (b"action=%ff&sure=1", form, 400),
        (b"\xff\xfe", form, 400),
        (b"a&" * 10_001, form, 400),
        (b'{"action": "delete"}', "application/json", 415),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x", 415),
        (b"a=" + b"x" * 1_100_000, form, 413),
    )
    before = scene.state()
    for route in ROUTES:
        method, _, path = route.partition(" ")
        url = path.format(**{name: quote(scene.parts[name], safe="") for name in known[route]})
        if method != "POST" or path.startswith("/api/") or path.endswith(NO_FORM):
            continue
        for body, kind, status in bodies:
            answer = await scene.browser.post(url, content=body, headers={"Content-Type": kind})
            assert (answer.status_code, _said(answer)) == (status, ""), (route, body[:20], answer.status_code)
    assert scene.state() == before


async def test_another_method_is_refused_in_words(scene: _Scene) -> None:
    """On every address, of pages and of the API."""
    known = _known(scene.made)
    for path, parts in {(route.partition(" ")[2], tuple(parts)) for route, parts in known.items()}:
        url = path.format(**{name: quote(scene.parts[name], safe="") for name in parts})
        answer = await scene.browser.patch(url)
        assert (answer.status_code, _said(answer)) == (405, ""), path


@pytest.mark.parametrize(
    "value", ["", "%00", "\\xff", "x" * 4000, "theme=pink&refresh=nan", "ZG9uZTo=", "%ff%fe"]
)
async def test_an_odd_cookie_is_no_cookie(scene: _Scene, value: str) -> None:
    """Other applications of this host set cookies, too."""
    for name in ("asyncq_settings", "asyncq_flash", "asyncq"):
        for path in ("/queues", "/settings", "/tasks"):
            answer = await scene.browser.get(path, headers={"Cookie": f"{name}={value}"})
            assert answer.status_code == 200, (name, path)


@pytest.mark.parametrize("path", ["/queues", "/servers", "/groups", "/schedules", "/audit", "/"])
async def test_a_stream_that_cannot_begin_says_why(scene: _Scene, path: str) -> None:
    """As a status and a line: the page around it is there already."""
    bad = {"/audit": "action=odd", "/": "span=odd"}.get(path, "page=odd")
    answer = await scene.browser.get(f"{path}?live=1&{bad}")
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert "expected" in answer.text

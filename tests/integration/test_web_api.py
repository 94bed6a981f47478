"""The JSON API says the same as the pages, and its document says what it is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq.web import NoAuth, WebApp
from asyncq.web.api.encoding import encode
from tests.conftest import AnyRedis
from tests.support.web import Made, visitor


async def test_queues_and_tasks(any_redis: AnyRedis, web: Made) -> None:
    """Look, pause, act on a task, remove: on every kind of Redis."""
    async with Client(any_redis.url) as client:
        info = await client.enqueue(Task("greet", {"name": "x", "big": 2**60}), queue="mail")
        await client.enqueue(Task("greet", b"\x00\xff"), queue="mail", task_id="bytes/1")
    made = web(any_redis.url, auth=NoAuth())
    async with visitor(made) as browser:

        async def get(path: str) -> Any:
            answer = await browser.get(f"/api/v1{path}")
            assert answer.status_code == 200, (path, answer.text)
            return answer.json()

        found = await get("/queues?q=ma")
        assert (found["total"], found["items"][0]["name"]) == (1, "mail")
        assert found["items"][0]["sizes"]["pending"] == 2
        assert found["items"][0]["is_served"] is False
        assert (await browser.post("/api/v1/queues/mail/pause")).json() == {"changed": True}
        assert (await get("/queues/mail"))["is_paused"] is True
        assert (await browser.post("/api/v1/queues/mail/resume")).json() == {"changed": True}
        assert (await get("/queues/mail/history?days=3"))["total"] == 3
        assert (await get("/queues/mail/memory"))["total"] > 0
        assert (await get("/queues/mail/groups")) == {"items": [], "total": 0}
        tasks = (await get("/queues/mail/tasks?state=pending"))["items"]
        assert {one["id"] for one in tasks} == {info.id, "bytes/1"}
        task = await get(f"/queues/mail/tasks/{info.id}")
        # Whole numbers that JavaScript would round come as text.
        assert task["payload"] == {"name": "x", "big": str(2**60)}
        assert (await get("/queues/mail/tasks/bytes%252F1"))["payload"] == {"base64": "AP8="}
        assert (await browser.post(f"/api/v1/queues/mail/tasks/{info.id}/archive")).status_code == 200
        assert (await browser.post(f"/api/v1/queues/mail/tasks/{info.id}/archive")).status_code == 409
        assert (await browser.post(f"/api/v1/queues/mail/tasks/{info.id}/run")).status_code == 200
        cancelled = await browser.post(f"/api/v1/queues/mail/tasks/{info.id}/cancel")
        assert cancelled.json() == {"done": True, "answer": "cancelled"}
        assert (await browser.delete(f"/api/v1/queues/mail/tasks/{info.id}")).status_code == 200
        assert (await browser.delete("/api/v1/queues/mail")).status_code == 409
        assert (await browser.delete("/api/v1/queues/mail?force=true")).json() == {"removed": 1}
        assert (await get("/queues"))["items"] == []
    await made.aclose()


async def test_servers_measures_and_redis(redis_url: str, web: Made) -> None:
    """What runs, how it went, and what Redis says of itself."""
    made = web(redis_url, auth=NoAuth())
    mux = Mux()

    @mux.handle("greet")
    async def greet(_: Task) -> None:
        return

    async with Client(redis_url) as client, Server(redis_url, concurrency=3).running(mux) as server:
        await client.enqueue(Task("greet"))
        async with visitor(made) as browser:
            servers = (await browser.get("/api/v1/servers")).json()["items"]
            assert [(one["id"], one["concurrency"]) for one in servers] == [(server.id, 3)]
            assert (await browser.get(f"/api/v1/servers/{server.id}")).json()["queues"] == {"default": 1}
            assert (await browser.get("/api/v1/workers")).json()["total"] in (0, 1)
            measures = (await browser.get("/api/v1/measures?span=1h")).json()
            assert measures["total"] >= 60
            assert {"at", "processed", "wait", "oldest"} <= set(measures["items"][0])
            assert (await browser.get("/api/v1/types")).status_code == 200
            redis = (await browser.get("/api/v1/redis")).json()["items"]
            assert redis[0]["role"] == "primary"
            assert (await browser.get(f"/servers/{server.id}")).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/queues/nothing", 404),
        ("/queues/mail/tasks/nothing", 404),
        ("/servers/nothing", 404),
        ("/queues?size=0", 400),
        ("/queues?size=x", 400),
        ("/queues?start=-1", 400),
        ("/queues/mail/history?days=1000", 400),
        ("/queues/mail/tasks?state=odd", 400),
        ("/queues/mail/tasks?state=pending&cursor=odd", 400),
        ("/queues/mail/tasks?state=aggregating", 400),
        ("/measures?span=year", 400),
        ("/measures?queue=nothing", 404),
        ("/audit?size=9999", 400),
        ("/audit?outcome=odd", 400),
        ("/audit?cursor=odd", 400),
        ("/nothing", 404),
    ],
)
async def test_bad_questions_get_words(redis_url: str, web: Made, path: str, status: int) -> None:
    """As problem+json, with the status that says whose fault it is."""
    async with Client(redis_url) as client:
        await client.enqueue(Task("greet"), queue="mail")
    async with visitor(web(redis_url, auth=NoAuth())) as browser:
        answer = await browser.get(f"/api/v1{path}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert len(answer.json()["detail"]) > 10


async def test_payloads_are_shown_as_the_redactor_lets_them(redis_url: str, web: Made) -> None:
    """On the pages and in the API alike: both have them from the same inspector."""
    async with (
        Client(redis_url) as client,
        Inspector(redis_url, redact=lambda value, about: "•") as inspector,
    ):
        info = await client.enqueue(Task("greet", {"card": "4111-1111"}, headers={"k": "4111-1111"}))
        made = web(inspector, auth=NoAuth())
        async with visitor(made) as browser:
            for path in (
                f"/api/v1/queues/default/tasks/{info.id}",
                "/api/v1/queues/default/tasks?state=pending",
                f"/tasks/default/{info.id}",
                "/tasks?q=4111",
                "/tasks",
            ):
                answer = await browser.get(path)
                assert answer.status_code == 200, path
                assert "4111-1111" not in answer.text, path


async def test_the_document_names_every_address(redis_url: str, web: Made) -> None:
    """It is made from the same table as the routes; here each is compared with them."""
    made: WebApp = web(redis_url, auth=NoAuth(), title="ours", base_path="/ops")
    async with visitor(made) as browser:
        document = (await browser.get("/api/v1/openapi.json")).json()
    assert (document["openapi"], document["info"]["title"]) == ("3.1.0", "ours")
    assert document["servers"] == [{"url": "/ops/api/v1"}]
    named = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    routed = {
        (method, re.sub(r":asyncq", "", route.path).removeprefix("/api/v1"))
        for route in made.routes
        for method in (getattr(route, "methods", None) or set()) - {"HEAD"}
        if getattr(route, "path", "").startswith("/api/v1/")
    }
    assert named == routed - {("GET", "/openapi.json")}
    ids = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))


def test_odd_values_become_json() -> None:
    """Payloads hold what JSON does not."""
    import math
    from datetime import UTC, datetime

    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    assert encode(math.nan) is None
    assert encode(math.inf) is None
    assert encode({1: (1, {2})}) == {"1": [1, [2]]}
    assert encode(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00+00:00"
    assert "…" in str(encode(deep))
    assert encode(object()).startswith("<object")
    # Half a character is text in Python, and nothing that can be sent.
    assert encode({"a\ud800": ["b\udfff"]}) == {"a?": ["b?"]}

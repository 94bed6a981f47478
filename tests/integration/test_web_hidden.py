"""Pages of tasks behind a redactor: nothing hidden is shown, and nothing hidden is written over."""

from __future__ import annotations

from typing import Any

import pytest

from asyncq import Mux, Server, Task
from asyncq.inspector import hide_fields
from tests.conftest import AnyRedis
from tests.support.waiting import wait_until
from tests.support.web_site import at_site, field, text


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_what_is_hidden_is_hidden_everywhere(any_redis: AnyRedis) -> None:
    """And cannot be overwritten, copied, downloaded or searched for."""
    secret = "s3cret-card-number"

    def redact(value: Any, subject: Any) -> Any:
        return "***" if subject.part in ("payload", "headers", "result", "error", "traceback") else value

    mux = Mux()

    @mux.handle("x")
    async def fail(_: Task) -> None:
        raise ValueError(secret)

    async with at_site(any_redis.url, redact=redact) as site:
        async with Server(any_redis.url, queues=["q"]).running(mux):
            await site.client.enqueue(
                Task("x", secret, headers={"h": secret}), queue="q", task_id="t", max_retry=0
            )

            async def is_archived() -> bool:
                return (await site.inspector.tasks.get("q", "t")).state == "archived"

            await wait_until(is_archived, "the task to be archived")
        for path in ("/tasks", "/tasks/q/t", "/failures"):
            assert secret not in await site.get(path)
        found = (await site.visitor.get("/tasks", params={"q": f"payload:{secret}"})).text
        assert "/tasks/q/t" not in found
        found = (await site.visitor.get("/tasks", params={"q": f"error:{secret}"})).text
        assert "/tasks/q/t" not in found
        for path in ("/tasks/q/t/raw/payload", "/enqueue?copy_queue=q&copy_id=t"):
            assert secret not in await site.get(path, status=403)
        form = await site.get("/tasks/q/t/edit")
        assert secret not in form
        refused = await site.post("/tasks/q/t/edit", status=403, payload="1")
        assert "hidden" in text(refused.text)
        sent = {name: field(form, name) for name in ("payload", "headers", "version")}
        await site.post("/tasks/q/t/edit", **sent, max_retry="7")
        info = await site.inspector.tasks.get("q", "t")
        assert (info.payload, info.headers, info.max_retry) == (secret, {"h": secret}, 7)
        await site.post("/enqueue", status=403, type="x", queue="q", form="same", copy_queue="q", copy_id="t")


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_a_form_that_hides_fields_changes_the_others(any_redis: AnyRedis) -> None:
    """What is sent back as it was seen is not written over what was there."""
    async with at_site(any_redis.url, redact=hide_fields("card")) as site:
        await site.client.enqueue(
            Task("x", {"card": "4111-4111-4111", "n": 1}), queue="q", task_id="t", process_in=60
        )
        form = await site.get("/tasks/q/t/edit")
        assert "4111-4111-4111" not in form
        payload = field(form, "payload").replace('"n": 1', '"n": 2')
        await site.post("/tasks/q/t/edit", payload=payload, version=field(form, "version"))
        assert (await site.inspector.tasks.get("q", "t")).payload == {"card": "4111-4111-4111", "n": 2}
        again = field(await site.get("/tasks/q/t/edit"), "payload")
        refused = await site.post("/tasks/q/t/edit", status=403, payload=again.replace("[hidden]", "other"))
        assert "other" in field(refused.text, "payload")
        assert (await site.inspector.tasks.get("q", "t")).payload == {"card": "4111-4111-4111", "n": 2}

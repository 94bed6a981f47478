"""The page of one task: what it shows, and what can be done there."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
import sys
from html import unescape
from typing import Any

import pytest

from asyncq import Client, Context, Mux, Server, Task
from asyncq.inspector import Rights
from asyncq.web import Principal
from tests.conftest import AnyRedis
from tests.support.waiting import wait_until
from tests.support.web_site import Site, at_site, field, text

BIG = 2**63 + 1


async def _state(site: Site, task_id: str = "t") -> str:
    return str((await site.inspector.tasks.get("q", task_id)).state)


async def test_a_page_says_what_happened(any_redis: AnyRedis) -> None:
    """Each delivery with its error and traceback, and what comes next."""
    mux = Mux()

    @mux.handle("x")
    async def fail(_: Task) -> None:
        raise ValueError("<b>no</b> address")

    async with at_site(any_redis.url) as site:
        async with Server(any_redis.url, queues=["q"], retry=lambda *_: 0.01).running(mux):
            await site.client.enqueue(Task("x", {"n": BIG}), queue="q", task_id="t", max_retry=2)

            async def is_archived() -> bool:
                return await _state(site) == "archived"

            await wait_until(is_archived, "the task to be archived")
        page = await site.get("/tasks/q/t")
        assert "<b>no</b>" not in page
        said = text(page)
        for number in (1, 2):
            assert f"Delivery {number}: failed, to run again" in said
        assert "Delivery 3: failed, no retries left" in said
        assert said.count("ValueError: <b>no</b> address") >= 3
        assert "in fail" in said
        assert str(BIG) in said
        assert "Run with all retries" in said


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (None, "none"),
        (b"\x00\xff\xfe" * 3, "00 ff fe"),
        (b"caf\xc3\xa9", "café"),
        ("plain <i>text</i>", "plain <i>text</i>"),
        ({"big": BIG, "list": [1, {"a": None}]}, str(BIG)),
        ({1: "int key", "bytes": b"\xff"}, "int key"),
        ("x" * 300_000, "This is the beginning"),
        (b"\x00" * 300_000, "This is the beginning"),
        (float("nan"), "NaN"),
    ],
)
async def test_payloads_of_any_kind_are_shown(any_redis: AnyRedis, payload: Any, shown: str) -> None:
    """And as a file they are what they were."""
    async with at_site(any_redis.url) as site:
        await site.client.enqueue(Task("x", payload), queue="q", task_id="t")
        page = await site.get("/tasks/q/t")
        assert len(page) < 200_000
        assert "<i>text" not in page
        assert shown in text(page)
        answer = await site.visitor.get("/tasks/q/t/raw/payload")
        info = await site.inspector.tasks.get("q", "t")
        assert answer.content == info.raw
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
        await site.get("/tasks/q/t/raw/result", status=404)
        await site.get("/tasks/q/t/raw/message", status=404)


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_what_is_nested_without_end_breaks_no_page(any_redis: AnyRedis) -> None:
    """A list in a list in a list."""
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    async with at_site(any_redis.url) as site:
        await site.client.enqueue(Task("x", deep), queue="q", task_id="t")
        await site.client.enqueue(Task("x", json.dumps("[" * 5000).encode()), queue="q", task_id="u")
        for path in ("/tasks/q/t", "/tasks/q/u", "/tasks/q/t/edit", "/tasks?q=payload:x"):
            await site.get(path)


async def test_each_action_is_done(any_redis: AnyRedis) -> None:
    """What destroys is asked about once more."""
    async with at_site(any_redis.url) as site:
        await site.client.enqueue(Task("x"), queue="q", task_id="t", process_in=600)
        for action, state in (
            ("run", "pending"),
            ("archive", "archived"),
            ("run", "pending"),
            ("cancel", "archived"),
        ):
            if action != "run":
                answer = await site.post("/tasks/q/t", status=200, action=action)
                assert "No, go back" in answer.text
            await site.follow(await site.post("/tasks/q/t", action=action, sure="1"))
            assert await _state(site) == state
        await site.post("/tasks/q/t", status=409, action="archive", sure="1")
        assert "task t of q" in (await site.post("/tasks/q/t", status=200, action="delete")).text
        await site.follow(await site.post("/tasks/q/t", action="delete", sure="1"))
        await site.get("/tasks/q/t", status=404)
        await site.post("/tasks/q/t", status=404, action="run")
        await site.post("/tasks/q/t", status=400, action="explode")


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_a_task_is_put_off(any_redis: AnyRedis) -> None:
    """By so long, or until a time."""
    async with at_site(any_redis.url) as site:
        await site.client.enqueue(Task("x"), queue="q", task_id="t")
        for when in ("10m", "in 1h30m", "2099-01-02 03:04", "2099-01-02T03:04:05+02:00"):
            await site.follow(await site.post("/tasks/q/t/when", when=when))
            assert await _state(site) == "scheduled"
        due = (await site.inspector.tasks.get("q", "t")).next_process_at
        assert due is not None
        assert due.isoformat() == "2099-01-02T01:04:05+00:00"
        for when in ("", "soon", "-5", "99999999999h", "10"):
            await site.post("/tasks/q/t/when", status=400, when=when)


async def test_a_payload_is_edited_if_it_is_still_what_was_seen(any_redis: AnyRedis) -> None:
    """Numbers of any size stay exact, and what was not touched stays as it is."""
    async with at_site(any_redis.url) as site:
        payload = {"n": BIG, "s": "é\nü", "list": [1.5, True, None]}
        await site.client.enqueue(
            Task("x", payload, headers={"a": "b"}), queue="q", task_id="t", process_in=600
        )
        form = await site.get("/tasks/q/t/edit")
        given = {
            name: field(form, name) for name in ("payload", "headers", "max_retry", "timeout", "version")
        }
        assert json.loads(given["payload"]) == payload
        assert "Nothing was changed" in await site.follow(await site.post("/tasks/q/t/edit", **given))
        given["payload"] = given["payload"].replace("1.5", str(BIG + 1)).replace("\n", "\r\n")
        await site.follow(await site.post("/tasks/q/t/edit", **given))
        info = await site.inspector.tasks.get("q", "t")
        assert info.payload == {**payload, "list": [BIG + 1, True, None]}
        assert (dict(info.headers), info.max_retry, info.timeout) == ({"a": "b"}, 25, 1800.0)
        # It is another one by now: nothing is changed, and nothing that was written is lost.
        given["payload"] = '"mine"'
        answer = await site.post("/tasks/q/t/edit", status=409, **given)
        assert field(answer.text, "payload") == '"mine"'
        assert field(answer.text, "version") == info.version
        for name, wrong in (
            ("payload", "{no json"),
            ("payload", "NaN"),
            ("headers", "no colon"),
            ("max_retry", "-1"),
            ("timeout", "soon"),
        ):
            fields = {"version": info.version, name: wrong}
            answer = await site.post("/tasks/q/t/edit", status=400, **fields)
            assert field(answer.text, name) == wrong
        assert (await site.inspector.tasks.get("q", "t")).version == info.version


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
@pytest.mark.parametrize("payload", [b"\xff", {1: 2}, {"b": b"x"}, {"s": {1, 2}}, (float("inf"),), b"a\r\nb"])
async def test_what_text_would_change_is_not_edited_as_text(any_redis: AnyRedis, payload: Any) -> None:
    """The rest of the task is."""
    async with at_site(any_redis.url) as site:
        await site.client.enqueue(Task("x", payload), queue="q", task_id="t", process_in=600)
        before = await site.inspector.tasks.get("q", "t")
        form = await site.get("/tasks/q/t/edit")
        assert 'name="payload"' not in form
        await site.post("/tasks/q/t/edit", version=before.version, payload="1", max_retry="3")
        after = await site.inspector.tasks.get("q", "t")
        assert (after.raw, after.max_retry) == (before.raw, 3)
        # A copy is that of the very payload.
        form = await site.get("/enqueue?copy_queue=q&copy_id=t")
        fields = {
            "type": "x",
            "queue": "q",
            "form": "same",
            "copy_queue": "q",
            "copy_id": "t",
            "task_id": "copy",
        }
        await site.post("/enqueue", **fields)
        assert (await site.inspector.tasks.get("q", "copy")).raw == before.raw


async def test_a_task_is_enqueued_by_hand(any_redis: AnyRedis) -> None:
    """From nothing, and as a copy."""
    async with at_site(any_redis.url) as site:
        fields = {
            "type": "email:send",
            "queue": "q",
            "form": "json",
            "payload": f'{{"n": {BIG}}}',
            "task_id": "t",
        }
        options = {"when": "10m", "max_retry": "3", "headers": "a: b", "retention": "1h", "timeout": "30"}
        page = text(await site.follow(await site.post("/enqueue", **fields, **options)))
        assert "The task was enqueued" in page
        info = await site.inspector.tasks.get("q", "t")
        assert (info.type, info.payload, info.state) == ("email:send", {"n": BIG}, "scheduled")
        assert (info.max_retry, dict(info.headers), info.retention, info.timeout) == (3, {"a": "b"}, 3600, 30)
        await site.post("/enqueue", status=409, **fields)
        form = await site.get("/enqueue?copy_queue=q&copy_id=t")
        assert json.loads(field(form, "payload")) == {"n": BIG}
        assert field(form, "type") == "email:send"
        answer = await site.post(
            "/enqueue", type="raw", queue="q", form="text", payload="a\r\nb", task_id="u"
        )
        await site.follow(answer)
        assert (await site.inspector.tasks.get("q", "u")).raw == b"a\nb"


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"type": ""}, 400),
        ({"payload": "{no"}, 400),
        ({"form": "pickle"}, 400),
        ({"form": "same"}, 400),
        ({"queue": "{q}"}, 400),
        ({"when": "yesterday"}, 400),
        ({"max_retry": "x"}, 400),
        ({"unique": "-1"}, 400),
        ({"task_id": "taken"}, 409),
        ({"payload": "[" * 100_000}, 400),
    ],
)
async def test_a_task_that_is_wrong_is_not_enqueued(any_redis: AnyRedis, fields: Any, status: int) -> None:
    """What was written is still there."""
    async with at_site(any_redis.url) as site:
        await site.client.enqueue(Task("x"), queue="q", task_id="taken")
        given = {"type": "kept", "queue": "q", "form": "json", "payload": "", **fields}
        answer = await site.post("/enqueue", status=status, **given)
        assert field(answer.text, "type") == given["type"]
        assert (await site.inspector.queues.get("q")).size == 1


async def test_progress_and_result_are_shown(any_redis: AnyRedis) -> None:
    """While it runs, and after it."""
    mux, go = Mux(), asyncio.Event()

    @mux.handle("x")
    async def work(_: Task, *, ctx: Context) -> Any:
        ctx.progress(3, 10, note="<em>step</em>")
        await go.wait()
        return {"answer": BIG}

    async with at_site(any_redis.url) as site, Server(any_redis.url, queues=["q"]).running(mux) as server:
        await site.client.enqueue(Task("x"), queue="q", task_id="t", retention=600)

        async def has_progress() -> bool:
            return (await site.inspector.tasks.get("q", "t")).progress is not None

        await wait_until(has_progress, "progress")
        page = await site.get("/tasks/q/t")
        assert "<em>step" not in page
        said = text(page)
        assert "3 of 10 <em>step</em>" in said
        assert "Delivery 1: running" in said
        assert server.id in said
        go.set()

        async def is_completed() -> bool:
            return await _state(site) == "completed"

        await wait_until(is_completed, "the task to succeed")
        said = text(await site.get("/tasks/q/t"))
        assert "Succeeded" in said
        assert str(BIG) in said


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_odd_names_go_round(any_redis: AnyRedis) -> None:
    """Slashes, dots, percent signs and quotes in ids and queues."""
    async with at_site(any_redis.url) as site:
        for queue, task_id in (("a/b", "../c"), ("%2e%2e", ".."), ("é ?#", "\"'&;"), ("..", "%252F")):
            await site.client.enqueue(Task("x", queue), queue=queue, task_id=task_id)
        links = re.findall(r'<th scope="row"><a href="([^"]+)"', await site.get("/tasks"))
        assert len(links) == 4
        for link in links:
            assert "Waits for a server" in await site.get(unescape(link))


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_in_the_asynq_wire_it_is_the_same(any_redis: AnyRedis) -> None:
    """JSON that Go has written is edited as JSON."""
    async with at_site(any_redis.url, wire="asynq") as site:
        await site.client.enqueue(Task("x", {"n": BIG}), queue="q", task_id="t", process_in=600)
        form = await site.get("/tasks/q/t/edit")
        version, payload = field(form, "version"), field(form, "payload")
        await site.post("/tasks/q/t/edit", version=version, payload=payload.replace(str(BIG), "7"))
        assert (await site.inspector.tasks.get("q", "t")).payload == {"n": 7}


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_what_is_to_be_copied_enqueues_the_same(any_redis: AnyRedis) -> None:
    """The command and the call, as they stand on the page."""
    payload = {"text": 'it\'s "quoted" $HOME `x`', "n": BIG}
    async with at_site(any_redis.url) as site:
        task = Task("-x:'y'", payload, headers={"a": "b c"}, retention=90)
        await site.client.enqueue(task, queue="q q", task_id="t", max_retry=3, timeout=20)
        page = await site.get("/tasks/q%2520q/t")
        python, command = map(unescape, re.findall(r'data-copy="([^"]*)"', page))
        found: dict[str, Any] = {"client": site.client, "Task": Task}
        exec(f"async def again():\n    return {python}", found)  # noqa: S102 - it is what people do with it
        await found["again"]()
        where = ["--url", any_redis.url, "--json"]
        arguments = [sys.executable, "-m", "asyncq", "enqueue", *where, *shlex.split(command)[2:]]
        made = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        copies = (await site.inspector.search.find('queue:"q q" state:pending')).tasks
        assert len(copies) == 3
        for info in copies:
            seen = (info.type, info.payload, dict(info.headers), info.retention, info.max_retry, info.timeout)
            assert seen == ("-x:'y'", payload, {"a": "b c"}, 90, 3, 20)


@pytest.mark.parametrize("any_redis", ["single"], indirect=True)
async def test_an_operator_may_not_edit(any_redis: AnyRedis) -> None:
    """Rights are asked about one by one."""
    who = Principal("op", Rights.operator())
    async with at_site(any_redis.url, auth=lambda _: who) as site:
        async with Client(any_redis.url) as client:
            await client.enqueue(Task("x"), queue="q", task_id="t", process_in=600)
        page = text(await site.get("/tasks/q/t"))
        assert "Run now" in page
        assert "Edit" not in page
        await site.get("/tasks/q/t/edit", status=403)
        await site.post("/tasks/q/t", status=403, action="delete", sure="1")
        await site.follow(await site.post("/tasks/q/t", action="run"))
        assert await _state(site) == "pending"

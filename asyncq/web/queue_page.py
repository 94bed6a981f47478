"""The screen of one queue: what is in it, how fast it is worked off, its history, and removing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq.errors import ConfigError, QueueNotEmptyError
from asyncq.inspector import DailyStats, QueueMemory, TaskQuery
from asyncq.web.bulk import begin
from asyncq.web.figures import SPANS, charts, pace
from asyncq.web.forms import choice_of, form_of, text_of
from asyncq.web.jobs import Order
from asyncq.web.live import live_page
from asyncq.web.measuring import drawn, listed_types
from asyncq.web.pages import page, turn_to
from asyncq.web.queues import has_no_workers
from asyncq.web.sampling import servers_of
from asyncq.web.site import CONVERTOR, inspector_of, path_to, site_of

DAYS: Final = 14
"""Of the history that is shown."""

FRESH: Final = 30.0
"""Seconds for which memory and history are shown."""


async def _content(request: Request) -> Mapping[str, Any]:
    queue: str = request.path_params["queue"]
    inspector, samples = inspector_of(request), site_of(request).samples
    span = choice_of(request.query_params, "span", [one[0] for one in SPANS])
    info = await inspector.queues.get(queue)
    servers = await servers_of(request)
    points = await drawn(request, queue, span)
    recent = points if span == "1h" else await drawn(request, queue, "1h")
    speed = pace(recent)
    history: list[DailyStats] = await samples.get(
        ("history", inspector.rights, queue), lambda: inspector.queues.history(queue, days=DAYS), fresh=FRESH
    )
    memory: QueueMemory = await samples.get(
        ("memory", inspector.rights, queue), lambda: inspector.queues.memory(queue), fresh=FRESH
    )
    return {
        "title": f"Queue {queue}",
        "nav": "queues",
        "info": info,
        "serving": [one for one in servers if queue in one.queues],
        "has_no_workers": has_no_workers(info, frozenset(name for one in servers for name in one.queues)),
        "pace": speed,
        "drain": speed.drain(info),
        "history": history,
        "memory": memory,
        "types": await listed_types(request, queue),
        "charts": charts(points),
        "span": span,
        "spans": SPANS,
    }


async def _show(request: Request) -> Response:
    return await live_page(request, "queue.html", "_queue.html", _content)


async def _ask(request: Request) -> Response:
    queue: str = request.path_params["queue"]
    await inspector_of(request).require("queue.remove", queue)
    info = await inspector_of(request).queues.get(queue)
    return page(request, "queue_remove.html", title=f"Remove {queue}", nav="queues", info=info)


async def _remove(request: Request) -> Response:
    queue: str = request.path_params["queue"]
    inspector, form = inspector_of(request), await form_of(request)
    has_tasks = text_of(form, "tasks") == "1"
    target = "with its tasks" if has_tasks else "if it is empty"
    # Before the form is judged: who may not do it is told that, and nothing else.
    await inspector.require("queue.remove", queue, target=target)
    if text_of(form, "name") != queue:
        raise ConfigError("name", text_of(form, "name"), f"the name of the queue, {queue!r}, typed out")
    if has_tasks:
        # Of a queue that is not there it is said at once, and not by a job.
        await inspector.queues.get(queue)
        return begin(request, Order(action="remove", query=TaskQuery(queue=(queue,)), queue=queue))
    try:
        await inspector.queues.remove(queue)
    except QueueNotEmptyError as error:
        where = path_to(request, "queue_remove", queue=queue)
        return turn_to(request, where, f"{error}. Nothing was done.", kind="problem")
    site_of(request).samples.forget()
    return turn_to(request, path_to(request, "queues"), f"Queue {queue} was removed; it was empty.")


_ONE: Final = f"/queues/{{queue:{CONVERTOR}}}"

routes = [
    Route(_ONE, _show, methods=["GET"], name="queue"),
    Route(f"{_ONE}/remove", _ask, methods=["GET"], name="queue_remove"),
    Route(f"{_ONE}/remove", _remove, methods=["POST"]),
]

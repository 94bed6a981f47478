"""The screen of groups: tasks that wait to become one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq.inspector import Found, GroupInfo, TaskQuery
from asyncq.web.bulk import begin
from asyncq.web.forms import text_of, whole_of
from asyncq.web.jobs import Order
from asyncq.web.live import live_page
from asyncq.web.paging import paged
from asyncq.web.sampling import sizes_now
from asyncq.web.site import CONVERTOR, inspector_of, site_of


async def _content(request: Request) -> Mapping[str, Any]:
    query = request.query_params
    queue, search = text_of(query, "queue"), text_of(query, "q")
    queues = await sizes_now(request)
    with_groups = [info for info in queues if info.groups]
    if not queue and len(with_groups) == 1:
        queue = with_groups[0].name
    groups: Found[GroupInfo] = Found()
    if queue:
        inspector = inspector_of(request)
        groups = await site_of(request).samples.get(
            ("groups", inspector.rights, queue), lambda: inspector.groups.list(queue, partial=True)
        )
    wanted = [one for one in groups if search.lower() in one.name.lower()]
    number = whole_of(query, "page", 1, least=1, most=1_000_000)
    return {
        "title": f"Groups of {queue}" if queue else "Groups",
        "nav": "groups",
        "queue": queue,
        "queues": paged(with_groups, 1 if queue else number, size=200 if queue else 50),
        "shown": paged(wanted, number),
        "search": search,
        "missing": [*dict.fromkeys((*queues.missing, *groups.missing))],
    }


async def _show(request: Request) -> Response:
    return await live_page(request, "groups.html", "_groups.html", _content)


async def _run(request: Request) -> Response:
    """Let all of a group run, as a job: there may be a million of them."""
    queue: str = request.path_params["queue"]
    group: str = request.path_params["group"]
    inspector = inspector_of(request)
    order = Order(action="run", query=TaskQuery(queue=(queue,), group=group), queue=queue)
    await inspector.require(order.right, queue, target=order.about)
    # Of a group that is not there it is said at once, and not by a job.
    await inspector.groups.get(queue, group)
    return begin(request, order)


routes = [
    Route("/groups", _show, methods=["GET"], name="groups"),
    Route(
        f"/groups/{{queue:{CONVERTOR}}}/{{group:{CONVERTOR}}}/run", _run, methods=["POST"], name="group_run"
    ),
]

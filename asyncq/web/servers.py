"""The screens of servers, and of what they run at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq._clock import now
from asyncq.web.forms import text_of, whole_of
from asyncq.web.live import live_page
from asyncq.web.paging import paged
from asyncq.web.sampling import servers_of, workers_of
from asyncq.web.site import CONVERTOR, inspector_of


async def _content(request: Request) -> Mapping[str, Any]:
    query = request.query_params
    search = text_of(query, "q")
    servers, workers = await servers_of(request), await workers_of(request)
    wanted = [
        info for info in servers if search.lower() in f"{info.id} {info.host} {info.name} {info.pid}".lower()
    ]
    shown = paged(wanted, whole_of(query, "page", 1, least=1, most=1_000_000))
    running = paged(workers, whole_of(query, "running", 1, least=1, most=1_000_000))
    return {
        "title": "Servers",
        "nav": "servers",
        "shown": shown,
        "running": running,
        "search": search,
        "missing": [*servers.missing, *workers.missing],
        "now": now(),
    }


async def _show(request: Request) -> Response:
    return await live_page(request, "servers.html", "_servers.html", _content)


async def _one(request: Request) -> Mapping[str, Any]:
    server_id: str = request.path_params["server"]
    info = await inspector_of(request).servers.get(server_id)
    workers = await inspector_of(request).servers.workers(server_id=server_id, partial=True)
    number = whole_of(request.query_params, "running", 1, least=1, most=1_000_000)
    return {
        "title": f"Server {info.name or info.host}",
        "nav": "servers",
        "info": info,
        "running": paged(workers, number),
        "missing": workers.missing,
        "now": now(),
    }


async def _show_one(request: Request) -> Response:
    return await live_page(request, "server.html", "_server.html", _one)


routes = [
    Route("/servers", _show, methods=["GET"], name="servers"),
    Route(f"/servers/{{server:{CONVERTOR}}}", _show_one, methods=["GET"], name="server"),
]

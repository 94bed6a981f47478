"""The screen of Redis: is there room, and is what is written kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq.inspector import RedisInfo
from asyncq.web import formats
from asyncq.web.live import live_page
from asyncq.web.sampling import redis_of
from asyncq.web.site import inspector_of

NEARLY_FULL: Final = 0.85
"""Of the limit of memory: from here on somebody should look."""

FRAGMENTED: Final = 1.8
SMALL: Final = 256 * 1024 * 1024
"""Bytes below which fragmentation says nothing."""


def warnings_of(info: RedisInfo) -> list[str]:
    """What is wrong with a server, the worst first."""
    found: list[str] = []
    if info.append_failed:
        found.append("The last write to the append-only file failed: it takes no writes until one succeeds.")
    if info.snapshot_failed:
        found.append(
            "The last snapshot failed: with the usual settings it takes no writes until one succeeds."
        )
    if info.memory_max and info.memory_used >= NEARLY_FULL * info.memory_max:
        used = formats.percent(info.memory_used, info.memory_max)
        found.append(f"{used} of its memory is used; when it is full, nothing more can be enqueued.")
    if info.eviction_policy != "noeviction":
        found.append(
            f"It may throw away tasks when memory is short: maxmemory-policy is {info.eviction_policy}, "
            "and should be noeviction."
        )
    if not info.appends:
        found.append("It keeps no append-only file: a crash loses what came after the last snapshot.")
    if info.fragmentation > FRAGMENTED and info.memory_used > SMALL:
        found.append(
            f"Its memory is fragmented: it takes {info.fragmentation:.1f} bytes for each that it uses."
        )
    return found


async def _content(request: Request) -> Mapping[str, Any]:
    nodes = await redis_of(request)
    return {
        "title": "Redis",
        "nav": "redis",
        "where": inspector_of(request).where,
        "nodes": [(node, warnings_of(node)) for node in nodes],
        "missing": nodes.missing,
    }


async def _show(request: Request) -> Response:
    return await live_page(request, "redis.html", "_redis.html", _content)


routes = [Route("/redis", _show, methods=["GET"], name="redis")]

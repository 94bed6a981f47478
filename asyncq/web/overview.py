"""The first screen: is all well, and if not, where to look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq.inspector import Found, QueueInfo, ServerInfo
from asyncq.web.figures import SPANS, charts, pace
from asyncq.web.forms import choice_of
from asyncq.web.live import live_page
from asyncq.web.measuring import drawn, listed_types
from asyncq.web.queues import has_no_workers
from asyncq.web.redis import warnings_of
from asyncq.web.sampling import counted_queues, redis_of, servers_of

MOST_LISTED: Final = 8
"""Queues, and types, that the overview names; the rest is behind a link."""


@dataclass(frozen=True, slots=True)
class Totals:
    """All queues together."""

    queues: int
    pending: int
    active: int
    delayed: int
    archived: int
    oldest: float
    orphaned: int
    processed: int
    failed: int
    paused: int
    idle: int  #: queues with tasks that nobody serves


def totals(queues: Sequence[QueueInfo], served: frozenset[str]) -> Totals:
    """Add up, in one go: there may be thousands."""
    states: Counter[str] = Counter()
    oldest, orphaned, processed, failed, paused, idle = 0.0, 0, 0, 0, 0, 0
    for one in queues:
        for state, size in one.sizes.items():
            if size:
                states[state] += size
        oldest = max(oldest, one.latency)
        orphaned += one.orphaned
        processed += one.processed
        failed += one.failed
        paused += one.is_paused
        idle += has_no_workers(one, served)
    return Totals(
        queues=len(queues),
        pending=states["pending"],
        active=states["active"],
        delayed=states["scheduled"] + states["retry"],
        archived=states["archived"],
        oldest=oldest,
        orphaned=orphaned,
        processed=processed,
        failed=failed,
        paused=paused,
        idle=idle,
    )


@dataclass(frozen=True, slots=True)
class Fleet:
    """All servers together."""

    servers: int
    concurrency: int
    active: int


def fleet(servers: Sequence[ServerInfo]) -> Fleet:
    """Add up."""
    return Fleet(len(servers), sum(one.concurrency for one in servers), sum(one.active for one in servers))


async def _content(request: Request) -> Mapping[str, Any]:
    span = choice_of(request.query_params, "span", [one[0] for one in SPANS])
    servers = await servers_of(request)
    served = frozenset(name for info in servers for name in info.queues)
    nodes = await redis_of(request)
    points = await drawn(request, None, span)
    recent = points if span == "1h" else await drawn(request, None, "1h")
    types = await listed_types(request)
    # Last: it may take longer than the page waits, and keeps the others waiting meanwhile.
    counted = await counted_queues(request)
    queues: Found[QueueInfo] = Found() if counted.queues is None else counted.queues
    return {
        "title": "Overview",
        "nav": "overview",
        "counted": counted,
        "totals": None if counted.queues is None else totals(queues, served),
        "fleet": fleet(servers),
        "pace": pace(recent),
        "nodes": nodes,
        "warnings": [(node, text) for node in nodes for text in warnings_of(node)],
        "missing": [*queues.missing, *servers.missing, *points.missing, *types.missing],
        "charts": charts(points),
        "span": span,
        "spans": SPANS,
        "longest": nsmallest(MOST_LISTED, queues, key=lambda one: (-one.latency, one.name)),
        "failing": sorted((one for one in types if one.failed), key=lambda one: (-one.failed, one.type))[
            :MOST_LISTED
        ],
        "idle": [*islice((one for one in queues if has_no_workers(one, served)), MOST_LISTED)],
    }


async def _show(request: Request) -> Response:
    return await live_page(request, "overview.html", "_overview.html", _content)


routes = [Route("/", _show, methods=["GET"], name="overview")]

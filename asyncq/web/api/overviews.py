"""The API: servers, what they run, measures, Redis and the trail."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request

from asyncq.web.api.operations import Operation, Parameter, listed
from asyncq.web.api.queues import MOST, PAGING, part_of
from asyncq.web.figures import SPANS
from asyncq.web.forms import choice_of, text_of, whole_of
from asyncq.web.measuring import measured, types_of
from asyncq.web.sampling import redis_of, servers_of, workers_of
from asyncq.web.site import inspector_of

_QUEUE: Final = Parameter("queue", "Of one queue; of all together when not given")
_SPANS: Final = tuple(one[0] for one in SPANS)


async def _servers(request: Request) -> Any:
    return part_of(request, await servers_of(request))


async def _server(request: Request) -> Any:
    return await inspector_of(request).servers.get(request.path_params["server"])


async def _workers(request: Request) -> Any:
    return part_of(request, await workers_of(request))


async def _redis(request: Request) -> Any:
    return listed(await redis_of(request))


async def _measures(request: Request) -> Any:
    query = request.query_params
    points = await measured(request, text_of(query, "queue") or None, choice_of(query, "span", _SPANS))
    return listed([_numbers(one) | _moment(one) for one in points])


async def _types(request: Request) -> Any:
    found = await types_of(request, text_of(request.query_params, "queue") or None)
    return listed([{"type": one.type, **_numbers(one)} for one in found])


def _numbers(one: Any) -> dict[str, Any]:
    return {
        "processed": one.processed,
        "failed": one.failed,
        "throughput": one.throughput,
        "outcomes": one.outcomes,
        "redelivered": one.redelivered,
        "wait": _spread(one.wait),
        "run": _spread(one.run),
        "lateness": _spread(one.lateness),
    }


def _moment(point: Any) -> dict[str, Any]:
    names = ("at", "seconds", "pending", "active", "delayed", "oldest", "recovered", "given_up")
    return {name: getattr(point, name) for name in names}


def _spread(spread: Any) -> dict[str, float]:
    return {"mean": spread.mean, **{f"p{percent}": spread.percentile(percent) for percent in (50, 95, 99)}}


async def _trail(request: Request) -> Any:
    query = request.query_params
    outcome: Any = text_of(query, "outcome") or None
    page = await inspector_of(request).trail.list(
        actor=text_of(query, "actor") or None,
        action=text_of(query, "action") or None,
        queue=text_of(query, "queue") or None,
        outcome=outcome,
        size=whole_of(query, "size", 50, least=1, most=MOST),
        cursor=text_of(query, "cursor") or None,
    )
    return {"items": page.records, "cursor": page.cursor, "total": page.total}


OPERATIONS: Final = (
    Operation("GET", "/servers", "list_servers", "The servers that are there", _servers, parameters=PAGING),
    Operation("GET", "/servers/{server}", "get_server", "One server", _server),
    Operation(
        "GET", "/workers", "list_workers", "What runs now, the longest running first", _workers,
        parameters=PAGING,
    ),
    Operation("GET", "/redis", "list_redis", "What the servers of Redis say of themselves", _redis),
    Operation(
        "GET", "/measures", "list_measures", "What servers measured, over time", _measures,
        parameters=(_QUEUE, Parameter("span", "For how long back", choices=_SPANS)),
    ),
    Operation(
        "GET", "/types", "list_types", "What became of the tasks of each type in the last hour", _types,
        parameters=(_QUEUE,),
    ),
    Operation(
        "GET", "/audit", "list_audit", "Who changed what, the latest first", _trail, "trail",
        parameters=(
            Parameter("actor", "Who"),
            Parameter("action", "The right that it needed"),
            Parameter("queue", "In which queue"),
            Parameter("outcome", "What came of it"),
            Parameter("size", f"How many at the most, up to {MOST}", "integer"),
            Parameter("cursor", "Of the page before, to go on after it"),
        ),
    ),
)  # fmt: skip

"""The API: queues, and the groups in them."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request

from asyncq.web.api.operations import Operation, Parameter, listed
from asyncq.web.forms import choice_of, text_of, whole_of
from asyncq.web.sampling import queue_names, served_queues, these_queues
from asyncq.web.site import inspector_of, site_of

MOST: Final = 1000

PAGING: Final = (
    Parameter("start", "How many to leave out", "integer"),
    Parameter("size", f"How many at the most, up to {MOST}", "integer"),
)


def part_of(request: Request, items: list[Any]) -> dict[str, Any]:
    """The part of a list that was asked for."""
    query = request.query_params
    start = whole_of(query, "start", 0, least=0, most=10_000_000)
    return listed(items, start, whole_of(query, "size", 100, least=1, most=MOST))


async def _list(request: Request) -> Any:
    search = text_of(request.query_params, "q").lower()
    names, served = await queue_names(request), await served_queues(request)
    answer = part_of(request, [name for name in names if search in name.lower()])
    found = await these_queues(request, answer["items"])
    answer["items"] = [_shown(one, is_served=one.name in served) for one in found]
    if names.missing or found.missing:
        answer["missing"] = [*names.missing, *found.missing]
    return answer


def _shown(info: Any, *, is_served: bool) -> dict[str, Any]:
    return {name: getattr(info, name) for name in _FIELDS} | {"size": info.size, "is_served": is_served}


_FIELDS: Final = (
    "name", "sizes", "groups", "orphaned", "latency", "processed", "failed", "processed_total",
    "failed_total", "is_paused", "paused_at", "is_being_removed", "at",
)  # fmt: skip


async def _get(request: Request) -> Any:
    info = await inspector_of(request).queues.get(request.path_params["queue"])
    return _shown(info, is_served=info.name in await served_queues(request))


async def _history(request: Request) -> Any:
    days = whole_of(request.query_params, "days", 7, least=1, most=90)
    return listed(await inspector_of(request).queues.history(request.path_params["queue"], days=days))


async def _memory(request: Request) -> Any:
    return await inspector_of(request).queues.memory(request.path_params["queue"])


async def _groups(request: Request) -> Any:
    queue = request.path_params["queue"]
    return part_of(request, await inspector_of(request).groups.list(queue, partial=True))


async def _pause(request: Request) -> Any:
    changed = await inspector_of(request).queues.pause(request.path_params["queue"])
    site_of(request).samples.forget()
    return {"changed": changed}


async def _resume(request: Request) -> Any:
    changed = await inspector_of(request).queues.unpause(request.path_params["queue"])
    site_of(request).samples.forget()
    return {"changed": changed}


async def _remove(request: Request) -> Any:
    force = choice_of(request.query_params, "force", ["false", "true"]) == "true"
    removed = await inspector_of(request).queues.remove(request.path_params["queue"], force=force)
    site_of(request).samples.forget()
    return {"removed": removed}


_ONE: Final = "/queues/{queue}"

OPERATIONS: Final = (
    Operation(
        "GET", "/queues", "list_queues", "All queues, by name", _list,
        parameters=(Parameter("q", "Text in their names"), *PAGING),
    ),
    Operation("GET", _ONE, "get_queue", "One queue", _get),
    Operation(
        "GET", f"{_ONE}/history", "get_history", "What happened in it, by day", _history,
        parameters=(Parameter("days", "How many, up to 90", "integer"),),
    ),
    Operation("GET", f"{_ONE}/memory", "get_memory", "An estimate of its memory", _memory),
    Operation("GET", f"{_ONE}/groups", "list_groups", "Its groups", _groups, parameters=PAGING),
    Operation("POST", f"{_ONE}/pause", "pause_queue", "Let no server take from it", _pause, "queue.pause"),
    Operation(
        "POST", f"{_ONE}/resume", "resume_queue", "Let servers take from it again", _resume, "queue.resume"
    ),
    Operation(
        "DELETE", _ONE, "remove_queue", "Remove it", _remove, "queue.remove",
        parameters=(Parameter("force", "With its tasks", "boolean", ("false", "true")),),
    ),
)  # fmt: skip

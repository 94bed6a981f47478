"""The screen of all queues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq.errors import Missing
from asyncq.inspector import Found, QueueInfo
from asyncq.web.figures import Spark
from asyncq.web.forms import choice_of, form_of, text_of, whole_of
from asyncq.web.live import live_page
from asyncq.web.measuring import sparks_of
from asyncq.web.pages import turn_to
from asyncq.web.paging import Paged, paged
from asyncq.web.sampling import Counted, counted_queues, queue_names, served_queues, these_queues
from asyncq.web.site import CONVERTOR, inspector_of, path_to, site_of

SHOWS: Final = (
    ("all", "all"),
    ("backlog", "with a backlog"),
    ("paused", "paused"),
    ("idle", "without workers"),
    ("failing", "that failed today"),
)

SORTS: Final[Mapping[str, Callable[[QueueInfo], Any]]] = {
    "name": lambda info: info.name,
    "pending": lambda info: info.pending,
    "active": lambda info: info.active,
    "scheduled": lambda info: info.scheduled,
    "retry": lambda info: info.retry,
    "archived": lambda info: info.archived,
    "latency": lambda info: info.latency,
    "processed": lambda info: info.processed,
    "failed": lambda info: info.failed,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One queue of the table."""

    info: QueueInfo
    has_no_workers: bool  #: nobody serves it, and it is not paused either
    spark: Spark | None  #: what was done in the last hour; none when nothing was


def has_no_workers(info: QueueInfo, served: frozenset[str]) -> bool:
    """Whether tasks wait in a queue that no server takes anything from."""
    waits = info.pending or info.scheduled or info.retry or info.aggregating
    return bool(waits) and not info.is_paused and info.name not in served


_SHOWN: Final[Mapping[str, Callable[[QueueInfo, frozenset[str]], bool]]] = {
    "all": lambda _info, _served: True,
    "backlog": lambda info, _served: info.pending > 0,
    "paused": lambda info, _served: info.is_paused,
    "idle": has_no_workers,
    "failing": lambda info, _served: info.failed > 0,
}


async def _content(request: Request) -> Mapping[str, Any]:
    query = request.query_params
    show = choice_of(query, "show", [value for value, _ in SHOWS])
    sort = choice_of(query, "sort", list(SORTS))
    order = choice_of(query, "order", ["asc", "desc"])
    search = text_of(query, "q")
    number = whole_of(query, "page", 1, least=1, most=1_000_000)
    served = await served_queues(request)
    counted: Counted | None = None
    if sort == "name" and show == "all":
        shown, missing = await _by_name(request, search, number, is_last_first=order == "desc")
    else:
        counted = await counted_queues(request)
        found: Found[QueueInfo] = Found() if counted.queues is None else counted.queues
        missing = found.missing
        takes, part = _SHOWN[show], search.lower()
        wanted = [one for one in found if part in one.name.lower() and takes(one, served)]
        # By name first, so that equals stay where they are when the page is renewed.
        wanted.sort(key=lambda info: info.name)
        wanted.sort(key=SORTS[sort], reverse=order == "desc")
        shown = paged(wanted, number)
    sparks = await sparks_of(request, [info.name for info in shown.items])
    return {
        "title": "Queues",
        "missing": missing,
        "counted": counted,
        "nav": "queues",
        "rows": [Row(info, has_no_workers(info, served), sparks.get(info.name)) for info in shown.items],
        "number": shown.number,
        "pages": shown.pages,
        "total": shown.total,
        "search": search,
        "show": show,
        "shows": SHOWS,
        "sort": sort,
        "order": order,
    }


async def _by_name(
    request: Request, search: str, number: int, *, is_last_first: bool
) -> tuple[Paged[QueueInfo], Sequence[Missing]]:
    """A page by name, for which no other queues are looked at: there may be thousands."""
    names = await queue_names(request)
    wanted = sorted((name for name in names if search.lower() in name.lower()), reverse=is_last_first)
    page = paged(wanted, number)
    found = await these_queues(request, page.items)
    by_name = {info.name: info for info in found}
    infos = [by_name[name] for name in page.items if name in by_name]
    return Paged(infos, page.number, page.pages, page.total), (*names.missing, *found.missing)


async def _show(request: Request) -> Response:
    return await live_page(request, "queues.html", "_queues.html", _content)


async def _pause(request: Request) -> Response:
    queue, following = await _which(request)
    changed = await inspector_of(request).queues.pause(queue)
    said = "Nothing is taken from" if changed else "It was paused already:"
    return _done(request, following, f"{said} {queue}.")


async def _resume(request: Request) -> Response:
    queue, following = await _which(request)
    changed = await inspector_of(request).queues.unpause(queue)
    said = "Tasks are taken again from" if changed else "It was not paused:"
    return _done(request, following, f"{said} {queue}.")


async def _which(request: Request) -> tuple[str, str]:
    """The queue, and where to go on: what cannot be read is refused before anything is done."""
    return request.path_params["queue"], text_of(await form_of(request), "next") or path_to(request, "queues")


def _done(request: Request, following: str, message: str) -> Response:
    site_of(request).samples.forget()
    return turn_to(request, following, message)


routes = [
    Route("/queues", _show, methods=["GET"], name="queues"),
    Route(f"/queues/{{queue:{CONVERTOR}}}/pause", _pause, methods=["POST"], name="queue_pause"),
    Route(f"/queues/{{queue:{CONVERTOR}}}/resume", _resume, methods=["POST"], name="queue_resume"),
]

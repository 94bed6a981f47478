"""Schedulers, their entries, and what became of the times of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq.entry_info import EnqueueEvent, EntryInfo, GoEntryInfo
from asyncq.errors import BrokerUnavailableError, EntryNotFoundError, Missing, WireError
from asyncq.web.forms import choice_of, form_of, text_of, whole_of
from asyncq.web.live import live_page
from asyncq.web.pages import page, turn_to
from asyncq.web.sampling import eyes_of
from asyncq.web.site import inspector_of, path_to, site_of
from asyncq.web.values import NOTHING, Shown, show

PAGE: Final = 100
HISTORY: Final = 100
NEXT: Final = 5

_SHOWS: Final = ("all", "paused", "orphans", "failing")
_ACTIONS: Final = ("pause", "resume", "run", "remove")


async def _list(request: Request) -> Response:
    return await live_page(request, "schedules.html", "_schedules.html", _entries)


async def _entries(request: Request) -> Mapping[str, Any]:
    inspector, given = inspector_of(request), request.query_params
    shown = choice_of(given, "show", _SHOWS)
    search, queue = text_of(given, "q"), text_of(given, "queue")
    number = whole_of(given, "page", 1, least=1, most=1_000_000)
    samples, eyes = site_of(request).samples, eyes_of(request)
    schedulers = await samples.get(("schedulers", eyes), lambda: inspector.schedulers.list(partial=True))
    found = await samples.get(
        ("entries", eyes, queue), lambda: inspector.schedulers.entries(queue=queue or None, partial=True)
    )
    of_go = await samples.get(("go entries", eyes), lambda: inspector.schedulers.go_entries(partial=True))
    go = [info for info in of_go if not queue or info.queue == queue]
    wanted = [info for info in found if _is_shown(info, shown) and _matches(info, search)]
    pages = max(1, -(-len(wanted) // PAGE))
    number = min(number, pages)
    return {
        "title": "Schedules",
        "nav": "schedules",
        "schedulers": schedulers,
        "entries": wanted[(number - 1) * PAGE : number * PAGE],
        "total": len(wanted),
        "number": number,
        "pages": pages,
        "go_entries": [info for info in go if _matches(info, search)][:PAGE] if shown == "all" else [],
        "missing": [*dict.fromkeys((*schedulers.missing, *found.missing, *of_go.missing))],
        "show": shown,
        "shows": _SHOWS,
        "search": search,
        "queue": queue,
    }


def _is_shown(info: EntryInfo, shown: str) -> bool:
    return {
        "all": True,
        "paused": info.is_paused,
        "orphans": info.is_orphan,
        "failing": bool(info.last_error),
    }[shown]


def _matches(info: EntryInfo | GoEntryInfo, search: str) -> bool:
    text = search.casefold()
    return not text or any(text in part.casefold() for part in (info.id, info.type, info.queue, info.spec))


async def _show(request: Request) -> Response:
    return await live_page(request, "entry.html", "_entry.html", _one)


async def _one(request: Request) -> Mapping[str, Any]:
    inspector, entry_id = inspector_of(request), request.path_params["entry"]
    samples, eyes = site_of(request).samples, eyes_of(request)
    info, missing = await _looked_up(request, entry_id)
    # Of an entry that is gone its history is still there; of one that never was, nothing.
    events: Sequence[EnqueueEvent] = ()
    try:
        events = await samples.get(
            ("events", eyes, entry_id), lambda: inspector.schedulers.events(entry_id, limit=HISTORY)
        )
    except BrokerUnavailableError as error:
        if info is None:
            raise
        missing = (*missing, Missing("entry", f"the history of {entry_id}", error.where, error.why))
    return {
        "title": f"Schedule {entry_id}",
        "nav": "schedules",
        "entry_id": entry_id,
        "entry": info,
        "missing": missing,
        "is_go": isinstance(info, GoEntryInfo),
        "payload": NOTHING if info is None else _payload(info),
        "upcoming": [] if info is None else _upcoming(info),
        "events": events,
    }


async def _looked_up(
    request: Request, entry_id: str
) -> tuple[EntryInfo | GoEntryInfo | None, Sequence[Missing]]:
    """An entry, `None` if it is gone; and what could not be looked at for it."""
    samples, eyes, schedulers = site_of(request).samples, eyes_of(request), inspector_of(request).schedulers
    try:
        return await samples.get(("entry", eyes, entry_id), lambda: schedulers.entry(entry_id)), ()
    except EntryNotFoundError:
        of_go = await samples.get(("go entries", eyes), lambda: schedulers.go_entries(partial=True))
        return next((one for one in of_go if one.id == entry_id), None), of_go.missing
    except BrokerUnavailableError:
        # What became of its times may lie on another node than the entry itself.
        found = await samples.get(("entries", eyes, ""), lambda: schedulers.entries(partial=True))
        info = next((one for one in found if one.id == entry_id), None)
        if info is None:
            raise
        return info, [one for one in found.missing if one.name == entry_id]


def _payload(info: EntryInfo | GoEntryInfo) -> Shown:
    try:
        return show(info.payload)
    except WireError:
        return show(info.raw)


def _upcoming(info: EntryInfo | GoEntryInfo) -> list[datetime]:
    return info.upcoming(NEXT)


async def _act(request: Request) -> Response:
    entry_id = request.path_params["entry"]
    form = await form_of(request)
    action = choice_of(form, "action", _ACTIONS)
    inspector = inspector_of(request)
    back = path_to(request, "entry", entry=entry_id)
    following = text_of(form, "next") or back
    if action == "pause":
        await inspector.schedules.pause(entry_id, text_of(form, "reason"))
        said = f"{entry_id} is paused."
    elif action == "resume":
        await inspector.schedules.resume(entry_id)
        said = f"{entry_id} goes on."
    elif action == "run":
        info = await inspector.schedules.run_now(entry_id)
        said = f"{entry_id}: task {info.id} was enqueued."
    else:
        if not text_of(form, "sure"):
            await inspector.require("entry.remove", target=entry_id)
            return page(
                request,
                "confirm.html",
                title=f"Remove {entry_id}?",
                nav="schedules",
                text="No scheduler enqueues it any more. Its history stays for a month.",
                url=path_to(request, "entry_act", entry=entry_id),
                fields=[("action", action), ("sure", "1"), ("next", path_to(request, "schedules"))],
                label="Remove it",
                back=back,
            )
        await inspector.schedules.remove(entry_id)
        said = f"{entry_id} was removed."
    site_of(request).samples.forget()
    return turn_to(request, following, said)


routes = [
    Route("/schedules", _list, methods=["GET"], name="schedules"),
    Route("/schedules/{entry:asyncq}", _show, methods=["GET"], name="entry"),
    Route("/schedules/{entry:asyncq}", _act, methods=["POST"], name="entry_act"),
]

"""Bulk work: each piece is a job with a page.

Work over a filter is counted first, and confirmed. A whole queue was confirmed before, and a whole group does
not need it: these jobs are begun at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq.errors import ConfigError
from asyncq.inspector import ACTIONS, TaskQuery
from asyncq.web.forms import choice_of, form_of, text_of, whole_of
from asyncq.web.jobs import Job, Order, TaskAction
from asyncq.web.live import live_page
from asyncq.web.pages import turn_to
from asyncq.web.site import inspector_of, path_to, site_of

WORDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "run": ("Run", "run", "running"),
    "archive": ("Archive", "archived", "archiving"),
    "delete": ("Delete", "deleted", "deleting"),
    "cancel": ("Cancel", "cancelled", "cancelling"),
    "remove": ("Remove", "removed", "removing"),
}
"""What an action is called: on a button, when it is done, and while it is done."""

_MOST_RATE: Final = 1_000_000
_MOST_LIMIT: Final = 1_000_000_000


def begin(request: Request, order: Order) -> Response:
    """Begin a job, and go on to its page. Whether it is allowed was asked before: nobody waits for it."""
    site = site_of(request)
    site.samples.forget()
    job = site.jobs.start(inspector_of(request), order, then=site.samples.forget)
    return turn_to(request, path_to(request, "job", job=job.id))


async def _require(request: Request, order: Order, what: str = "") -> None:
    """Refuse now what the job would be refused while nobody looks.

    Raises:
        NotAllowedError: Whoever asks may not do this anywhere, or not in the queue that it is about.
    """
    target = f"{what} {order.told}".lstrip()
    await inspector_of(request).require(order.right, order.queue or None, target=target)


def _may_see(request: Request, job: Job) -> bool:
    """Whether a job is shown: one's own, or to those who see all queues."""
    inspector = inspector_of(request)
    return inspector.rights.may("view") and (job.actor == inspector.actor or not inspector.rights.is_limited)


def _job_of(request: Request) -> Job:
    job = site_of(request).jobs.get(request.path_params["job"])
    if job is None or not _may_see(request, job):
        raise HTTPException(404, "There is no such job here: it is forgotten, or another process has it.")
    return job


async def _list(request: Request) -> Response:
    async def content(request: Request) -> dict[str, Any]:
        jobs = [job for job in site_of(request).jobs.all() if _may_see(request, job)]
        return {"title": "Bulk jobs", "nav": "jobs", "jobs": jobs, "words": WORDS}

    return await live_page(request, "jobs.html", "_jobs.html", content)


async def _show(request: Request) -> Response:
    async def content(request: Request) -> dict[str, Any]:
        job = _job_of(request)
        title = f"{WORDS[job.order.action][0]}: {job.order.about}"
        return {"title": title, "nav": "jobs", "job": job, "words": WORDS}

    return await live_page(request, "job.html", "_job.html", content)


async def _count(request: Request) -> Response:
    """The first step: count what would be acted upon."""
    form = await form_of(request)
    action = cast("TaskAction", choice_of(form, "action", tuple(ACTIONS)))
    order = Order(action=action, query=TaskQuery.parse(text_of(form, "q")), is_count=True)
    await _require(request, order)
    return begin(request, order)


async def _go(request: Request) -> Response:
    """The second step: do it."""
    counted = _job_of(request).order
    form = await form_of(request)
    await _require(request, counted)
    if not counted.is_count:
        raise HTTPException(409, "This job was not a count: it has been done already.")
    if not text_of(form, "sure"):
        raise ConfigError("sure", "", "a tick, that you are sure")
    rate = whole_of(form, "rate", 0, least=1, most=_MOST_RATE)
    limit = whole_of(form, "limit", 0, least=1, most=_MOST_LIMIT)
    order = replace(
        counted, is_count=False, rate=rate or None, limit=limit or None, fresh=bool(text_of(form, "fresh"))
    )
    return begin(request, order)


async def _cancel(request: Request) -> Response:
    job = _job_of(request)
    if job.actor != inspector_of(request).actor:
        await _require(request, job.order, "cancel the job:")
    await site_of(request).jobs.cancel(job)
    return turn_to(
        request, path_to(request, "job", job=job.id), "The job was cancelled; what it did stays done."
    )


routes = [
    Route("/jobs", _list, methods=["GET"], name="jobs"),
    Route("/jobs", _count, methods=["POST"], name="job_count"),
    Route("/jobs/{job}", _show, methods=["GET"], name="job"),
    Route("/jobs/{job}/go", _go, methods=["POST"], name="job_go"),
    Route("/jobs/{job}/cancel", _cancel, methods=["POST"], name="job_cancel"),
]

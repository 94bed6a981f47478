"""The screen of the trail: who changed what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq.inspector import RIGHTS
from asyncq.web.forms import choice_of, text_of
from asyncq.web.live import live_page
from asyncq.web.sampling import eyes_of
from asyncq.web.site import inspector_of, site_of

OUTCOMES: Final = ("", "begun", "done", "failed", "refused", "interrupted")
ACTIONS: Final = ("", *(name for name in RIGHTS if name not in ("view", "trail")))
PAGE_SIZE: Final = 100


async def _content(request: Request) -> Mapping[str, Any]:
    query = request.query_params
    actor, queue = text_of(query, "actor"), text_of(query, "queue")
    action, outcome = choice_of(query, "action", ACTIONS), choice_of(query, "outcome", OUTCOMES)
    wanted: Any = outcome or None
    cursor, trail = text_of(query, "cursor"), inspector_of(request).trail
    page = await site_of(request).samples.get(
        ("trail", eyes_of(request), actor, action, queue, outcome, cursor),
        lambda: trail.list(
            actor=actor or None,
            action=action or None,
            queue=queue or None,
            outcome=wanted,
            size=PAGE_SIZE,
            cursor=cursor or None,
        ),
    )
    return {
        "title": "Audit",
        "nav": "audit",
        "records": page.records,
        "cursor": page.cursor,
        "scanned": page.scanned,
        "total": page.total,
        "actor": actor,
        "queue": queue,
        "action": action,
        "outcome": outcome,
        "actions": ACTIONS,
        "outcomes": OUTCOMES,
        "is_first": not cursor,
    }


async def _show(request: Request) -> Response:
    return await live_page(request, "audit.html", "_audit.html", _content)


routes = [Route("/audit", _show, methods=["GET"], name="audit")]

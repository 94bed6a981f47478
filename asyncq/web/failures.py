"""Failures by cause: why tasks fail, how many of each, and what to do about all of one cause."""

from __future__ import annotations

import time
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq.errors import ConfigError
from asyncq.web.bulk import WORDS
from asyncq.web.forms import choice_of, text_of, whole_of
from asyncq.web.pages import page
from asyncq.web.sampling import left_of, sizes_now
from asyncq.web.site import inspector_of

SCAN: Final = 2000
MOST_SCAN: Final = 100_000
WITHIN: Final = 0.12
"""Seconds to count and to look at the usual number; a larger one takes as long as it was asked for."""

WITHIN_MORE: Final = 5.0

SHOWN: Final = 100
"""Causes on the page."""

_STATES: Final = {"all": ("retry", "archived"), "retry": ("retry",), "archived": ("archived",)}
_LARGER: Final = (2000, 10_000, 50_000, 100_000)


async def _list(request: Request) -> Response:
    began, given, problem, report = time.monotonic(), request.query_params, "", None
    queue, type_name = text_of(given, "queue"), text_of(given, "type")
    show, scan = "all", SCAN
    try:
        show = choice_of(given, "show", tuple(_STATES))
        scan = whole_of(given, "scan", SCAN, least=1, most=MOST_SCAN)
        filters: dict[str, Any] = {"type": type_name} if type_name else {}
        among = None if queue else await sizes_now(request)
        report = await inspector_of(request).failures.list(
            queue or None,
            states=_STATES[show],
            scan=scan,
            within=left_of(WITHIN, began) if scan <= SCAN else WITHIN_MORE,
            partial=True,
            among=among,
            **filters,
        )
    except ConfigError as error:
        problem = str(error)
    larger = next((one for one in _LARGER if one > scan), None)
    return page(
        request,
        "failures.html",
        status=400 if problem else 200,
        title="Failures",
        nav="failures",
        report=report,
        causes=report.causes[:SHOWN] if report else [],
        hidden=max(0, len(report.causes) - SHOWN) if report else 0,
        queue=queue,
        type_name=type_name,
        show=show,
        shows=(("all", "to be retried and archived"), ("retry", "to be retried"), ("archived", "archived")),
        larger=larger if report and not report.is_complete else None,
        problem=problem,
        words=WORDS,
    )


routes = [Route("/failures", _list, methods=["GET"], name="failures")]

"""What servers measured, read once for all who look and may see the same."""

from __future__ import annotations

from starlette.requests import Request

from asyncq.inspector import Found
from asyncq.measures import MeasuredPoint, TypeSummary
from asyncq.web.figures import SPANS
from asyncq.web.sampling import SLOW
from asyncq.web.site import inspector_of, site_of


async def measured(request: Request, queue: str | None, span: str) -> Found[MeasuredPoint]:
    """What servers measured: in one queue, or in all of them when the visitor may see all."""
    inspector = inspector_of(request)
    seconds, step = next((seconds, step) for name, _, seconds, step in SPANS if name == span)
    return await site_of(request).samples.get(
        ("measures", inspector.rights, queue, span),
        lambda: inspector.measures.history(queue, since=seconds, step=step, partial=True),
        fresh=SLOW,
    )


async def types_of(request: Request, queue: str | None = None) -> Found[TypeSummary]:
    """What became of the tasks of each type in the last hour."""
    inspector = inspector_of(request)
    return await site_of(request).samples.get(
        ("types", inspector.rights, queue), lambda: inspector.measures.types(queue, partial=True), fresh=SLOW
    )

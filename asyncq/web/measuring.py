"""What servers measured, read once for all who look and may see the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request

from asyncq.errors import BrokerUnavailableError, Missing
from asyncq.inspector import Found
from asyncq.measures import MeasuredPoint, TypeSummary
from asyncq.web.figures import SPANS, Spark, spark
from asyncq.web.sampling import SLOW
from asyncq.web.site import inspector_of, site_of

STEADY: Final = 15.0
"""Seconds for which a picture of an hour is shown: less than a point of it."""


async def measured(request: Request, queue: str | None, span: str) -> Found[MeasuredPoint]:
    """What servers measured: in one queue, or in all of them when the visitor may see all."""
    inspector = inspector_of(request)
    seconds, step = next((seconds, step) for name, _, seconds, step in SPANS if name == span)
    return await site_of(request).samples.get(
        ("measures", inspector.rights, queue, span),
        lambda: inspector.measures.history(queue, since=seconds, step=step, partial=True),
        fresh=SLOW,
    )


async def sparks_of(request: Request, queues: Sequence[str]) -> Mapping[str, Spark]:
    """What is drawn beside these queues: nothing where nothing was done, or nobody can say."""
    if not queues:
        return {}
    inspector = inspector_of(request)

    async def take() -> dict[str, Spark]:
        pulses = await inspector.measures.pulses(queues, partial=True)
        drawn = ((pulse.queue, spark(pulse)) for pulse in pulses)
        return {queue: one for queue, one in drawn if one is not None}

    try:
        name = ("pulses", inspector.rights, *queues)
        return await site_of(request).samples.get(name, take, fresh=STEADY)
    except BrokerUnavailableError:
        return {}  # the page has more to show, and says what is away


async def types_of(request: Request, queue: str | None = None) -> Found[TypeSummary]:
    """What became of the tasks of each type in the last hour."""
    inspector = inspector_of(request)
    return await site_of(request).samples.get(
        ("types", inspector.rights, queue), lambda: inspector.measures.types(queue, partial=True), fresh=SLOW
    )


async def drawn(request: Request, queue: str | None, span: str) -> Found[MeasuredPoint]:
    """What is drawn on a page that has more to show: nothing, when the node that knows it is away."""
    try:
        return await measured(request, queue, span)
    except BrokerUnavailableError as error:
        return _away(error)


async def listed_types(request: Request, queue: str | None = None) -> Found[TypeSummary]:
    """The types on a page that has more to show: none, when the node that knows them is away."""
    try:
        return await types_of(request, queue)
    except BrokerUnavailableError as error:
        return _away(error)


def _away(error: BrokerUnavailableError) -> Found[Any]:
    return Found((), [Missing("index", "measures", error.where, str(error))])

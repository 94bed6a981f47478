"""The overview: how much there is, how fast it goes, and how that was before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from asyncq.dash.charts import charts_of
from asyncq.dash.places import SPANS, Place
from asyncq.dash.rows import Reading, View
from asyncq.dash.texts import NOTHING, clean, counted, span
from asyncq.inspector import Found, Inspector, QueueInfo, ServerInfo

USUAL: Final = "1h"


async def _read(inspector: Inspector, place: Place) -> Reading:
    seconds, step = SPANS[place.span or USUAL]
    queues, servers, points = await asyncio.gather(
        _queues(inspector, place.queue),
        inspector.servers.list(partial=True),
        inspector.measures.history(place.queue or None, since=seconds, step=step, partial=True),
    )
    serving = [info for info in servers if not place.queue or place.queue in info.queues]
    return Reading(
        [],
        page="\n".join(_facts(queues, serving)),
        charts=charts_of(points),
        missing=(*queues.missing, *servers.missing, *points.missing),
    )


async def _queues(inspector: Inspector, name: str) -> Found[QueueInfo]:
    if name:
        return Found([await inspector.queues.get(name)])
    return await inspector.queues.list(partial=True)


def _facts(queues: Sequence[QueueInfo], servers: Sequence[ServerInfo]) -> Iterator[str]:
    paused = sum(info.is_paused for info in queues)
    oldest = max((info.latency for info in queues), default=0.0)
    busy, slots = sum(info.active for info in servers), sum(info.concurrency for info in servers)
    yield _line(
        ("queues", f"{len(queues):,}" + (f" ({paused:,} paused)" if paused else "")),
        ("ready", _sum(info.pending for info in queues)),
        ("running", _sum(info.active for info in queues)),
        ("later", _sum(info.scheduled + info.retry for info in queues)),
        ("archived", _sum(info.archived for info in queues)),
        ("oldest ready", span(oldest) if oldest else NOTHING),
    )
    yield _line(
        ("servers", f"{len(servers):,}"),
        ("busy", f"{busy:,} of {counted(slots, 'slot')}"),
        ("today", f"{sum(info.processed for info in queues):,}"),
        ("failed today", _sum(info.failed for info in queues)),
    )
    yield ""


def _sum(numbers: Iterator[int]) -> str:
    return f"{sum(numbers):,}"


def _line(*facts: tuple[str, str]) -> str:
    return "   ".join(f"{name} {value}" for name, value in facts)


def _title(place: Place) -> str:
    of = f" of {clean(place.queue)}" if place.queue else ""
    return f"Overview{of}, last {place.span or USUAL}"


def longer(place: Place) -> str:
    """The next span after that of a place; after the longest the shortest."""
    names = [*SPANS]
    return names[(names.index(place.span or USUAL) + 1) % len(names)]


OVERVIEW: Final = View("overview", _title, (), _read, is_drawn=True)

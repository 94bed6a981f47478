"""Bulk work as a change: allowed or not, noted at its begin and at its end, with how far it came."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from asyncq.inspector.bulk import Bulk, BulkReport, Manner
from asyncq.inspector.cancel_sweep import CancelSweep
from asyncq.inspector.listing import Place
from asyncq.inspector.reach import Reach


async def sweep(
    reach: Reach,
    method: str,
    place: Place,
    manner: Manner,
    work: Callable[[Manner], Bulk | CancelSweep],
    *,
    fresh: bool = False,
) -> BulkReport:
    """Do bulk work. Only to count needs no more than to look, and is not noted."""
    if manner.dry_run:
        reach.see(place.queue)
        return await work(manner).run()
    limit = "" if manner.limit == math.inf else f" limit={manner.limit}"
    target = place.describe() + limit + (" fresh" if fresh else "")
    async with reach.change(method, place.queue, target, is_bulk=True) as change:
        tell = manner.on_progress

        def count(report: BulkReport) -> None:
            change.count = report.done
            if tell is not None:
                tell(report)

        return await work(replace(manner, on_progress=count)).run()

"""Cancelling many tasks: a chunk at a time, each as `Tasks.cancel` does it to one."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import replace
from typing import Final

from asyncq._wire.states import State
from asyncq.inspector.bulk import BulkReport, Manner
from asyncq.inspector.listing import Place, TaskPage, read_page, read_query
from asyncq.inspector.reach import Reach

CANCELLABLE: Final = ("active", "pending", "scheduled", "retry", "aggregating")

_CHUNK: Final = 100
_CALLS_A_SECOND: Final = 10
_SPARE: Final = 1000
"""Tasks that may come in, beside as many as there were, before it stops: then it would not end."""

_DONE: Final = frozenset({"cancelled", "requested"})


class CancelSweep:
    """One run over the tasks of one state."""

    def __init__(self, reach: Reach, place: Place, manner: Manner) -> None:
        self._reach = reach
        self._place = place
        self._manner = manner
        self._report = BulkReport(
            action="cancel", queue=place.queue, state=place.state, total=0, dry_run=manner.dry_run
        )
        self._reasons: Counter[str] = Counter()
        # A lease that is extended moves its task to the end of what is gone over.
        self._known: set[str] = set()

    async def run(self) -> BulkReport:
        """Do it. Interrupted, it leaves what was done done and the rest as it was."""
        loop = asyncio.get_running_loop()
        started, cursor, is_first = loop.time(), None, True
        while True:
            began = loop.time()
            page = await self._page(cursor)
            if is_first:
                self._report, is_first = replace(self._report, total=page.total), False
            is_cut = await self._act(page)
            cursor = page.cursor
            if cursor is None or is_cut or self._report.scanned >= 2 * self._report.total + _SPARE:
                return self._tell(is_complete=cursor is None and not is_cut)
            self._tell()
            now = loop.time()
            pace = started + self._report.done / self._manner.rate - now
            # As long as it took: half of the time is for others.
            await asyncio.sleep(max(now - began, pace))

    async def _page(self, cursor: str | None) -> TaskPage:
        size = math.ceil(min(_CHUNK, max(1.0, self._manner.rate / _CALLS_A_SECOND)))
        query = read_query(
            self._place, size=size, page=None, cursor=cursor, scan=2 * _CHUNK, newest_first=False
        )
        return await read_page(self._reach, query)

    async def _act(self, page: TaskPage) -> bool:
        """Cancel what is on a page, and return whether the limit cut it short."""
        fresh = [info.id for info in page.tasks if info.id not in self._known]
        if self._place.state is State.ACTIVE:
            self._known.update(fresh)
        report = self._report
        spent = report.matched if report.dry_run else report.done
        left = int(min(self._manner.limit - spent, len(fresh)))
        chosen = fresh[:left]
        words = ["cancelled"] * len(chosen)
        if not report.dry_run:
            notes, queue = self._reach.broker().notes, self._place.queue
            words = await asyncio.gather(*(notes.cancel(queue, task_id) for task_id in chosen))
            self._reasons.update(word for word in words if word not in _DONE)
        done = 0 if report.dry_run else sum(word in _DONE for word in words)
        self._report = replace(
            report,
            scanned=report.scanned + page.scanned,
            matched=report.matched + len(chosen),
            done=report.done + done,
            skipped=self._reasons.total(),
            reasons=dict(self._reasons),
        )
        return left < len(fresh)

    def _tell(self, *, is_complete: bool = False) -> BulkReport:
        self._report = replace(self._report, is_complete=is_complete)
        if self._manner.on_progress is not None:
            self._manner.on_progress(self._report)
        return self._report

"""Bulk work that goes on while its page is closed: each piece is a job, with progress and an end.

A job lives in the process that serves the pages. When that ends, so does the job: what was done is done, and
nothing is done by half, so it can be begun anew. The trail says how far it came.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from starlette.exceptions import HTTPException

from asyncq._clock import from_unix, now
from asyncq._service import Errands
from asyncq.errors import AsyncqError, NotFoundError
from asyncq.inspector import BulkReport, Inspector, Progress, SearchPlace, TaskQuery

TaskAction = Literal["run", "archive", "delete", "cancel"]
Action = Literal[TaskAction, "remove"]

KEPT: Final = 100
"""Jobs that are over and still shown."""

AT_ONCE: Final = 8
"""Jobs at the same time: each of them asks Redis as fast as it is let."""

Status = Literal["running", "done", "stopped", "cancelled", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a job is to do."""

    action: Action  #: `remove` is for a queue, the others are for tasks
    query: TaskQuery  #: which tasks
    queue: str = ""  #: the very queue, also where its name has a star; of what is not about a filter
    is_count: bool = False  #: only count what it would act upon
    rate: float | None = None  #: tasks a second at the most
    limit: int | None = None  #: stop after so many
    fresh: bool = False  #: tasks that are run have all their retries again

    @property
    def right(self) -> str:
        """The right that it needs."""
        return "queue.remove" if self.action == "remove" else f"task.{self.action}"

    @property
    def about(self) -> str:
        """What it is about, in words."""
        if not self.queue:
            return str(self.query) or "all tasks"
        group = self.query.group
        return f"group {group} of queue {self.queue}" if group else f"queue {self.queue}"

    @property
    def told(self) -> str:
        """The same for the trail: without what is looked for in payloads and errors. Not all may see it."""
        query = self.query
        hidden = bool(query.payload or query.fields or query.words or query.error)
        shown = replace(self, query=query.but(payload=(), fields=(), words=(), error=()))
        return f"{shown.about} with some text" if hidden else shown.about


_NOT_BEGUN: Final = Progress("", 0, 0)


@dataclass(slots=True)
class Job:
    """A piece of bulk work, as it is now."""

    id: str
    actor: str
    order: Order
    started_at: datetime
    ended_at: datetime | None = None
    status: Status = "running"
    problem: str = ""  #: why it failed
    places: list[SearchPlace] = field(default_factory=list[SearchPlace])
    reports: dict[int, BulkReport] = field(default_factory=dict[int, BulkReport])
    """By place; what is not begun is not in here."""

    removal: Progress = _NOT_BEGUN  #: of a queue

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens."""
        return self.status != "running"

    @property
    def total(self) -> int:
        """Tasks that there are to be looked at."""
        sizes = [place.size for place in self.places]
        known = (self.reports[at].total if at in self.reports else size for at, size in enumerate(sizes))
        return sum(known) + self.removal.total

    @property
    def scanned(self) -> int:
        """Tasks that were looked at."""
        return sum(report.scanned for report in self.reports.values()) + self.removal.done

    @property
    def matched(self) -> int:
        """Those of them that were meant."""
        return sum(report.matched for report in self.reports.values()) + self.removal.done

    @property
    def done(self) -> int:
        """Those that were acted upon."""
        return sum(report.done for report in self.reports.values()) + self.removal.done

    @property
    def skipped(self) -> int:
        """Those that could not be acted upon any more."""
        return sum(report.skipped for report in self.reports.values())

    @property
    def reasons(self) -> dict[str, int]:
        """Why."""
        found: Counter[str] = Counter()
        for report in self.reports.values():
            found.update(report.reasons)
        return dict(found)

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left of what was there."""
        is_all = len(self.reports) == len(self.places)
        return self.status == "done" and is_all and all(one.is_complete for one in self.reports.values())

    @property
    def queues(self) -> list[str]:
        """Where it works."""
        return sorted({place.queue for place in self.places})


class Jobs:
    """The jobs of one app."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._errands = Errands()

    def start(self, inspector: Inspector, order: Order, *, then: Callable[[], None]) -> Job:
        """Begin one.

        Args:
            inspector: It acts as whoever began the job.
            order: What is to be done.
            then: Called when it is over, however it ended.

        Raises:
            HTTPException: Too many are at work.
        """
        if sum(not job.is_over for job in self._jobs.values()) >= AT_ONCE:
            raise HTTPException(429, f"{AT_ONCE} jobs are at work: wait until one is over, or cancel one.")
        job = Job(secrets.token_hex(6), inspector.actor, order, from_unix(now()))
        self._jobs[job.id] = job
        over = [one.id for one in self._jobs.values() if one.is_over]
        for old in over[: max(0, len(over) - KEPT)]:
            del self._jobs[old]
        task = self._errands.start(_run(inspector, job), name=f"bulk job {job.id}")
        self._tasks[job.id] = task

        def end(_: asyncio.Task[None]) -> None:
            self._tasks.pop(job.id, None)
            then()

        task.add_done_callback(end)
        return job

    def get(self, job_id: str) -> Job | None:
        """One of them."""
        return self._jobs.get(job_id)

    def all(self) -> list[Job]:
        """All that are known, the newest first."""
        return [*reversed(self._jobs.values())]

    async def cancel(self, job: Job) -> None:
        """Let a job end after the call that is under way."""
        task = self._tasks.get(job.id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def aclose(self) -> None:
        """End all of them. May be called twice."""
        await self._errands.cancel()


async def _run(inspector: Inspector, job: Job) -> None:
    try:
        job.status = await (_remove if job.order.action == "remove" else _sweep)(inspector, job)
    except asyncio.CancelledError:
        job.status = "cancelled"
        raise
    except AsyncqError as error:
        job.status, job.problem = "failed", str(error)
    finally:
        if job.status == "running":
            job.status, job.problem = "failed", "It is in the log of this server."
        job.ended_at = from_unix(now())


async def _remove(inspector: Inspector, job: Job) -> Status:
    def tell(progress: Progress) -> None:
        job.removal = progress

    await inspector.queues.remove(job.order.queue, force=True, on_progress=tell)
    return "done"


async def _sweep(inspector: Inspector, job: Job) -> Status:
    order = job.order
    assert order.action != "remove"  # noqa: S101 - for the type checkers
    places = await inspector.search.places(order.query, action=order.action)
    # A star in the name of a queue stands for any text in a query.
    job.places = [place for place in places if not order.queue or place.queue == order.queue]
    for at in range(len(job.places)):
        left = None if order.limit is None else order.limit - _spent(job)
        if left is not None and left <= 0:
            return "stopped"
        await _work(inspector, job, at, left)
    return "done"


def _spent(job: Job) -> int:
    return job.matched if job.order.is_count else job.done


async def _work(inspector: Inspector, job: Job, at: int, limit: int | None) -> None:
    order, place = job.order, job.places[at]

    def tell(report: BulkReport) -> None:
        job.reports[at] = report

    options: dict[str, Any] = {**place.filters, "on_progress": tell, "dry_run": order.is_count}
    options |= {"rate": order.rate, "limit": limit}
    if order.action == "run":
        options["fresh"] = order.fresh
    act = getattr(inspector.tasks, f"{order.action}_all")
    try:
        job.reports[at] = await act(place.queue, place.state, **options)
    except NotFoundError:
        # The queue or group went meanwhile: there is nothing to do.
        return

"""What the inspector returns, as type checkers see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from asyncq import Inspector, Task, TaskInfo
from asyncq.errors import Missing
from asyncq.inspector import (
    Attempt,
    BulkReport,
    DailyStats,
    EnqueueEvent,
    EntryInfo,
    FailureCause,
    Found,
    GoEntryInfo,
    Node,
    QueueInfo,
    Redactor,
    RedisInfo,
    Rights,
    SchedulerInfo,
    ServerInfo,
    Subject,
    TaskQuery,
    TrailRecord,
    WorkerInfo,
    hide_fields,
)


async def rooms(inspector: Inspector) -> None:
    """A method called `list` does not hide the type of that name."""
    assert_type(await inspector.queues.names(), Found[str])
    assert_type(await inspector.queues.list(), Found[QueueInfo])
    assert_type((await inspector.queues.list(partial=True)).missing, tuple[Missing, ...])
    assert_type((await inspector.queues.get("q")).sizes, Mapping[str, int])
    assert_type(await inspector.queues.history("q", days=3), list[DailyStats])
    assert_type(await inspector.queues.pause("q"), bool)
    assert_type(await inspector.queues.remove("q", force=True), int)
    assert_type(await inspector.servers.list(), Found[ServerInfo])
    assert_type(await inspector.servers.workers(server_id="s"), Found[WorkerInfo])
    assert_type(inspector.cluster.slot("q"), int)
    assert_type(await inspector.cluster.nodes("q"), list[Node])
    assert_type(await inspector.cluster.redis(), Found[RedisInfo])
    assert_type(await inspector.schedulers.list(), Found[SchedulerInfo])
    assert_type(await inspector.schedulers.entries(), Found[EntryInfo])
    assert_type(await inspector.schedulers.go_entries(partial=True), Found[GoEntryInfo])
    assert_type(await inspector.schedulers.events("entry", limit=3), list[EnqueueEvent])


async def looking(inspector: Inspector) -> None:
    """What a search finds is tasks, and what picks a cause goes into bulk work."""
    page = await inspector.search.find("type:email:* since:2h", size=10, cursor=None)
    assert_type(page.tasks, list[TaskInfo])
    assert_type(page.cursor, str | None)
    assert_type(await inspector.search.by_id("id"), Found[TaskInfo])
    for place in await inspector.search.places(TaskQuery(type="email:*"), action="run"):
        assert_type(await inspector.tasks.run_all(place.queue, place.state, **place.filters), BulkReport)
    report = await inspector.failures.list("q", states=["retry"], within=1.0)
    assert_type(report.causes, list[FailureCause])
    assert_type(report.causes[0].places, dict[tuple[str, str], int])
    await inspector.tasks.delete_all("q", "archived", **report.causes[0].filters)
    assert_type((await inspector.tasks.get("q", "t")).attempts, tuple[Attempt, ...])


async def somebody(inspector: Inspector) -> None:
    """A view is an inspector, and a redactor any function of a value and what it is of."""
    view = inspector.acting_as("ann", rights=Rights.operator(queues=["mail-*"]) & Rights.viewer(), via="web")
    assert_type(view, Inspector)
    assert_type(view.rights.may("task.run", "mail-eu"), bool)
    page = await view.trail.list(outcome="refused", size=10)
    assert_type(page.records, list[TrailRecord])
    assert_type([record.changes for record in page], list[Mapping[str, tuple[str, str]]])
    assert_type(await view.schedules.pause("e", "why"), EntryInfo)
    assert_type(await view.schedules.run_now("e"), TaskInfo)
    assert_type(await view.tasks.enqueue(Task("x"), queue="q", max_retry=3), TaskInfo)
    assert_type(hide_fields("card"), Redactor)

    def redact(value: object, subject: Subject) -> object:
        return None if subject.part == "payload" else value

    inspector.acting_as("bob", redact=redact)

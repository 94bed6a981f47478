"""What the inspector returns, as type checkers see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from asyncq import Inspector
from asyncq.errors import Missing
from asyncq.inspector import (
    DailyStats,
    EnqueueEvent,
    EntryInfo,
    Found,
    GoEntryInfo,
    Node,
    QueueInfo,
    RedisInfo,
    SchedulerInfo,
    ServerInfo,
    WorkerInfo,
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

"""What the inspector returns, as type checkers see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from asyncq import Inspector
from asyncq.inspector import (
    DailyStats,
    EnqueueEvent,
    EntryInfo,
    Node,
    QueueInfo,
    RedisInfo,
    SchedulerInfo,
    ServerInfo,
    WorkerInfo,
)


async def rooms(inspector: Inspector) -> None:
    """A method called `list` does not hide the type of that name."""
    assert_type(await inspector.queues.names(), list[str])
    assert_type(await inspector.queues.list(), list[QueueInfo])
    assert_type((await inspector.queues.get("q")).sizes, Mapping[str, int])
    assert_type(await inspector.queues.history("q", days=3), list[DailyStats])
    assert_type(await inspector.queues.pause("q"), bool)
    assert_type(await inspector.queues.remove("q", force=True), int)
    assert_type(await inspector.servers.list(), list[ServerInfo])
    assert_type(await inspector.servers.workers(server_id="s"), list[WorkerInfo])
    assert_type(inspector.cluster.slot("q"), int)
    assert_type(await inspector.cluster.nodes("q"), list[Node])
    assert_type(await inspector.cluster.redis(), list[RedisInfo])
    assert_type(await inspector.schedulers.list(), list[SchedulerInfo])
    assert_type(await inspector.schedulers.entries(), list[EntryInfo])
    assert_type(await inspector.schedulers.events("entry", limit=3), list[EnqueueEvent])

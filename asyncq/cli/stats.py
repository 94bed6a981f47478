"""`asyncq stats`: everything at a glance."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import percent, size, span
from asyncq.cli.output import View, details
from asyncq.cli.queue import STATES, Served, queues_view
from asyncq.cli.shapes import queue_shape, record
from asyncq.cli.terminal import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncq.inspector import QueueInfo, RedisInfo, ServerInfo


@click.command()
@at_desk
async def stats(desk: Desk) -> int:
    """Show everything at a glance: tasks by state, queues, what was done today, servers, Redis.

    Days are those of UTC. `latency` is that of the queue whose next task has waited the longest.
    """
    inspector = desk.inspector
    queues = await inspector.queues.list(partial=True)
    servers = await inspector.servers.list(partial=True)
    redis = await inspector.cluster.redis(partial=True)
    missing = tuple(dict.fromkeys((*queues.missing, *servers.missing, *redis.missing)))
    facts = _facts(queues, servers, redis)
    if not desk.is_for_people:
        sheet = desk.sheet(View(columns=(), shape=lambda it: it, name=lambda it: it["where"], none=""))
        sheet.add([{"where": inspector.where, **facts}])
        return sheet.end(missing)
    _tell(facts, servers, redis)
    click.echo("")
    sheet = desk.sheet(queues_view(Served(servers)))
    sheet.add(queues)
    return sheet.end(missing)


def _facts(
    queues: Sequence[QueueInfo], servers: Sequence[ServerInfo], redis: Sequence[RedisInfo]
) -> dict[str, Any]:
    tasks: Counter[str] = Counter(dict.fromkeys(STATES, 0))
    for info in queues:
        tasks.update(info.sizes)
    return {
        "size": sum(tasks.values()),
        "tasks": dict(tasks),
        "latency": max((info.latency for info in queues), default=0.0),
        "orphaned": sum(info.orphaned for info in queues),
        "processed": sum(info.processed for info in queues),
        "failed": sum(info.failed for info in queues),
        "processed_total": sum(info.processed_total for info in queues),
        "failed_total": sum(info.failed_total for info in queues),
        "servers": {
            "count": len(servers),
            "concurrency": sum(info.concurrency for info in servers),
            "active": sum(info.active for info in servers),
        },
        "queues": [queue_shape(info) for info in queues],
        "redis": [record(info) for info in redis],
    }


def _tell(facts: dict[str, Any], servers: Sequence[ServerInfo], redis: Sequence[RedisInfo]) -> None:
    tasks, done = facts["tasks"], f"{facts['processed']:,} processed, {facts['failed']:,} failed"
    busy = f"{facts['servers']['active']:,} of {facts['servers']['concurrency']:,} workers busy"
    details(
        [
            ("tasks", f"{facts['size']:,} in {counted(len(facts['queues']), 'queue')}"),
            *((f"  {state}", f"{tasks[state]:,}") for state in STATES),
            ("orphaned", f"{facts['orphaned']:,} of the active ones" if facts["orphaned"] else ""),
            ("latency", span(facts["latency"]) if facts["latency"] else ""),
            ("today", f"{done} ({percent(facts['failed'], facts['processed'])})"),
            ("servers", f"{len(servers):,}, {busy}" if servers else "none"),
            *(("redis", _redis(info)) for info in redis),
        ]
    )


def _redis(info: RedisInfo) -> str:
    limit = f" of {size(info.memory_max)}" if info.memory_max else ""
    memory = f"{size(info.memory_used)}{limit}"
    return (
        f"{info.address}: {info.server}, {info.role}, up {span(info.uptime)}, {memory}, "
        f"{counted(info.clients, 'connection')}, {counted(info.keys, 'key')}"
    )

"""The inspector's room for servers, and what they run."""

from __future__ import annotations

import builtins
import functools
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from asyncq._broker.browse import HINT_SECONDS
from asyncq._broker.queues import Running
from asyncq._broker.rounds import Question, Round
from asyncq._checks import near_misses
from asyncq._clock import from_unix, now
from asyncq._wire.asynq_records import ServerInfo as GoServer
from asyncq._wire.asynq_records import WorkerInfo as GoWorker
from asyncq.errors import ServerNotFoundError
from asyncq.inspector.found import Found
from asyncq.inspector.of_go import moment
from asyncq.inspector.reach import Reach

GO: Final = "asynq"
"""The server of a delivery of Go's (`asynq:0`, docs/adr/0019-two-dialects-of-the-scripts.md)."""

GO_LEASE: Final = 30.0
"""Seconds for which Go's servers take a task, and extend it; not to be configured there."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server says of itself, at most a few seconds old."""

    id: str
    host: str
    pid: int
    name: str
    status: str
    concurrency: int
    active: int
    queues: dict[str, int]
    strict_priority: bool
    lease: float
    types: tuple[str, ...]  #: patterns it has handlers for
    started_at: datetime
    library: Literal["asyncq", "asynq"] = "asyncq"  #: `asynq` for a server of Go's


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A task that is being worked on, and by whom, at this moment."""

    queue: str
    task_id: str
    type: str  #: empty when the message of the task cannot be read
    server_id: str  #: `asynq` for a server of Go's that has not said yet that it has this task
    attempt: int  #: 1 for the first one; attempts lost with a server do not count
    deliveries: int  #: how often it was handed to a server
    started_at: datetime | None  #: when it was handed to this one
    deadline: datetime | None  #: when the attempt will be stopped, by its timeout or deadline
    lease_ends_at: datetime  #: unless the server extends it
    is_orphaned: bool  #: the lease ran out: its server died, hangs, or lost Redis


class Servers:
    """The servers that are there."""

    def __init__(self, reach: Reach) -> None:
        self._reach: Final = reach

    async def list(self, *, queue: str | None = None, partial: bool = False) -> Found[ServerInfo]:
        """All servers that said something in the last ten seconds, the oldest first.

        In the asynq wire also those of Go; they do not say what they are called and which types they know.

        Args:
            queue: Only those that serve this queue.
            partial: Return what can be had when a node of a cluster is away; `missing` of the list says what
                cannot.

        Raises:
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        self._reach.see(queue)
        round_ = self._reach.round(partial=partial)
        found = await self._all(round_)
        infos = [info for info in found if queue is None or queue in info.queues]
        return Found(sorted(infos, key=lambda info: info.started_at), round_.end())

    async def _all(self, round_: Round, *, walk: bool = True) -> builtins.list[ServerInfo]:
        broker = self._reach.broker()
        ours = await broker.presence.servers(round_, now=now(), walk=walk)
        found = [_server_info(entry) for entry in ours]
        if broker.wire.is_shared:
            theirs = await broker.go_servers.servers(round_, now=now(), walk=walk)
            found += [_of_go(info) for info in theirs]
        return [info for info in map(self._seen, found) if info is not None]

    def _seen(self, info: ServerInfo) -> ServerInfo | None:
        """What may be seen of a server; `None` when it serves none of the queues that may be seen."""
        if not self._reach.who.rights.is_limited:
            return info
        queues = {name: weight for name, weight in info.queues.items() if self._reach.sees(name)}
        return replace(info, queues=queues) if queues else None

    async def get(self, server_id: str) -> ServerInfo:
        """One server.

        Raises:
            ServerNotFoundError: It is not there, or says nothing any more.
        """
        self._reach.see()
        record = await self._reach.broker().presence.server(server_id)
        info = None if record is None else self._seen(_server_info(record))
        if info is not None:
            return info
        look = self._reach.round(partial=True, within=HINT_SECONDS)
        others = {info.id: info for info in await self._all(look, walk=False)}
        if server_id not in others:
            raise ServerNotFoundError(server_id, near_misses(server_id, others))
        return others[server_id]

    async def workers(
        self, *, server_id: str | None = None, queue: str | None = None, partial: bool = False
    ) -> Found[WorkerInfo]:
        """What is being worked on, the longest running first.

        Read from the leases, so it is true at this moment: also for a server that hangs or has died, whose
        tasks are shown as orphaned until another one takes them back. Which server of Go's has a task is
        not in the lease: these say it every five seconds.

        Args:
            server_id: Only what this server works on.
            queue: Only tasks of this queue.
            partial: Return what can be had when a node of a cluster is away; `missing` of the list says what
                cannot.

        Raises:
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
            ServerNotFoundError: There is no such server, and nothing that it had begun.
            QueueNotFoundError: There is no such queue.
        """
        self._reach.see(queue)
        broker = self._reach.broker()
        if queue is not None:
            await self._reach.require_queue(queue)
        round_ = self._reach.round(partial=partial)
        names = [*filter(self._reach.sees, await broker.browse.names(round_))] if queue is None else [queue]
        counted = await broker.queues.sizes(names, round_)
        busy = [name for name, (sizes, _) in counted.items() if sizes["active"]]

        async def look(name: str) -> builtins.list[WorkerInfo]:
            return [_worker_info(name, one) async for one in broker.queues.running(name)]

        parts = await round_.each(
            Question("queue", [name], broker.basis.slot(name), functools.partial(look, name)) for name in busy
        )
        running = [info for part in parts for info in part]
        if any(info.server_id == GO for info in running):
            running = await self._with_go(running, round_)
        found = [info for info in running if server_id in (None, info.server_id)]
        missing = round_.end()
        if server_id is not None and not found and not missing:
            await self.get(server_id)
        found.sort(key=lambda info: (info.started_at or info.lease_ends_at, info.task_id))
        return Found(found, missing)

    async def _with_go(self, running: builtins.list[WorkerInfo], round_: Round) -> builtins.list[WorkerInfo]:
        said = {
            (one.queue, one.task_id): one
            for one in await self._reach.broker().go_servers.running(round_, now=now())
        }
        return [
            _said_by_go(info, said[info.queue, info.task_id])
            if info.server_id == GO and (info.queue, info.task_id) in said
            else info
            for info in running
        ]


def _of_go(info: GoServer) -> ServerInfo:
    return ServerInfo(
        id=info.server_id,
        host=info.host,
        pid=info.pid,
        name="",
        status=info.status,
        concurrency=info.concurrency,
        active=info.active,
        queues=info.queues,
        strict_priority=info.is_strict,
        lease=GO_LEASE,
        types=(),
        started_at=moment(info.started) or from_unix(0.0),
        library="asynq",
    )


def _said_by_go(info: WorkerInfo, said: GoWorker) -> WorkerInfo:
    return replace(
        info,
        server_id=said.server_id,
        started_at=moment(said.started),
        deadline=moment(said.deadline) or info.deadline,
    )


def _server_info(entry: dict[str, Any]) -> ServerInfo:
    return ServerInfo(
        id=entry["id"],
        host=entry["host"],
        pid=entry["pid"],
        name=entry["name"],
        status=entry["status"],
        concurrency=entry["concurrency"],
        active=entry["active"],
        queues=dict(entry["queues"]),
        strict_priority=entry["strict"],
        lease=entry["lease"],
        types=tuple(entry["types"]),
        started_at=from_unix(entry["started_at"]),
    )


def _worker_info(queue: str, running: Running) -> WorkerInfo:
    server_id = running.token.rpartition(":")[0]
    if server_id == GO:
        running = running._replace(delivered_at=0.0)  # by a server of ours, some time before
    envelope = running.envelope
    return WorkerInfo(
        queue=queue,
        task_id=running.id,
        type=envelope.type if envelope else "",
        server_id=server_id,
        attempt=running.retried + 1,
        deliveries=running.deliveries,
        started_at=from_unix(running.delivered_at) if running.delivered_at else None,
        deadline=_deadline(running),
        lease_ends_at=from_unix(running.lease_ends),
        is_orphaned=running.lease_ends <= running.now,
    )


def _deadline(running: Running) -> datetime | None:
    """The earlier one of the end of the timeout and the deadline of the task."""
    if running.envelope is None:
        return None
    ends = [running.envelope.deadline] if running.envelope.deadline else []
    if running.envelope.timeout and running.delivered_at:
        ends.append(running.delivered_at + running.envelope.timeout)
    return from_unix(min(ends)) if ends else None

"""The inspector: looks at what is in Redis, and puts right what is not as it should be.

Only its first rooms are furnished: single tasks, servers, and the audit behind `asyncq doctor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Self, cast

from asyncq._broker import audit as _audit
from asyncq._broker import repair as _repair
from asyncq._broker.broker import Broker
from asyncq._broker.checkup import check
from asyncq._broker.findings import Finding, OnProgress, Progress, Report
from asyncq._clock import from_unix, now
from asyncq._compose import new_id
from asyncq._wire.states import State
from asyncq.codecs import Codecs
from asyncq.connection import ConnectionOptions, Pong
from asyncq.errors import QueueNotFoundError, TaskNotFoundError
from asyncq.shared import Connection, read_connection
from asyncq.task_info import TaskHistory, TaskInfo

__all__ = ["Finding", "Inspector", "Progress", "Report", "ServerInfo", "Servers", "Tasks"]

PATIENCE: Final = 10.0
_ID_LENGTH: Final = 12

CancelAnswer = Literal["requested", "pending", "scheduled", "retry", "archived", "completed", "aggregating"]


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


class Tasks:
    """Single tasks."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector

    async def get(self, queue: str, task_id: str) -> TaskInfo:
        """Everything about one task at this moment.

        Raises:
            QueueNotFoundError: No task was ever put into such a queue.
            TaskNotFoundError: There is no such task, or no longer: tasks without retention are
                forgotten when they succeed.
            WireError: Its message cannot be read.
        """
        broker = self._inspector.broker()
        seen = await broker.browse.look(queue, task_id)
        if seen is None:
            await self._inspector.refuse_missing(queue, task_id)
            raise TaskNotFoundError(queue, task_id)
        history = TaskHistory(
            retried=int(seen.number("retried")),
            last_error=seen.text("error"),
            last_failed_at=seen.number("failed_at"),
            completed_at=seen.number("completed_at"),
            result=seen.fields.get("result"),
            progress=seen.fields.get("progress"),
            deliveries=int(seen.number("deliveries")),
            lost=int(seen.number("lost")),
            is_orphaned=seen.state is State.ACTIVE and seen.lease_ends <= seen.now,
        )
        next_at = seen.now if seen.state is State.PENDING else seen.due
        return TaskInfo(
            queue,
            task_id,
            seen.envelope,
            seen.state,
            next_at=next_at,
            history=history,
            codecs=self._inspector.codecs,
        )

    async def cancel(self, queue: str, task_id: str) -> CancelAnswer:
        """Ask the server that runs a task to stop it. It is archived then, with the reason `cancelled`.

        The wish is bound to this one delivery. It is sent as a message, and found by the server at the
        next extension of the lease when the message was missed.

        Returns:
            `requested`, or the state of a task that does not run and was left alone.

        Raises:
            QueueNotFoundError: No task was ever put into such a queue.
            TaskNotFoundError: There is no such task.
        """
        word = await self._inspector.broker().notes.cancel(queue, task_id)
        if word == "missing":
            await self._inspector.refuse_missing(queue, task_id)
            raise TaskNotFoundError(queue, task_id)
        return cast("CancelAnswer", word)


class Servers:
    """The servers that are there."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector

    async def list(self) -> list[ServerInfo]:
        """All servers that said something in the last ten seconds, the oldest first."""
        found = await self._inspector.broker().presence.servers(now=now())
        return sorted((_server_info(entry) for entry in found), key=lambda info: info.started_at)


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


class Inspector:
    """Looks at what is in Redis.

        async with Inspector("redis://localhost:6379/0") as inspector:
            info = await inspector.tasks.get("default", task_id)

    Args:
        url: Where Redis is: a URL, `ConnectionOptions`, or a `Connection` that is shared.
        codecs: Payload codecs that tasks may have been written with.
        patience: Seconds for which a call is sent again while Redis cannot be reached.
        prefix: What every key begins with; `asyncq:` when not given.
    """

    def __init__(
        self,
        url: str | ConnectionOptions | Connection,
        *,
        codecs: Codecs | None = None,
        patience: float = PATIENCE,
        prefix: str | None = None,
    ) -> None:
        self._connection, self._owns_connection = read_connection(url, prefix)
        self._patience = patience
        self._broker: Broker | None = None
        self.codecs: Final = codecs or Codecs()
        self.tasks: Final = Tasks(self)
        self.servers: Final = Servers(self)

    def broker(self) -> Broker:
        """The way to Redis, made at the first use."""
        if self._broker is None:
            self._broker = Broker(
                self._connection.router(),
                self._connection.wire,
                owner=new_id()[:_ID_LENGTH],
                patience=self._patience,
            )
        return self._broker

    async def refuse_missing(self, queue: str, task_id: str) -> None:
        """Say whether it is the queue or the task that is not there."""
        if queue not in await self.broker().browse.queues():
            raise QueueNotFoundError(queue)
        raise TaskNotFoundError(queue, task_id)

    @property
    def where(self) -> str:
        """Where it looks, for messages; without user and password."""
        return self._connection.options.describe()

    async def ping(self) -> Pong:
        """Look whether Redis is there and fit for tasks. As `Client.ping`."""
        return await check(self.broker().router, patience=0.0)

    async def audit(
        self, *, queues: Sequence[str] | None = None, on_progress: OnProgress | None = None
    ) -> Report:
        """Prove that every task is in exactly one place; changes nothing, and may run beside servers.

        Args:
            queues: Names; `None` for all.
            on_progress: Called often, with how far it is.
        """
        return await _audit.audit(self.broker(), queues=queues, on_progress=on_progress)

    async def repair(
        self, report: Report, *, queues: Sequence[str] | None = None, on_progress: OnProgress | None = None
    ) -> Report:
        """Put right what `audit` found, each thing in one step that looks again first.

        Returns:
            What is left; clean, unless something is beyond repair.
        """
        return await _repair.repair(self.broker(), report, queues=queues, on_progress=on_progress)

    async def aclose(self) -> None:
        """Close it. May be called twice."""
        self._broker = None
        if self._owns_connection:
            await self._connection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

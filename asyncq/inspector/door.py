"""The inspector: looks at what is in Redis, and puts right what is not as it should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

from asyncq._broker import audit as _audit
from asyncq._broker import repair as _repair
from asyncq._broker.checkup import check
from asyncq._broker.findings import OnProgress, Report
from asyncq.codecs import Codecs
from asyncq.connection import ConnectionOptions, Pong
from asyncq.inspector.cluster import Cluster
from asyncq.inspector.failures import Failures
from asyncq.inspector.groups import Groups
from asyncq.inspector.queues import Queues
from asyncq.inspector.reach import Reach
from asyncq.inspector.schedulers import Schedulers
from asyncq.inspector.search import Search
from asyncq.inspector.servers import Servers
from asyncq.inspector.tasks import Tasks
from asyncq.shared import Connection

PATIENCE: Final = 10.0


class Inspector:
    """Looks at what is in Redis.

        async with Inspector("redis://localhost:6379/0") as inspector:
            info = await inspector.tasks.get("default", task_id)
            for queue in await inspector.queues.list():
                print(queue.name, queue.size, queue.latency)

    Args:
        url: Where Redis is: a URL, `ConnectionOptions`, or a `Connection` that is shared.
        codecs: Payload codecs that tasks may have been written with.
        patience: Seconds for which a call is sent again while Redis cannot be reached.
        prefix: What every key begins with; `asyncq:` when not given.
        wire: How tasks look in Redis: `native` when not given, or `asynq` to share them with Go.
    """

    def __init__(
        self,
        url: str | ConnectionOptions | Connection,
        *,
        codecs: Codecs | None = None,
        patience: float = PATIENCE,
        prefix: str | None = None,
        wire: str | None = None,
    ) -> None:
        self._reach = Reach(url, codecs=codecs, patience=patience, prefix=prefix, wire=wire)
        self.tasks: Final = Tasks(self._reach)
        self.queues: Final = Queues(self._reach)
        self.groups: Final = Groups(self._reach)
        self.servers: Final = Servers(self._reach)
        self.schedulers: Final = Schedulers(self._reach)
        self.cluster: Final = Cluster(self._reach)
        self.search: Final = Search(self._reach, self.tasks, self.queues, self.groups)
        self.failures: Final = Failures(self.tasks, self.queues)

    @property
    def where(self) -> str:
        """Where it looks, for messages; without user and password."""
        return self._reach.where

    async def ping(self) -> Pong:
        """Look whether Redis is there and fit for tasks. As `Client.ping`."""
        basis = self._reach.broker().basis
        return await check(basis.router, patience=0.0, away=basis.away)

    async def audit(
        self,
        *,
        queues: Sequence[str] | None = None,
        partial: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Report:
        """Prove that every task is in exactly one place; changes nothing, and may run beside servers.

        Args:
            queues: Names; `None` for all.
            partial: When a node of a cluster is away, judge the queues of the others; `missing` of the report
                says what was not looked at. Such a report is not clean.
            on_progress: Called often, with how far it is.

        Raises:
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        broker = self._reach.broker()
        return await _audit.audit(broker, queues=queues, partial=partial, on_progress=on_progress)

    async def repair(
        self,
        report: Report,
        *,
        queues: Sequence[str] | None = None,
        partial: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Report:
        """Put right what `audit` found, each thing in one step that looks again first.

        Args:
            report: What `audit` returned.
            queues: The queues that were audited.
            partial: As for `audit`.
            on_progress: As for `audit`.

        Returns:
            What is left; clean, unless something is beyond repair.
        """
        return await _repair.repair(
            self._reach.broker(), report, queues=queues, partial=partial, on_progress=on_progress
        )

    async def aclose(self) -> None:
        """Close it. May be called twice."""
        await self._reach.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

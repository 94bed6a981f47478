"""The inspector: looks at what is in Redis, and puts right what is not as it should be."""

from __future__ import annotations

from collections import Counter
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
from asyncq.inspector.guard import Who
from asyncq.inspector.measures import Measures
from asyncq.inspector.noting import OnChange
from asyncq.inspector.queues import Queues
from asyncq.inspector.reach import Reach
from asyncq.inspector.rights import Rights
from asyncq.inspector.schedulers import Schedulers
from asyncq.inspector.schedules import Schedules
from asyncq.inspector.search import Search
from asyncq.inspector.servers import Servers
from asyncq.inspector.tasks import Tasks
from asyncq.inspector.trail import Trail
from asyncq.redaction import Redactor
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
        actor: Who acts, for the trail of changes. What somebody does who is not named is not noted there.
        rights: What may be done, and in which queues; everything when not given.
        via: By which tool, for the trail.
        redact: What stands between payloads, headers, results and error texts and whoever looks at them.
        on_change: Called with the record of each change, besides.

    Attributes:
        tasks: Look at tasks, and do something to one, to some, or to all of a kind.
        queues: Queues as a whole.
        groups: Groups of tasks that wait to become one.
        servers: The servers that are there, and what they run.
        schedulers: The schedulers that are there.
        schedules: Their entries, to look at and to change.
        cluster: Slots, nodes, and what Redis says of itself.
        trail: Who changed what.
    """

    def __init__(  # noqa: PLR0913 - its options, one by one
        self,
        url: str | ConnectionOptions | Connection,
        *,
        codecs: Codecs | None = None,
        patience: float = PATIENCE,
        prefix: str | None = None,
        wire: str | None = None,
        actor: str = "",
        rights: Rights | None = None,
        via: str = "python",
        redact: Redactor | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        who = Who(actor=actor, rights=Rights.all() if rights is None else rights, via=via, redact=redact)
        self._furnish(
            Reach(
                url,
                codecs=codecs,
                patience=patience,
                prefix=prefix,
                wire=wire,
                who=who,
                on_change=on_change,
            )
        )

    def _furnish(self, reach: Reach) -> None:
        self._reach = reach
        self.tasks = Tasks(reach)
        self.queues = Queues(reach)
        self.groups = Groups(reach)
        self.servers = Servers(reach)
        self.schedules = Schedules(reach)
        self.schedulers = Schedulers(reach, self.schedules)
        self.measures = Measures(reach)
        self.cluster = Cluster(reach)
        self.search = Search(reach, self.tasks, self.queues, self.groups)
        self.failures = Failures(reach, self.tasks, self.queues)
        self.trail = Trail(reach)

    def acting_as(
        self,
        actor: str,
        *,
        rights: Rights | None = None,
        via: str | None = None,
        redact: Redactor | None = None,
    ) -> Inspector:
        """The same inspector as somebody else has it: cheap, on the same connection.

        It never allows more than this one does: rights are those that both have, and a redactor comes on top
        of the one that is there. Closing it closes nothing.

        Args:
            actor: Who acts.
            rights: What they may do; as much as this one when not given.
            via: By which tool; as this one when not given.
            redact: What stands between the tasks and them, besides.

        Raises:
            ConfigError: Something is wrong with what was given.
        """
        view = object.__new__(type(self))
        who = self._reach.who.acting_as(actor, rights=rights, via=via, redact=redact)
        view._furnish(self._reach.acting_as(who))
        return view

    async def require(self, right: str, queue: str | None = None, *, target: str = "") -> None:
        """Refuse now what would be refused later: before somebody is asked, or begins what nobody awaits.

        What is refused stands in the trail as if it had been tried; what is allowed leaves no record, and
        each change asks for its right once more.

        Args:
            right: Its name, one of `RIGHTS`.
            queue: In which queue; in any when not given.
            target: What it is about, for the trail: the id of a task or entry, or which ones.

        Raises:
            NotAllowedError: The right is missing, or is not for this queue.
            ConfigError: There is no such right.
        """
        await self._reach.admit(right, queue, target)

    @property
    def actor(self) -> str:
        """Who acts; empty for a program that did not say."""
        return self._reach.who.actor

    @property
    def rights(self) -> Rights:
        """What may be done with it."""
        return self._reach.who.rights

    @property
    def via(self) -> str:
        """By which tool."""
        return self._reach.who.via

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
        for queue in queues or (None,):
            self._reach.see(queue)
        seen = await self._seen(queues)
        return await _audit.audit(self._reach.broker(), queues=seen, partial=partial, on_progress=on_progress)

    async def _seen(self, queues: Sequence[str] | None) -> Sequence[str] | None:
        """The queues that are meant by none, for somebody who sees some only."""
        return await self.queues.names() if queues is None and self.rights.is_limited else queues

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
        found = Counter(finding.queue for finding in report.findings if finding.repairable)
        target = f"{found.total():,} findings in {', '.join(sorted(map(repr, found)))}"
        meant = {*found, *(queues or ())}
        queue = next(iter(meant)) if len(meant) == 1 else None
        async with self._reach.change(
            "inspector.repair", queue, target, is_bulk=True, queues=meant
        ) as change:
            seen = await self._seen(queues)
            left = await _repair.repair(
                self._reach.broker(), report, queues=seen, partial=partial, on_progress=on_progress
            )
            change.count = found.total() - sum(finding.repairable for finding in left.findings)
            return left

    async def aclose(self) -> None:
        """Close it. May be called twice."""
        await self._reach.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

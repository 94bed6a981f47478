"""Takes back the tasks of servers that went away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asyncq._broker.leases import CHUNK, Leases, RecoveryTerms
from asyncq._engine.measures import Recorder
from asyncq._service import Service

SETTLING_IN: Final = 0.05
"""Seconds after the end of a lease at which to look: rounding must not make it a moment too soon."""


class Recoverer(Service):
    """Takes back tasks whose lease ran out.

    It sleeps until the next lease of any server ends, but not longer than a lease: one that is taken
    right after a look cannot end before the next. When Redis itself was away for a while it first
    gives the other servers the time to extend what they could not extend.
    """

    def __init__(
        self,
        leases: Leases,
        queues: Sequence[str],
        measures: Recorder,
        *,
        lease: float,
        terms: RecoveryTerms,
    ) -> None:
        super().__init__("recoverer")
        self._leases: Final = leases
        self._queues: Final = list(queues)
        self._measures: Final = measures
        self._lease: Final = lease
        self._terms: Final = terms
        self.recovered = 0
        self._unusable: set[str] = set()

    async def tick(self) -> float:
        found = await self._leases.recover(self._queues, self._terms)
        for task in found.tasks:
            self.recovered += 1
            counts = self._measures.queues[task.queue]
            if task.word == "pending":
                counts.recovered += 1
            elif task.word == "archived":
                counts.given_up += 1
            self.log.warning(
                "task %s in %s was lost with its server (%d times by now): %s",
                task.id,
                task.queue,
                task.lost,
                task.word,
                extra={"event": "recovered", "queue": task.queue, "task_id": task.id, "lost": task.lost},
            )
        self._tell_of(set(found.unusable))
        if found.is_late:
            self.log.warning(
                "Redis was away: leases that ran out meanwhile get %.1f s to be extended",
                self._lease / 2,
                extra={"event": "recovery_delayed"},
            )
            return self._lease / 2
        if len(found.tasks) >= CHUNK:
            return 0.0
        wait = self._lease if found.wait is None else min(found.wait + SETTLING_IN, self._lease)
        return max(wait, 0.0)

    def _tell_of(self, unusable: set[str]) -> None:
        """Complain of each damaged queue once, and not with every tick."""
        for queue in sorted(unusable - self._unusable):
            self.log.error(
                "queue %s is left alone: a key of it holds something else than it should"
                " (asyncq doctor says which)",
                queue,
                extra={"event": "queue_unusable", "queue": queue},
            )
        self._unusable = unusable

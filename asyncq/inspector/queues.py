"""The inspector's room for queues."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Final

from asyncq._broker.findings import OnProgress, Progress
from asyncq._broker.queues import HISTORY_DAYS, REMOVING, Survey
from asyncq._broker.rounds import Round
from asyncq._checks import require_whole
from asyncq._clock import from_unix
from asyncq.errors import ConfigError, QueueNotEmptyError
from asyncq.inspector.found import Found
from asyncq.inspector.reach import Reach

MOST_SAMPLES: Final = 1000


@dataclass(frozen=True, slots=True)
class QueueSizes:
    """How many tasks a queue has at one moment."""

    name: str
    sizes: Mapping[str, int]  #: tasks by state, also those that are 0
    groups: int  #: names of groups in which tasks wait

    @property
    def size(self) -> int:
        """All tasks, whatever their state."""
        return sum(self.sizes.values())

    @property
    def pending(self) -> int:
        """Tasks that can be taken."""
        return self.sizes["pending"]

    @property
    def active(self) -> int:
        """Tasks that servers work on."""
        return self.sizes["active"]

    @property
    def scheduled(self) -> int:
        """Tasks for later."""
        return self.sizes["scheduled"]

    @property
    def retry(self) -> int:
        """Tasks that failed and will run again."""
        return self.sizes["retry"]

    @property
    def archived(self) -> int:
        """Tasks that failed for good."""
        return self.sizes["archived"]

    @property
    def completed(self) -> int:
        """Tasks that are kept after they succeeded."""
        return self.sizes["completed"]

    @property
    def aggregating(self) -> int:
        """Tasks that wait in groups."""
        return self.sizes["aggregating"]


@dataclass(frozen=True, slots=True)
class QueueInfo(QueueSizes):
    """A queue at one moment."""

    orphaned: int  #: active tasks whose lease ran out; a server of this queue will take them back
    latency: float
    """Seconds for which the task that is taken next has been ready; 0 when none is.

    Counted from when the task was enqueued, by the clock of the client that did, or was last due. A task
    that was handed back by a server counts from when it was ready first."""

    processed_total: int  #: attempts that have ended, ever
    failed_total: int  #: those of them that failed
    processed: int  #: the same for today, by UTC
    failed: int
    is_paused: bool  #: nothing is taken from it
    paused_at: datetime | None
    is_being_removed: bool  #: somebody began to remove it, and has not come to the end
    at: datetime  #: the moment, by the clock of Redis


@dataclass(frozen=True, slots=True)
class DailyStats:
    """What happened in a queue on one day, by UTC."""

    queue: str
    date: date
    processed: int  #: attempts that ended
    failed: int  #: those of them that failed


@dataclass(frozen=True, slots=True)
class QueueMemory:
    """An estimate of the memory that a queue takes in Redis, in bytes."""

    total: int
    states: Mapping[str, int]  #: tasks of each state, with what lists them
    sampled: int  #: tasks that were looked at


class Queues:
    """Queues as a whole."""

    def __init__(self, reach: Reach) -> None:
        self._reach: Final = reach

    async def names(self, *, partial: bool = False) -> Found[str]:
        """The names of all queues, sorted.

        Args:
            partial: When the node of a cluster that knows them is away, find the names of those on the
                other nodes, key by key; `missing` of the list says so.
        """
        self._reach.see()
        round_ = self._reach.round(partial=partial)
        names = await self._reach.broker().browse.names(round_)
        return Found(filter(self._reach.sees, names), round_.end())

    async def sizes(self, *, only: Iterable[str] | None = None, partial: bool = False) -> Found[QueueSizes]:
        """How many tasks all queues have, by name: what `list` says of them for a fraction of its cost.

        Args:
            only: As for `list`.
            partial: As for `list`.

        Raises:
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        self._reach.see()
        round_, names = await self._look(only, partial=partial)
        found = await self._reach.broker().queues.sizes(names, round_)
        known = ((name, *found[name]) for name in names if name in found)
        infos = [QueueSizes(name, MappingProxyType(sizes), groups) for name, sizes, groups in known]
        return Found(infos, round_.end())

    async def list(self, *, only: Iterable[str] | None = None, partial: bool = False) -> Found[QueueInfo]:
        """All queues, by name. One call looks at a hundred of them; in a cluster at those of one slot.

        Args:
            only: Names, as of one page out of thousands of queues. Those of none that is there are left out.
            partial: Return what can be had when a node of a cluster is away; `missing` of the list says what
                cannot.

        Raises:
            PartlyUnavailableError: A node of a cluster is away, and `partial` was not given.
        """
        self._reach.see()
        round_, names = await self._look(only, partial=partial)
        found = await self._reach.broker().queues.survey(names, round_)
        return Found([_queue_info(name, found[name]) for name in names if name in found], round_.end())

    async def _look(self, only: Iterable[str] | None, *, partial: bool) -> tuple[Round, builtins.list[str]]:
        """Begin a look at queues: those that are there, and may be seen."""
        round_ = self._reach.round(partial=partial)
        names = [*filter(self._reach.sees, await self._reach.broker().browse.names(round_))]
        if only is not None:
            wanted = {*only}
            names = [name for name in names if name in wanted]
        return round_, names

    async def get(self, queue: str) -> QueueInfo:
        """One queue.

        Raises:
            QueueNotFoundError: No task was ever put into such a queue, or it was removed.
        """
        self._reach.see(queue)
        round_ = self._reach.round(partial=False)
        survey = (await self._reach.broker().queues.survey([queue], round_))[queue]
        if not any(survey.sizes.values()):
            await self._reach.require_queue(queue)
        return _queue_info(queue, survey)

    async def history(self, queue: str, *, days: int = 7) -> builtins.list[DailyStats]:
        """What happened on the last days, today first. Days are those of UTC; 90 are kept.

        Raises:
            ConfigError: `days` is not from 1 to 90.
            QueueNotFoundError: There is no such queue.
        """
        self._reach.see(queue)
        require_whole("days", days, least=1)
        if days > HISTORY_DAYS:
            raise ConfigError("days", days, f"at most {HISTORY_DAYS}, for which these numbers are kept")
        await self._reach.require_queue(queue)
        found = await self._reach.broker().queues.history(queue, days)
        return [
            DailyStats(queue, datetime.fromtimestamp(instant, UTC).date(), processed, failed)
            for instant, processed, failed in found
        ]

    async def memory(self, queue: str, *, samples: int = 20) -> QueueMemory:
        """Estimate the memory of a queue.

        Args:
            queue: Its name.
            samples: Tasks of each state that are looked at, and groups. The others are taken to be
                like them, so that a queue of any size takes Redis about the same time.

        Raises:
            ConfigError: `samples` is not from 1 to 1,000.
            QueueNotFoundError: There is no such queue.
        """
        self._reach.see(queue)
        require_whole("samples", samples, least=1)
        if samples > MOST_SAMPLES:
            raise ConfigError("samples", samples, f"at most {MOST_SAMPLES}")
        await self._reach.require_queue(queue)
        weights, other = await self._reach.broker().queues.weigh(queue, samples=samples)
        return QueueMemory(
            sum(weight.bytes for weight in weights.values()) + other,
            MappingProxyType({state: weight.bytes for state, weight in weights.items()}),
            sum(weight.sampled for weight in weights.values()),
        )

    async def pause(self, queue: str) -> bool:
        """Let no server take tasks from this queue. What runs goes on; enqueueing goes on.

        Returns:
            False if it was paused already.

        Raises:
            QueueNotFoundError: There is no such queue.
        """
        async with self._reach.change("queues.pause", queue) as change:
            await self._reach.require_queue(queue)
            is_new = await self._reach.broker().queues.pause(queue)
            change.remark = "" if is_new else "it was paused already"
            return is_new

    async def unpause(self, queue: str) -> bool:
        """Let servers take tasks from this queue again. Idle ones are woken for what has gathered.

        Returns:
            False if it was not paused.

        Raises:
            QueueNotFoundError: There is no such queue.
        """
        async with self._reach.change("queues.unpause", queue) as change:
            await self._reach.require_queue(queue)
            is_new = await self._reach.broker().queues.unpause(queue)
            change.remark = "" if is_new else "it was not paused"
            return is_new

    async def remove(self, queue: str, *, force: bool = False, on_progress: OnProgress | None = None) -> int:
        """Remove a queue, with everything that belongs to it.

        With `force` its tasks go, too: a bounded number with each call, so that Redis is not held up.
        Nothing more is taken from it from the first call on. Tasks that run are cancelled, and what
        their handlers still write goes nowhere. If you are interrupted, the rest of the queue is still
        there, sound and paused: remove it again, or unpause it to keep the rest.

        A task that is enqueued meanwhile may be removed with the others, or begin the queue anew.

        Args:
            queue: Its name.
            force: Remove the tasks of the queue. Without it a queue that has any is left alone.
            on_progress: Called after each part.

        Returns:
            How many tasks were removed.

        Raises:
            QueueNotFoundError: There is no such queue.
            QueueNotEmptyError: It holds tasks, and `force` was not given; nothing was done.
        """
        target = "with its tasks" if force else "if it is empty"
        async with self._reach.change("queues.remove", queue, target, is_bulk=force) as change:
            await self._reach.require_queue(queue)
            removed = 0
            async for step in self._reach.broker().queues.remove(queue, force=force):
                if step.word == "held":
                    raise QueueNotEmptyError(queue, {state: n for state, n in step.contents.items() if n})
                removed += step.removed
                change.count = removed
                if on_progress is not None:
                    left = sum(step.contents.values())
                    on_progress(Progress(f"{queue}: remove", removed, removed + left))
            return removed


def _queue_info(name: str, survey: Survey) -> QueueInfo:
    processed_total, failed_total, processed, failed = survey.counters
    word, _, since = survey.paused.rpartition(" ")
    return QueueInfo(
        name=name,
        sizes=MappingProxyType(survey.sizes),
        groups=survey.groups,
        orphaned=survey.orphaned,
        latency=max(0.0, survey.now - survey.waiting_since) if survey.waiting_since else 0.0,
        processed_total=processed_total,
        failed_total=failed_total,
        processed=processed,
        failed=failed,
        is_paused=bool(survey.paused),
        paused_at=_instant(since),
        is_being_removed=word == REMOVING,
        at=from_unix(survey.now),
    )


def _instant(text: str) -> datetime | None:
    """An instant in Unix seconds; `None` for anything else that somebody may have written by hand."""
    try:
        return from_unix(float(text))
    except (ValueError, OverflowError, OSError):
        return None

"""Makes one task of those that have gathered in a group."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Final

from asyncq._broker.groups import AggregationSet, Gathered, Groups, Member, Ripeness
from asyncq._engine.aggregation import Aggregation
from asyncq._engine.outcome import describe
from asyncq._service import Errands, Service
from asyncq.config import ServerConfig
from asyncq.errors import BrokerError, EnqueueRefusedError
from asyncq.group_settings import MOST_GROUPED
from asyncq.task import Task

AT_ONCE: Final = 10
"""Groups that one server aggregates at the same time. In a cluster it takes as many of each slot, and they
wait for their turn."""

LONGEST_SLEEP: Final = 15.0
"""Seconds after which it looks although no group is ripe, in case a message was missed."""

LOOK_FOR_FULL: Final = 1.0
"""Seconds between two looks while tasks gather, where nobody says when a group is full."""

AHEAD: Final = 0.001
"""Seconds before its time to get up, as the forwarder does."""

FIRST_BACKOFF: Final = 1.0
LONGEST_BACKOFF: Final = 60.0
"""Seconds for which a group is left alone after it could not be aggregated; doubled with each time."""

MOST_LEFT_ALONE: Final = 1000
"""When so many groups are left alone, all are: the reason will be the same for each."""

LAST_WORDS: Final = 5.0
"""Seconds at the end to give back what is being aggregated."""

PLACED: Final = frozenset({"pending", "scheduled", "aggregating", "already"})
_REFUSED: Final = {
    "duplicate": "it is unique, and another task holds the lock",
    "conflict": "there is another task with this id",
    "unusable": "a key of its lock or group holds something else than it should",
}


class Aggregator(Service):
    """Aggregates the groups whose time has come.

    It sleeps until the next one is ripe and not at fixed intervals, and is poked when a group is
    full and when one has its first task. Each group is aggregated beside the others, under a lease
    that is prolonged meanwhile. Whatever goes wrong, the tasks wait in their group again.
    """

    def __init__(
        self,
        groups: Groups,
        aggregation: Aggregation,
        config: ServerConfig,
        queues: Sequence[str],
        *,
        looks_for_full: bool = False,
    ) -> None:
        super().__init__("aggregator")
        self._groups: Final = groups
        self._queues: Final = list(queues)
        self._aggregation: Final = aggregation
        self._ripeness: Final = ripeness_of(config)
        self._codecs: Final = config.codecs
        self._lease: Final = config.lease
        is_told = config.waking == "push"
        self._longest_sleep: Final = LONGEST_SLEEP if is_told else config.check_interval
        self._looks_for_full: Final = looks_for_full
        self._time: Final = asyncio.get_running_loop().time
        self._held: Final[dict[bytes, tuple[AggregationSet, asyncio.Task[None]]]] = {}
        self._gathering: asyncio.Task[Gathered] | None = None
        self._prolong_at = 0.0
        self._backoffs: Final = Backoffs()
        self._unusable: set[str] = set()
        self._errands: Final = Errands()
        self.aggregated = 0
        self.looks = 0  #: at the groups, all of them

    async def tick(self) -> float:
        await self._prolong()
        now = self._time()
        wait = self._longest_sleep
        left_alone, backoff_ends = self._backoffs.at(now)
        if backoff_ends is not None:
            wait = min(wait, backoff_ends - now)
        want = AT_ONCE - len(self._held)
        if want > 0 and left_alone is not None:
            found = await self._gather(want, left_alone)
            self._begin(found)
            self.looks += 1
            # Full hands are no reason to ask again: whatever comes to its end will poke.
            if found.wait is not None and len(self._held) < AT_ONCE:
                wait = min(wait, found.wait - AHEAD, LOOK_FOR_FULL if self._looks_for_full else math.inf)
        if self._held:
            wait = min(wait, self._prolong_at - self._time())
        return max(0.0, wait)

    async def stop(self) -> None:
        """Stop, and give back at once what is being aggregated."""
        await super().stop()
        held = [*(taken for taken, _ in self._held.values()), *await self._last_gathered()]
        self._held.clear()
        await self._errands.cancel(LAST_WORDS)
        if not held:
            return
        try:
            async with asyncio.timeout(LAST_WORDS):
                await self._groups.release(held, tell=True)
        except (BrokerError, TimeoutError) as error:
            self._not_released(held, error)

    async def _gather(self, want: int, left_alone: Mapping[str, Sequence[bytes]]) -> Gathered:
        """Take ripe groups. What is taken while this is cancelled is given back by `stop`."""
        self._gathering = self._errands.start(
            self._groups.gather(
                self._queues, self._ripeness, want=want, lease=self._lease, left_alone=left_alone
            ),
            name="gathering",
        )
        found = await asyncio.shield(self._gathering)
        self._gathering = None
        return found

    async def _last_gathered(self) -> list[AggregationSet]:
        """Wait for what was on its way when this stopped; nobody has begun with it."""
        if self._gathering is None:
            return []
        await asyncio.wait([self._gathering], timeout=LAST_WORDS)
        failed = not self._gathering.done() or self._gathering.exception() is not None
        return [] if failed else self._gathering.result().sets

    async def _prolong(self) -> None:
        """Keep what is being aggregated, every third of a lease."""
        now = self._time()
        if not self._held:
            self._prolong_at = now + self._lease / 3
        elif now >= self._prolong_at:
            held = [taken for taken, _ in self._held.values()]
            for taken in await self._groups.prolong(held, lease=self._lease):
                # Or it has come to its end in this moment.
                if taken.key in self._held:
                    _, errand = self._held[taken.key]
                    errand.cancel()
                    await self._lost(taken)
            self._prolong_at = now + self._lease / 3

    def _begin(self, found: Gathered) -> None:
        if found.sets and not self._held:
            self._prolong_at = self._time() + self._lease / 3
        for taken in found.sets:
            errand = self._errands.start(self._aggregate(taken), name="aggregation")
            self._held[taken.key] = (taken, errand)
        for queue in sorted(set(found.unusable) - self._unusable):
            self.log.error(
                "the groups of queue %s are left alone: a key of it holds something else than it should"
                " (asyncq doctor says which)",
                queue,
                extra={"event": "queue_unusable", "queue": queue},
            )
        self._unusable = set(found.unusable)

    async def _aggregate(self, taken: AggregationSet) -> None:
        """Aggregate one set. When this is cancelled the set stays held, for `stop` to give back."""
        try:
            async with self._aggregation.turn:
                await self._attempt(taken)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's aggregator: logged, its tasks go back
            await self._failed(taken, error)
        self._held.pop(taken.key, None)
        self.poke()

    async def _attempt(self, taken: AggregationSet) -> None:
        members = await self._groups.collect(taken)
        if members is None or not await self._set_aside(taken, members):
            await self._lost(taken)
            return
        members = [member for member in members if member.envelope is not None]
        tasks = [
            Task.received(taken.queue, member.id, member.envelope, self._codecs)
            for member in members
            if member.envelope is not None
        ]
        if not tasks:
            await self._groups.release([taken], tell=False)
            return
        new = await self._aggregation.ask(taken.queue, taken.group, tasks)
        word = await self._groups.aggregate(taken, members, new)
        if word in PLACED:
            self.aggregated += len(tasks)
            self._backoffs.forget(taken)
            self.log.debug(
                "%d tasks of group %s in %s became task %s in %s",
                len(tasks),
                taken.group,
                taken.queue,
                new.id,
                new.queue,
                extra={
                    "event": "aggregated",
                    "queue": taken.queue,
                    "group": taken.group,
                    "task_id": new.id,
                    "count": len(tasks),
                },
            )
        elif word == "gone":
            await self._lost(taken)
        elif word == "changed":
            # Somebody took a task out of it meanwhile: what was made of it is no longer true.
            await self._groups.release([taken], tell=False)
        else:
            raise EnqueueRefusedError(f"the task made of the group was refused: {_REFUSED.get(word, word)}")

    async def _set_aside(self, taken: AggregationSet, members: Sequence[Member]) -> bool:
        unreadable = [member for member in members if member.envelope is None]
        if not unreadable:
            return True
        for member in unreadable:
            self.log.error(
                "task %s of group %s in %s cannot be read, it is archived: %s",
                member.id,
                taken.group,
                taken.queue,
                member.unreadable,
                extra={"event": "unreadable", "queue": taken.queue, "task_id": member.id},
            )
        return await self._groups.set_aside(taken, unreadable)

    async def _failed(self, taken: AggregationSet, error: Exception) -> None:
        delay = self._backoffs.note(taken, self._time())
        self.log.error(
            "group %s of %s was not aggregated, its %d tasks wait for %.0f s: %s",
            taken.group,
            taken.queue,
            taken.size,
            delay,
            describe(error),
            exc_info=error,
            extra={
                "event": "aggregation_failed",
                "queue": taken.queue,
                "group": taken.group,
                "count": taken.size,
                "delay": delay,
            },
        )
        try:
            await self._groups.release([taken], tell=False)
        except BrokerError as away:
            # Nobody prolongs it any more: it is given back when its lease ends.
            self._not_released([taken], away)

    def _not_released(self, sets: Sequence[AggregationSet], error: Exception) -> None:
        self.log.warning(
            "%d groups could not be given back: %s; their tasks wait again when the leases end",
            len(sets),
            describe(error),
            extra={"event": "groups_not_returned", "count": len(sets)},
        )

    async def _lost(self, taken: AggregationSet) -> None:
        self._held.pop(taken.key, None)
        self.log.warning(
            "group %s of %s is aggregated by somebody else: its lease was lost",
            taken.group,
            taken.queue,
            extra={"event": "aggregation_lost", "queue": taken.queue, "group": taken.group},
        )
        if self._looks_for_full:
            # Go's asynq makes a group of a set again and does not list it: nobody would look there.
            try:
                await self._groups.release([taken], tell=True)
            except BrokerError as away:
                self._not_released([taken], away)


def aggregators(
    groups: Groups, config: ServerConfig, together: Sequence[Sequence[str]], *, looks_for_full: bool = False
) -> list[Aggregator]:
    """One for each set of queues that share a slot; none if there is no function for it."""
    if config.group_aggregator is None:
        return []
    aggregation = Aggregation(config.group_aggregator, config.codecs, at_once=AT_ONCE)
    return [
        Aggregator(groups, aggregation, config, queues, looks_for_full=looks_for_full) for queues in together
    ]


def ripeness_of(config: ServerConfig) -> Ripeness:
    """When groups are ripe, by the options of a server."""
    grace, max_delay = config.group_grace_period, config.group_max_delay or 0.0
    max_size = config.group_max_size or MOST_GROUPED
    special: list[tuple[str, float, float, int]] = []
    for prefix, one in sorted(config.group_settings.items(), key=lambda item: len(item[0]), reverse=True):
        given = {"grace_period": grace, "max_delay": max_delay, "max_size": max_size}
        given |= {name: getattr(one, name) for name in given if getattr(one, name) is not None}
        size = int(given["max_size"]) or MOST_GROUPED
        special.append((prefix, float(given["grace_period"]), float(given["max_delay"]), size))
    return Ripeness(grace, max_delay, max_size, tuple(special))


class Backoffs:
    """Groups that could not be aggregated, and until when they are left alone."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, bytes], tuple[float, float]] = {}

    def note(self, taken: AggregationSet, now: float) -> float:
        """Leave a group alone; returns the seconds."""
        delay, _ = self._until.get((taken.queue, taken.name), (FIRST_BACKOFF / 2, 0.0))
        delay = min(delay * 2, LONGEST_BACKOFF)
        self._until[taken.queue, taken.name] = (delay, now + delay)
        return delay

    def forget(self, taken: AggregationSet) -> None:
        """It could be aggregated."""
        self._until.pop((taken.queue, taken.name), None)

    def at(self, now: float) -> tuple[dict[str, list[bytes]] | None, float | None]:
        """Groups to leave alone, by queue, or `None` for all; and when the first of them may be tried."""
        # What nobody has tried for long is forgotten: its tasks went elsewhere.
        for key in [key for key, (_, until) in self._until.items() if now > until + LONGEST_BACKOFF * 2]:
            del self._until[key]
        left_alone: dict[str, list[bytes]] = {}
        ends = [until for _, until in self._until.values() if until > now]
        for (queue, name), (_, until) in self._until.items():
            if until > now:
                left_alone.setdefault(queue, []).append(name)
        return None if len(ends) > MOST_LEFT_ALONE else left_alone, min(ends, default=None)

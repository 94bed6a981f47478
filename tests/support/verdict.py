"""What must be true after a `Workload`, whatever broke meanwhile; what a fault may cost is said by it."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from redis import Redis
from redis.cluster import RedisCluster

from asyncq import Inspector

from .census import take_census
from .ledger import Ledger, Run
from .remains import Place, assert_drained, unfinished
from .waiting import wait_until
from .workload import QUEUES, SIDE, SLOTS, SPARE, Fact, Workload

__all__ = ["Trouble", "Verdict"]

_ALL = (*QUEUES, SIDE)  # that are served
_ONLY_UNLISTED = re.compile(r" 1 findings\b.*: unlisted_queue: ")


@dataclass
class Trouble:
    """What a fault was, as far as it excuses anything."""

    killed_at: dict[int, float] = field(default_factory=dict)
    """Servers that were killed, and when."""

    lost: tuple[float, float] = (math.inf, -math.inf)
    """What was acknowledged between these may be lost or undone: a fail-over."""

    lost_queues: Collection[str] = (*_ALL, SPARE)
    """Where."""

    away: tuple[float, float] = (math.inf, -math.inf)
    """Redis could not be reached for longer than a lease: who held a slot then may have lost it."""

    full: tuple[float, float] = (math.inf, -math.inf)
    """Redis took no more: a queue whose first task was the last to fit is listed beside its next one."""

    is_down: bool = False
    """There was no Redis at all for so long that health checks had to see it."""

    def exposes(self, fact: Fact) -> bool:
        """Tell whether what was done to a task may be lost, or not yet be whole when the auditor looked."""
        where, (begin, end) = fact.queue in self.lost_queues, self.lost
        if fact.row == "audit" and self.is_fail_over:
            where, (begin, end) = True, self.away
        if fact.row == "audit" and _ONLY_UNLISTED.search(fact.spoilt):
            where, (begin, end) = True, self.full
        return where and fact.placed_at <= end and fact.settled_at >= begin

    @property
    def is_fail_over(self) -> bool:
        """Whether anything may be lost."""
        return self.lost[0] <= self.lost[1]


class Verdict:
    """Looks at the ledger, at Redis, and at what the workload was promised.

    Args:
        redis: Where all happened.
        workload: After it has come to its end; servers still run.
        ledger: Of servers and workload.
        trouble: What is excused.
    """

    def __init__(self, redis: Place, workload: Workload, ledger: Ledger, trouble: Trouble) -> None:
        self._redis = redis
        self._facts = workload.facts
        self._workload = workload
        self._ledger = ledger
        self._trouble = trouble

    def _of(self, *fates: str, sure: bool = False) -> set[str]:
        return {
            fact.id
            for fact in self._facts
            if fact.fate in fates and not (sure and self._trouble.exposes(fact))
        }

    async def all_is_done(self) -> None:
        """Wait for what is to come to its end by itself. Fails if one of the workload was told otherwise."""
        spoilt = [fact for fact in self._facts if fact.spoilt and not self._trouble.exposes(fact)]
        assert not spoilt, f"{len(spoilt)} went wrong, such as {spoilt[:3]}"
        expected = self._of("done", "kept", "edited", "run", sure=True)
        await wait_until(
            lambda: self._ledger.ended() >= expected,
            "every task to be done",
            30.0,
        )
        client = self._redis.client()
        try:
            # Together, since what waits in a group now is in a queue later.
            await wait_until(
                lambda: not any(_unsettled(client, queue) for queue in _ALL),
                "every group to be empty, and every outcome",
                40.0,
            )
        finally:
            client.close()

    async def clear(self, inspector: Inspector) -> None:
        """Find in Redis what is to be kept there and nothing else, by tools; and remove it, all of it."""
        for state, fates in (("completed", {"kept"}), ("archived", {"cancelled", "failed"})):
            expected, sure = self._of(*fates), self._of(*fates, sure=True)
            found: dict[str, Any] = {}
            for queue in _ALL:
                async for info in inspector.tasks.iterate(queue, state):  # type: ignore[arg-type]
                    found[info.id] = info
            left = set(found) - expected
            assert left <= self._exposed(), f"{state}, and should not be: {[found[one] for one in left]}"
            assert sure <= set(found), f"not {state}: {sure - set(found)}"
            for queue in _ALL:
                count = sum(info.queue == queue for info in found.values())
                report = await inspector.tasks.delete_all(queue, state)  # type: ignore[arg-type]
                assert (report.done, report.is_complete) == (count, True)
        if self._trouble.is_fail_over:
            for queue in _ALL:
                async for info in inspector.tasks.iterate(queue, "scheduled"):
                    assert info.id in self._exposed(), f"left: {info}"
                await inspector.tasks.delete_all(queue, "scheduled")

    def _exposed(self) -> set[str]:
        return {fact.id for fact in self._facts if self._trouble.exposes(fact)}

    async def nothing_is_left(self) -> None:
        """No task, no lock, no slot, no set of a group; and two auditors find nothing wrong."""
        await assert_drained(self._redis, *_ALL)
        client = self._redis.client()
        try:
            for queue in (*_ALL, SPARE):
                census = take_census(client, queue)
                assert not census.counts
            left = [
                key
                for pattern in ("*{*}:unique:*", "*{*}:g:*", "*{*}:aggregation_sets")
                for key in client.scan_iter(pattern, count=1000)
            ]
            left += [key for key in ("asyncq:sema:{bank}", "asynq:asyncq:sema:{bank}") if client.exists(key)]
            assert not left
        finally:
            client.close()

    def everything_was_kept(self) -> None:
        """Compare what was promised with what the ledger says was done."""
        self._each_run_is_explained()
        self._each_grouped_task_is_in_one_other()
        self._what_was_stopped_did_not_run()
        self._unique_tasks_were_alone()
        self._pauses_were_pauses()
        self._edits_were_seen()
        self._limits_were_respected()
        self._times_were_had_once()
        self._everything_was_around()
        self._health_was_checked()
        assert any(fact.progress for fact in self._facts)
        assert self._workload.refused

    def _health_was_checked(self) -> None:
        told: defaultdict[int, list[str]] = defaultdict(list)
        for entry in self._ledger.entries():
            if entry.phase == "health":
                told[entry.pid].append(entry.detail)
        for pid in self._trouble.killed_at:
            told.pop(pid, None)
        assert len(told) == 3
        for details in told.values():
            assert details[-1] == "", "not well in the end"
            if self._trouble.is_down:
                assert any(details), "nobody noticed"

    def _each_run_is_explained(self) -> None:
        lost_until = self._trouble.lost[1]
        account = self._ledger.account(
            self._of("done", "kept", "edited", "run", sure=True),
            killed=self._trouble.killed_at,
            excused=lambda run: run.began_at <= lost_until,
        )
        account.assert_complete()
        if not self._trouble.killed_at and not self._trouble.is_fail_over:
            # Nobody died: whatever happened to Redis and the network, nothing is run again for it.
            for runs in account.runs.values():
                again = [run for run in runs if run.outcome not in ("failed", "cancelled")]
                assert len(again) <= 1, runs

    def _each_grouped_task_is_in_one_other(self) -> None:
        inside: defaultdict[str, set[str]] = defaultdict(set)
        for entry in self._ledger.entries():
            if entry.phase == "part":
                inside[entry.id].add(entry.detail)
        sure = self._of("aggregated", sure=True)
        assert sure <= set(inside), f"lost: {sure - set(inside)}"
        assert set(inside) <= self._of("aggregated"), "out of nowhere"
        # A fail-over may undo what was aggregated: then it is done again.
        once = {fact.id for fact in self._facts if fact.placed_at > self._trouble.lost[1]}
        twice = {one: found for one, found in inside.items() if len(found) != 1 and one in once}
        assert not twice

    def _what_was_stopped_did_not_run(self) -> None:
        runs, ended = self._ledger.runs(), self._ledger.ended()
        for fact in self._facts:
            if fact.fate in ("cancelled", "deleted") and not self._trouble.exposes(fact):
                assert fact.id not in ended
                late = [run for run in runs.get(fact.id, []) if run.began_at > fact.settled_at]
                assert not late, (fact, late)

    def _unique_tasks_were_alone(self) -> None:
        """One of a key is over before the next one of it is even there."""
        runs = self._ledger.runs()
        by_key: defaultdict[int, list[Fact]] = defaultdict(list)
        for fact in self._facts:
            if fact.row == "unique" and not fact.placed_at <= self._trouble.lost[1]:
                by_key[fact.key].append(fact)
        for facts in by_key.values():
            for earlier, later in pairwise(facts):
                over = max(self._ended(run) for run in runs[earlier.id])
                assert over < runs[later.id][0].began_at, (earlier, later)

    def _ended(self, run: Run) -> float:
        return min(run.ended_at, self._trouble.killed_at.get(run.pid, math.inf))

    def _pauses_were_pauses(self) -> None:
        assert self._workload.pauses
        for runs in self._ledger.runs().values():
            for run in runs:
                if run.queue == SIDE and not run.began_at <= self._trouble.lost[1]:
                    hit = [one for one in self._workload.pauses if one[0] < run.began_at < one[1]]
                    assert not hit, run

    def _edits_were_seen(self) -> None:
        exposed = self._exposed()
        notes = Counter(
            entry.detail
            for entry in self._ledger.entries()
            if entry.phase == "note" and entry.id not in exposed
        )
        assert set(notes) == {"new"}

    def _limits_were_respected(self) -> None:
        limited = {fact.id for fact in self._facts if fact.row == "limited"}
        begin, end = self._trouble.away

        def counts(run: Run) -> bool:
            is_limited = run.id in limited or run.id.startswith("slot ")
            return is_limited and not (run.began_at < end and run.ended_at > begin)

        assert self._ledger.most_at_once(self._trouble.killed_at, counts=counts) == SLOTS

    def _times_were_had_once(self) -> None:
        """Each time of an entry is one task, an interval apart, up to the end."""
        times = self._workload.times()
        assert len(times) == len(self._workload.entries)
        for nominals in times.values():
            gaps = [later - earlier for earlier, later in pairwise(nominals)]
            assert not gaps or min(gaps) > 0.99, gaps

    def _everything_was_around(self) -> None:
        """Each handler was begun inside of its lifespans and its middleware, and these were left after it."""
        seen: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for entry in self._ledger.entries():
            if entry.phase in ("enter", "around", "leave"):
                seen[entry.id][entry.phase] = entry
        downs = {entry.pid: entry.at for entry in self._ledger.entries() if entry.phase == "down"}
        for runs in self._ledger.runs().values():
            for run in runs:
                if run.id.startswith("slot "):
                    continue
                around = seen[run.token]
                assert around["enter"].detail == "up"
                assert around["around"].detail == run.token
                assert around["enter"].at <= around["around"].at <= run.began_at
                if run.pid not in self._trouble.killed_at:
                    assert run.ended_at <= around["leave"].at <= downs[run.pid]


def _unsettled(client: Redis | RedisCluster, queue: str) -> dict[str, int]:
    found = unfinished(client, queue)
    places = ("pending", "lease", "retry", "groups", "aggregating")
    return {place: count for place, count in found.items() if place in places}

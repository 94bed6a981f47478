"""Calls of scripts that are made in more than one situation: Redis full, demoted, or a slot on its way.

What a call does when all is well stands in the test of its script; there it is written out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.lua.space import CHANNEL, NEWS, Space, packed

__all__ = [
    "KEEP",
    "LEASE",
    "STAND",
    "Act",
    "act",
    "aggregate",
    "balance",
    "cancel",
    "collect",
    "deliver",
    "enqueue",
    "extend",
    "forward",
    "gather",
    "mend",
    "prolong",
    "recover",
    "remove",
    "set_aside",
    "settle",
    "sweep",
    "ungather",
]

Act = Callable[[Space], Any]

STAND, LEASE, KEEP = 7.0, 30.0, 60.0
_SET = "g:s.1.0"
"""A set of the group `g`, named as `grouping.take` names it."""


def _places(space: Space) -> list[str]:
    q = space.q
    return [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed, q.groups, q.aggregation_sets]


def enqueue(
    space: Space, *details: bytes | str, extra: Sequence[str] = (), times: int = 0, again: bool = False
) -> Any:
    """Enqueue tasks; `extra` are further keys of the last one, `times` says how many are times of entries."""
    q = space.q
    keys = [q.pending, q.scheduled, q.groups, q.flow, q.waiting, q.receipt("c")]
    args: list[object] = [1, 60, CHANNEL, NEWS, "", q.task_prefix, times]
    for number, detail in enumerate(details):
        keys.append(q.task(f"n{number}"))
        args += ["message", detail]
    return space.run("enqueue", [*keys, *extra], *args, again=again)


def deliver(space: Space, *, again: bool = False) -> Any:
    """Take up to five tasks; their ids."""
    q = space.q
    keys = [q.receipt("s.0"), q.pending, q.lease, q.paused, q.waiting, q.flow]
    args = ["s", 1, 5, LEASE, STAND, CHANNEL, space.in_cluster, 5, q.task_prefix]
    return space.run("deliver", keys, *args, again=again)[2::4]


def settle(outcome: str, *detail: object, lock: str | None = None) -> Act:
    """Settle the delivery `s:1` of the task `a`."""

    def call(space: Space) -> Any:
        q, now = space.q, space.now()
        keys = [q.lease, q.pending, q.retry, q.scheduled, q.archived, q.completed, q.processed, q.failed]
        keys += [q.day("processed", now), q.day("failed", now), q.flow, q.waiting, q.awaited, q.task("a")]
        args: list[object] = [1, CHANNEL, NEWS, space.in_cluster]
        if outcome == "plain":
            return space.run("settle", keys, *args, 1, 1, "a", "s:1")
        keys += [q.unique(lock)] if lock else []
        given = packed(*detail) if detail else ""
        return space.run("settle", keys, *args, 0, 1, "a", "s:1", outcome, given)

    return call


def extend(space: Space) -> Any:
    """Prolong the leases of `a` and `b`."""
    q = space.q
    return space.run("extend", [q.lease, q.task("a"), q.task("b")], LEASE, "a", "s:1", "b", "s:2")


def forward(space: Space) -> Any:
    """Make pending what is due; how many there were."""
    q = space.q
    keys = [q.scheduled, q.retry, q.pending, q.waiting, q.groups, q.flow]
    args = [100, CHANNEL, space.in_cluster, NEWS, q.task_prefix, q.group_prefix]
    return space.run("forward", keys, *args)[0]


def recover(space: Space) -> Any:
    """Take back what nobody prolonged: when to come again, and what there was."""
    q = space.q
    keys = [q.lease, q.pending, q.archived, q.waiting, q.flow]
    args = [100, 5, CHANNEL, space.in_cluster, space.now(), "1", 3, q.task_prefix, q.unique_prefix]
    return space.run("recover", keys, *args)[2:]


def sweep(space: Space) -> Any:
    """Remove what is completed and over, and what was archived 500 seconds ago."""
    q = space.q
    keys = [q.completed, q.archived, q.flow]
    return space.run("sweep", keys, 100, 500, 100, q.task_prefix, q.unique_prefix)


def cancel(task_id: str) -> Act:
    """Cancel one task."""

    def call(space: Space) -> Any:
        q = space.q
        keys = [q.task(task_id), q.pending, q.scheduled, q.retry, q.archived, q.groups]
        return space.run("cancel", keys, CHANNEL, task_id, q.group_prefix, q.unique_prefix)

    return call


def act(action: str, *ids: str) -> Act:
    """Run, archive or delete tasks; the second call of an inspector."""

    def call(space: Space) -> Any:
        q = space.q
        keys = [q.pending, q.scheduled, q.retry, q.archived, q.completed, q.groups, q.flow, q.waiting]
        keys += [q.receipt("i.1"), *map(q.task, ids)]
        args = [2, 60, action, "", "", "", "", 0, q.group_prefix, q.unique_prefix, CHANNEL]
        return space.run("act", keys, *args, space.in_cluster, *ids)

    return call


def balance(space: Space, surplus: object) -> Any:
    """Compare what is there with what was counted, of which `surplus` is explained."""
    keys = [*_places(space), space.q.flow, space.q.paused]
    return space.run("balance", keys, space.q.group_prefix, 100, surplus)


def mend(*ids: str) -> Act:
    """Put tasks right; what was wrong with each."""

    def call(space: Space) -> Any:
        q = space.q
        args: list[object] = ["1", q.task_prefix, q.group_prefix, CHANNEL, space.in_cluster]
        for task_id in ids:
            args += [task_id, packed(KEEP, [], "")]
        reply = space.run("mend", [*_places(space), q.flow, q.waiting], *args)
        return [entry[0] for entry in reply]

    return call


def remove(space: Space, limit: int, *more: str) -> Any:
    """Remove the queue with what is in it, so many tasks a call; `more` are keys that go with it."""
    q = space.q
    keys = [*_places(space), q.flow, q.paused, *more]
    args = [1, 60, "1", limit, q.task_prefix, q.unique_prefix, q.group_prefix, CHANNEL]
    return space.run("remove", keys, *args)


def gather(space: Space, largest: int = 2) -> Any:
    """Begin a set, of so many tasks at the most, of each group that is ripe."""
    q = space.q
    keys = [q.receipt("s.groups"), q.groups, q.aggregation_sets, q.gathering]
    args = [
        "s",
        1,
        5,
        1,
        100,
        LEASE,
        60,
        0,
        largest,
        60,
        packed(),
        str(largest),
        q.group_prefix,
        "0",
        packed(),
    ]
    return space.run("gather", keys, *args)


def collect(space: Space, name: str = _SET) -> Any:
    """Read the tasks of a set."""
    q = space.q
    return space.run("collect", [q.group(name), q.aggregation_sets, q.flow], q.task_prefix, 0, 10, 1000)


def set_aside(space: Space) -> Any:
    """Archive the task `a` of a set, which cannot be read."""
    q = space.q
    keys = [q.group(_SET), q.aggregation_sets, q.archived, q.task("a")]
    return space.run("set_aside", keys, "a", "cannot be read")


def aggregate(space: Space) -> Any:
    """Enqueue a long task in the place of the three of a set."""
    q = space.q
    keys = [q.group(_SET), q.aggregation_sets, q.flow, q.awaited]
    keys += [q.scheduled, q.groups, q.pending, q.flow, q.waiting, q.task("new")]
    args = [3, q.task_prefix, q.unique_prefix, q.task_prefix, CHANNEL, NEWS, space.in_cluster]
    args += ["new", "x" * 1000, packed(0, 0, 0, "", "")]
    return space.run("aggregate", keys, *args)


def ungather(space: Space, name: str = _SET) -> Any:
    """Give a set back to its group."""
    q = space.q
    return space.run("ungather", [q.groups, q.aggregation_sets, q.group(name)], q.group_prefix, "")


def prolong(space: Space) -> Any:
    """Keep a set for another lease."""
    return space.run("prolong", [space.q.aggregation_sets], LEASE, space.q.group(_SET))

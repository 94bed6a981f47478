"""`survey`: sizes and counters of several queues at one moment, and what is taken next."""

from __future__ import annotations

from typing import Any

import pytest

from asyncq._wire.keys import QueueKeys
from tests.lua.space import Space, about, commands_of

LARGEST = 100


def _ask(space: Space, *queues: QueueKeys, most: int = 100) -> Any:
    keys: list[str] = []
    args: list[object] = [most, LARGEST]
    for q in queues:
        keys += [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed, q.groups]
        keys += [q.aggregation_sets, q.paused, q.processed, q.failed]
        keys += [q.base + "processed:today", q.base + "failed:today", q.flow]
        args += [q.task_prefix, q.group_prefix]
    return space.run("survey", keys, *args)


def _survey(space: Space, *queues: QueueKeys, most: int = 100) -> list[list[Any]]:
    before = space.everything()
    now, *found = _ask(space, *(queues or (space.q,)), most=most)
    assert float(now) == about(space.now())
    assert space.everything() == before
    return [_read(one) for one in found]


def _read(one: str | list[str]) -> list[Any]:
    """Numbers of tasks, counters, and the rest."""
    text, *rest = [one, "", "", "", ""] if isinstance(one, str) else one
    numbers = [int(number) for number in text.split()]
    return [numbers[:9], numbers[9:], *rest]


def _fill(space: Space) -> None:
    q, later = space.q, space.now() + 60
    space.pending("p1", "p2")
    space.active("a1", "s:1")
    space.active("a2", "s:2", ends_in=-1)
    for number, state in enumerate(("scheduled", "retry", "archived", "completed"), 1):
        for at in range(number):
            space.delayed(f"{state}{at}", state, due_in=60)
    space.client.zadd(q.group("g"), {"g1": 1, "g2": 2})
    space.client.sadd(q.groups, "g")
    space.client.zadd(q.base + "set", {"z": 1})
    space.client.zadd(q.aggregation_sets, {q.base + "set": later})
    for key, value in (("processed", 9), ("failed", 8), ("processed:today", 7), ("failed:today", 6)):
        space.client.set(q.base + key, value)


def test_everything_is_counted(space: Space) -> None:
    """By state; then groups, and active tasks whose lease ran out; then the counters."""
    _fill(space)
    space.client.hset(space.q.flow, "created", 20)
    space.client.set(space.q.paused, "12.5")
    assert _survey(space) == [
        [[2, 2, 1, 2, 3, 4, 3, 1, 1], [9, 8, 7, 6], "12.5", "p1", "", "m-p1"],
    ]


def test_nothing_is_nothing(space: Space) -> None:
    """Of a queue that is not there."""
    assert _survey(space) == [[[0] * 9, [0] * 4, "", "", "", ""]]


def test_queues_are_told_in_their_order(space: Space) -> None:
    """One call for all."""
    space.pending("a")
    space.pending("b", "c", queue=space.r)
    found = _survey(space, space.r, space.q)
    assert [one[0][0] for one in found] == [2, 1]
    assert [one[3] for one in found] == ["b", "a"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["a", "", "m-a"]),
        ({"ready_at": "12.5"}, ["a", "12.5", "m-a"]),
        ({"msg": "x" * LARGEST}, ["a", "", "x" * LARGEST]),
        ({"msg": "x" * (LARGEST + 1)}, ["a", "", ""]),
        ({"msg": "x" * (LARGEST + 1), "ready_at": "12.5"}, ["a", "12.5", ""]),
    ],
)
def test_what_is_taken_next_is_told(space: Space, fields: dict[str, str], expected: list[str]) -> None:
    """With what says how long it has waited; a large message does not come along."""
    space.pending("a", **fields)
    space.pending("b")
    assert _survey(space)[0][3:] == expected


def test_an_id_without_a_task_is_told_without(space: Space) -> None:
    """And a hash that is none."""
    space.client.lpush(space.q.pending, "gone")
    assert _survey(space)[0][3:] == ["gone", "", ""]
    space.client.set(space.q.task("gone"), "what")
    assert _survey(space)[0][3:] == ["gone", "", ""]


@pytest.mark.parametrize(("most", "aggregating"), [(2, 3), (1, 5)])
def test_of_very_many_groups_the_account_tells(space: Space, most: int, aggregating: int) -> None:
    """Counting them would hold Redis up: what was created and is neither gone nor elsewhere waits in them."""
    _fill(space)
    # 14 are elsewhere.
    space.client.hset(space.q.flow, mapping={"created": 22, "done": 2, "removed": 2, "corrected": 1})
    assert _survey(space, most=most)[0][0][6] == aggregating


@pytest.mark.parametrize(
    "key", ["pending", "lease", "groups", "aggregation_sets", "flow", "paused", "processed"]
)
def test_what_is_something_else_counts_nothing(space: Space, key: str) -> None:
    """And does not spoil the other queue; `asyncq doctor` tells of it."""
    if key in ("paused", "processed"):
        space.client.hset(space.q.base + key, "a", "b")
    else:
        space.client.set(space.q.base + key, "what")
    space.pending("b", queue=space.r)
    found = _survey(space, space.q, space.r)
    assert found[0][0] == [0] * 9
    assert found[0][2] == ("?" if key == "paused" else "")
    assert found[1][0][0] == 1


def test_a_queue_in_which_nothing_is_costs_two_commands(space: Space) -> None:
    """Most of thousands are like that, also while they are paused."""
    empty = {"exists": 1, "mget": 1, "time": 1}
    assert commands_of(space, lambda: _ask(space, space.q)) == empty
    space.client.set(space.q.paused, "12.5")
    assert commands_of(space, lambda: _ask(space, space.q)) == empty
    space.pending("a")
    asked = {"llen": 1, "lindex": 1, "hstrlen": 1, "hmget": 1}
    assert commands_of(space, lambda: _ask(space, space.q)) == {**empty, **asked}

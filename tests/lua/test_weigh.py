"""`weigh`: memory, estimated from samples."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import Space

NAMES = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")


def _weigh(space: Space, samples: int = 20) -> tuple[int, dict[str, list[int]]]:
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed, q.groups, q.flow]
    before = space.everything()
    other, *found = space.run("weigh", keys, samples, q.task_prefix, q.group_prefix)
    assert space.everything() == before
    return other, dict(zip(NAMES, found, strict=True))


def _bytes(space: Space, *keys: str) -> int:
    client: Any = space.client
    return sum(client.memory_usage(key) or 0 for key in keys)


def test_few_tasks_are_weighed_one_by_one(space: Space) -> None:
    """Exactly, and what lists them."""
    q = space.q
    space.pending("p1", "p2")
    space.active("a", "s:1")
    for state in ("scheduled", "retry", "archived", "completed"):
        space.delayed(state, state, due_in=60)
    space.client.hset(q.flow, "created", 9)
    other, found = _weigh(space)
    assert found["pending"] == [2, _bytes(space, q.pending), 2, _bytes(space, q.task("p1"), q.task("p2"))]
    assert found["active"] == [1, _bytes(space, q.lease), 1, _bytes(space, q.task("a"))]
    for state in ("scheduled", "retry", "archived", "completed"):
        assert found[state] == [1, _bytes(space, q.base + state), 1, _bytes(space, q.task(state))]
    assert found["aggregating"] == [0, 0, 0, 0, 0, 0]
    assert other == _bytes(space, q.flow)


@pytest.mark.parametrize(("samples", "looked_at"), [(1, 1), (4, 4), (10, 10), (11, 10)])
def test_of_many_only_samples_are_looked_at(space: Space, samples: int, looked_at: int) -> None:
    """So that a million tasks do not hold Redis up."""
    space.pending(*(f"p{number}" for number in range(10)))
    for number in range(10):
        space.delayed(f"s{number}", "scheduled", due_in=number)
    _, found = _weigh(space, samples)
    assert (found["pending"][0], found["pending"][2]) == (10, min(10, 2 * -(-samples // 2)))
    assert (found["scheduled"][0], found["scheduled"][2]) == (10, looked_at)


def test_of_groups_some_are_looked_at(space: Space) -> None:
    """With one task of each."""
    q = space.q
    for number in range(5):
        for task_id in (f"a{number}", f"b{number}"):
            space.put(task_id, "aggregating")
            space.client.zadd(q.group(f"g{number}"), {task_id: 1})
        space.client.sadd(q.groups, f"g{number}")
    other, found = _weigh(space, 3)
    tasks, lists, tasks_looked_at, weight, looked_at, groups = found["aggregating"]
    assert (tasks, tasks_looked_at, looked_at, groups) == (6, 3, 3, 5)
    # Which three it were is chance, and equal keys need not have got equally large pieces of memory.
    for weighed, key in ((lists, q.group("g")), (weight, q.task("a"))):
        each = sorted(_bytes(space, f"{key}{number}") for number in range(5))
        assert sum(each[:3]) <= weighed <= sum(each[-3:])
    assert other == _bytes(space, q.groups)


def test_what_is_something_else_weighs_nothing(space: Space) -> None:
    """And does not spoil the rest."""
    q = space.q
    for key in (q.pending, q.lease, q.groups):
        space.client.set(key, "what")
    space.delayed("a", "retry", due_in=1)
    _, found = _weigh(space)
    assert [found[name][0] for name in NAMES] == [0, 0, 0, 1, 0, 0, 0]

"""`sweep`: what has been kept for long enough goes, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import Space


def _sweep(
    space: Space,
    *,
    limit: int = 100,
    max_age: float | str = 1000.0,
    max_count: int = 100,
    again: bool = False,
) -> tuple[int, list[str]]:
    q = space.q
    replies: list[list[Any]] = space.run(
        "sweep",
        [q.completed, q.archived, q.flow],
        limit,
        max_age,
        max_count,
        q.task_prefix,
        q.unique_prefix,
        again=again,
    )
    [reply] = replies
    return reply[0], reply[1:]


def _kept(space: Space, task_id: str, state: str, *, since: float, **fields: object) -> None:
    space.put(task_id, state, **fields)
    space.client.zadd(space.q.base + state, {task_id: space.now() - since})


@pytest.mark.parametrize(("over_since", "reaped"), [(1.0, 1), (0.0, 1), (-60.0, 0)])
def test_a_completed_task_goes_when_its_retention_is_over(
    space: Space, over_since: float, reaped: int
) -> None:
    """Its score is the moment until which it is kept."""
    _kept(space, "a", "completed", since=over_since)
    before = space.everything()
    assert _sweep(space) == (reaped, [])
    assert space.everything() == ({"flow": {"reaped": "1"}} if reaped else before)


@pytest.mark.parametrize(("age", "dropped"), [(1001.0, ["a"]), (990.0, [])])
def test_an_archived_task_goes_when_it_is_too_old(space: Space, age: float, dropped: list[str]) -> None:
    """Its score is the moment when it failed. The answer names it, for the hook."""
    _kept(space, "a", "archived", since=age)
    assert _sweep(space) == (0, dropped)
    assert ("t:a" in space.everything()) == (not dropped)


@pytest.mark.parametrize(
    ("max_count", "dropped"), [(4, []), (3, []), (2, ["c"]), (1, ["c", "b"]), (0, ["c", "b", "a"])]
)
def test_the_oldest_of_too_many_go(space: Space, max_count: int, dropped: list[str]) -> None:
    """Down to what may be kept, and 0 keeps none."""
    for age, task_id in enumerate(("a", "b", "c")):
        _kept(space, task_id, "archived", since=float(age))
    assert _sweep(space, max_count=max_count) == (0, dropped)
    assert space.client.zcard(space.q.archived) == 3 - len(dropped)


def test_for_ever_is_for_ever(space: Space) -> None:
    """`math.inf` as the age."""
    _kept(space, "a", "archived", since=1e9)
    assert _sweep(space, max_age="inf") == (0, [])


@pytest.mark.parametrize(("limit", "left"), [(1, 2), (2, 1), (3, 0), (4, 0)])
def test_no_more_than_the_limit_at_once(space: Space, limit: int, left: int) -> None:
    """Of each kind: by retention, and by age or by number."""
    for number in range(3):
        _kept(space, f"c{number}", "completed", since=1.0)
        _kept(space, f"a{number}", "archived", since=5.0)
    reaped, dropped = _sweep(space, limit=limit, max_count=0)
    assert (reaped, len(dropped)) == (3 - left, 3 - left)
    reaped, dropped = _sweep(space, limit=limit, max_age=1.0)
    assert len(dropped) == min(limit, left)


@pytest.mark.parametrize(("owner", "stays"), [("a", False), ("other", True)])
@pytest.mark.parametrize("state", ["completed", "archived"])
def test_locks_go_with_their_owner_only(space: Space, state: str, owner: str, *, stays: bool) -> None:
    """An archived task holds its lock; it must not outlive the task, nor be taken from another."""
    _kept(space, "a", state, since=2000.0, unique="u")
    space.client.set(space.q.unique("u"), owner)
    _sweep(space)
    assert bool(space.client.exists(space.q.unique("u"))) == stays


def test_a_task_whose_hash_vanished_goes_too(space: Space) -> None:
    """An entry without a task is rubbish."""
    space.client.zadd(space.q.completed, {"a": 1})
    space.client.zadd(space.q.archived, {"b": 1})
    assert _sweep(space) == (1, ["b"])
    assert space.everything() == {"flow": {"reaped": "1", "trimmed": "1"}}


@pytest.mark.parametrize("again", [False, True])
def test_sent_again_it_finds_nothing_to_do(space: Space, *, again: bool) -> None:
    """Removing is its own receipt; the hook does not hear of what the lost answer named."""
    _kept(space, "a", "archived", since=2000.0)
    _sweep(space)
    before = space.everything()
    assert _sweep(space, again=again) == (0, [])
    assert space.everything() == before


def test_queues_share_the_limit_and_are_answered_one_by_one(space: Space) -> None:
    """So that one call does not hold Redis up for longer when there are more queues."""
    for keys in (space.q, space.r):
        for number in range(2):
            task_id = f"{keys.name}{number}"
            space.put(task_id, "archived", queue=keys)
            space.client.zadd(keys.archived, {task_id: space.now() - 2000.0 + number})
    both = [key for keys in (space.q, space.r) for key in (keys.completed, keys.archived, keys.flow)]
    prefixes = [prefix for keys in (space.q, space.r) for prefix in (keys.task_prefix, keys.unique_prefix)]
    assert space.run("sweep", both, 3, 1000.0, 100, *prefixes) == [[0, "q0", "q1"], [0, "r0"]]
    assert space.run("sweep", both, 3, 1000.0, 100, *prefixes) == [[0], [0, "r1"]]

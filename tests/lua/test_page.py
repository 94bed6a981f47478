"""`page`: the pending list, read in pieces while others use it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import Space


def _page(space: Space, first: int, last: int, *, again: bool = False) -> list[Any]:
    q = space.q
    found: list[Any] = space.run("page", [q.pending], first, last, q.task_prefix, again=again)
    return found


def test_an_empty_list_is_read_to_its_end_at_once(space: Space) -> None:
    """And reading makes no list."""
    assert _page(space, 0, 99) == [0, [], []]
    assert space.everything() == {}


@pytest.mark.parametrize(
    ("first", "last", "ids"),
    [
        (0, 0, ["c"]),
        (0, 1, ["c", "b"]),
        (1, 1, ["b"]),
        (0, 2, ["c", "b", "a"]),
        (2, 99, ["a"]),
        (3, 99, []),
    ],
)
@pytest.mark.parametrize("again", [False, True])
def test_a_page_is_what_lies_between(
    space: Space, first: int, last: int, ids: list[str], *, again: bool
) -> None:
    """From the left, where tasks are pushed: what stays in the list cannot slip past the reader."""
    space.pending("a", "b", "c")
    before = space.everything()
    assert _page(space, first, last, again=again) == [3, ids, []]
    assert space.everything() == before


@pytest.mark.parametrize("state", ["active", "scheduled", "retry", "archived", "completed", "aggregating"])
def test_a_task_of_another_state_is_odd(space: Space, state: str) -> None:
    """It is in two places, or in one that its hash does not know."""
    space.pending("a", "b")
    space.put("a", state)
    before = space.everything()
    assert _page(space, 0, 99) == [2, ["b", "a"], ["a"]]
    assert space.everything() == before


def test_a_state_of_pending_by_name_is_not_odd(space: Space) -> None:
    """It is left out to save memory, and means the same when it is there."""
    space.pending("a")
    space.client.hset(space.q.task("a"), "state", "pending")
    assert _page(space, 0, 99) == [1, ["a"], []]


@pytest.mark.parametrize("damage", ["no hash", "no message", "no message but a state", "a string"])
def test_what_cannot_be_run_is_odd(space: Space, damage: str) -> None:
    """A reply and not an error: one broken task must not hide all others."""
    space.pending("b")
    space.client.rpush(space.q.pending, "a")
    if damage == "no message":
        space.client.hset(space.q.task("a"), "retried", 1)
    elif damage == "no message but a state":
        space.client.hset(space.q.task("a"), "state", "pending")
    elif damage == "a string":
        space.client.set(space.q.task("a"), "x")
    before = space.everything()
    assert _page(space, 0, 99) == [2, ["b", "a"], ["a"]]
    assert space.everything() == before


def test_an_id_that_is_there_twice_is_read_twice(space: Space) -> None:
    """Counting is up to the reader."""
    space.pending("a")
    space.client.lpush(space.q.pending, "a")
    assert _page(space, 0, 99) == [2, ["a", "a"], []]

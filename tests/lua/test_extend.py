"""`extend`: a lease is prolonged while the token is ours."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import Space, about

LEASE = 30.0


def _extend(space: Space, *held: tuple[str, str], again: bool = False) -> list[Any]:
    keys = [space.q.lease, *(space.q.task(task_id) for task_id, _ in held)]
    args = [LEASE, *(part for one in held for part in one)]
    reply: list[Any] = space.run("extend", keys, *args, again=again)
    return reply


@pytest.mark.parametrize("ends_in", [10.0, 0.0, -1000.0])
@pytest.mark.parametrize("again", [False, True])
def test_a_lease_counts_from_now(space: Space, ends_in: float, *, again: bool) -> None:
    """Also one that ran out, as long as nobody has taken the task back."""
    space.active("a", "s:1", ends_in=ends_in)
    before = space.everything()
    assert _extend(space, ("a", "s:1"), again=again) == []
    assert space.everything() == before | {"lease": {"a": about(space.now() + LEASE)}}


@pytest.mark.parametrize("state", ["another's", "pending", "gone"])
def test_what_is_not_ours_is_lost_and_not_touched(space: Space, state: str) -> None:
    """A lease entry for a task that is pending would be a task in two states."""
    if state == "another's":
        space.active("a", "t:1", ends_in=5.0)
    elif state == "pending":
        space.pending("a")
    before = space.everything()
    assert _extend(space, ("a", "s:1")) == [1, "lost"]
    assert space.everything() == before


def test_a_wish_to_cancel_is_told_and_the_lease_kept(space: Space) -> None:
    """The message may have been missed; the work still has to be stopped and settled."""
    space.active("a", "s:1", ends_in=5.0, cancel="s:1")
    assert _extend(space, ("a", "s:1")) == [1, "cancel"]
    assert space.everything()["lease"] == {"a": about(space.now() + LEASE)}


def test_a_wish_for_an_earlier_delivery_is_not_for_this_one(space: Space) -> None:
    """It was bound to the delivery at hand."""
    space.active("b", "s:2", cancel="s:1")
    assert _extend(space, ("b", "s:2")) == []


def test_each_is_answered_by_its_place(space: Space) -> None:
    """Only what is not simply prolonged is answered."""
    space.active("a", "s:1")
    space.active("c", "s:3", cancel="s:3")
    assert _extend(space, ("a", "s:1"), ("b", "s:2"), ("c", "s:3"), ("d", "s:4")) == [
        2,
        "lost",
        3,
        "cancel",
        4,
        "lost",
    ]
    assert set(space.everything()["lease"]) == {"a", "c"}


def test_a_task_that_is_something_else_spoils_no_other(space: Space) -> None:
    """One damaged key must not cost the leases of all that run."""
    space.active("a", "s:1", ends_in=5.0)
    space.client.set(space.q.task("b"), "by hand")
    assert _extend(space, ("b", "s:2"), ("a", "s:1")) == [1, "lost"]
    assert space.everything()["lease"] == {"a": about(space.now() + LEASE)}


def test_nothing_held_changes_nothing(space: Space) -> None:
    """An empty call is no error."""
    assert _extend(space) == []
    assert space.everything() == {}


def test_a_thousand_at_once(space: Space) -> None:
    """What one call may carry."""
    held = [(f"t{number}", f"s:{number}") for number in range(1000)]
    for task_id, token in held:
        space.active(task_id, token, ends_in=1.0)
    assert _extend(space, *held) == []
    scores = space.everything()["lease"]
    assert set(scores.values()) == {next(iter(scores.values()))}
    assert len(scores) == 1000

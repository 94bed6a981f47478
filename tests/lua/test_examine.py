"""`examine`: which tasks deserve a closer look, told without searching the list."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import Space

Verdicts = list[tuple[Any, Any, Any]]

PENDING = "pending   "
"""The trace of a task that was only enqueued."""


def _examine(space: Space, *ids: str, seen_in: str = "", largest: int = 0, again: bool = False) -> Verdicts:
    """Return word, message and trace of each; nothing may change by it."""
    q = space.q
    keys = [q.lease, q.scheduled, q.retry, q.archived, q.completed, q.aggregation_sets]
    before = space.everything()
    reply = space.run("examine", keys, q.task_prefix, q.group_prefix, seen_in, largest, *ids, again=again)
    assert space.everything() == before
    return list(zip(reply[::3], reply[1::3], reply[2::3], strict=True))


def _arrange(space: Space, state: str) -> None:
    """A task `a` as it should be."""
    q, client = space.q, space.client
    if state == "pending":
        space.pending("a")
    elif state == "active":
        space.active("a", "s:1")
    elif state == "aggregating":
        space.put("a", state, group="g")
        client.sadd(q.groups, "g")
        client.zadd(q.group("g"), {"a": 1})
    else:
        space.put("a", state)
        client.zadd(q.base + state, {"a": 1})


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("state", ["active", "scheduled", "retry", "archived", "completed", "aggregating"])
def test_a_task_whose_place_agrees_is_fine(space: Space, state: str, *, again: bool) -> None:
    """Nearly all are, so nothing more is said about them."""
    _arrange(space, state)
    assert _examine(space, "a", again=again) == [("fine", "", "")]


def test_a_task_in_a_set_that_is_being_aggregated_is_fine(space: Space) -> None:
    """Between its group and its end."""
    q = space.q
    space.put("a", "aggregating", group="g")
    space.client.zadd(q.aggregation_sets, {q.base + "set": 9})
    space.client.zadd(q.base + "set", {"a": 1})
    assert _examine(space, "a") == [("fine", "", "")]


@pytest.mark.parametrize("in_list", [True, False])
def test_a_pending_task_has_the_benefit_of_the_doubt(space: Space, *, in_list: bool) -> None:
    """Whether the list holds it is found out by reading the list; the trace tells if it moved meanwhile."""
    if in_list:
        space.pending("a", deliveries=3, lost=2, mended=1)
    else:
        space.put("a", "pending", deliveries=3, lost=2, mended=1)
    assert _examine(space, "a") == [("pending", "", "pending 3 2 1")]


def test_an_id_without_anything_is_gone(space: Space) -> None:
    """It came to its end while the walk went on."""
    assert _examine(space, "a") == [("gone", "", "")]


@pytest.mark.parametrize("place", ["lease", "scheduled", "retry", "archived", "completed"])
def test_an_id_without_a_hash_is_suspect(space: Space, place: str) -> None:
    """There is nothing to run."""
    space.client.zadd(space.q.base + place, {"a": 1})
    assert _examine(space, "a") == [("suspect", "", "")]


def test_a_group_in_which_it_was_seen_is_looked_into(space: Space) -> None:
    """An id without a hash does not know where it is."""
    space.client.zadd(space.q.group("g"), {"a": 1})
    assert _examine(space, "a") == [("gone", "", "")]
    assert _examine(space, "a", seen_in="g") == [("suspect", "", "")]


def test_a_hash_without_a_message_is_suspect(space: Space) -> None:
    """Also if its state fits."""
    space.client.hset(space.q.task("a"), "retried", 1)
    assert _examine(space, "a") == [("suspect", "", PENDING)]


def test_a_hash_of_the_wrong_type_is_suspect(space: Space) -> None:
    """And no error, which would hide the others."""
    space.client.set(space.q.task("a"), "x")
    space.put("b", "pending")
    assert _examine(space, "a", "b") == [("suspect", "", ""), ("pending", "", PENDING)]


@pytest.mark.parametrize("state", ["active", "scheduled", "retry", "archived", "completed", "aggregating"])
def test_a_task_that_is_nowhere_is_suspect(space: Space, state: str) -> None:
    """Nobody will ever find it."""
    space.put("a", state)
    assert _examine(space, "a") == [("suspect", "", f"{state}   ")]


@pytest.mark.parametrize("state", ["active", "scheduled", "retry", "archived", "completed"])
@pytest.mark.parametrize("other", ["lease", "scheduled", "retry", "archived", "completed"])
def test_a_task_in_another_place_is_suspect(space: Space, state: str, other: str) -> None:
    """Beside its own place or instead of it."""
    own = "lease" if state == "active" else state
    _arrange(space, state)
    space.client.zadd(space.q.base + other, {"a": space.now() + 60})
    word = "fine" if other == own else "suspect"
    assert _examine(space, "a")[0][0] == word
    if other != own:
        space.client.zrem(space.q.base + own, "a")
        assert _examine(space, "a")[0][0] == "suspect"


@pytest.mark.parametrize("token", ["", "no number:", ":1", None])
def test_a_lease_without_a_token_is_suspect(space: Space, token: str | None) -> None:
    """Nobody can settle it."""
    space.active("a", token or "")
    if token is None:
        space.client.hdel(space.q.task("a"), "delivery")
    assert _examine(space, "a")[0][0] == "suspect"


def test_a_lease_that_ran_out_is_fine(space: Space) -> None:
    """Recovery takes it back in a moment."""
    space.active("a", "s:1", ends_in=-5.0)
    assert _examine(space, "a") == [("fine", "", "")]


@pytest.mark.parametrize("state", ["pending", "scheduled", "retry", "archived", "completed", "aggregating"])
def test_a_token_that_stayed_is_suspect(space: Space, state: str) -> None:
    """A server that was frozen could settle with it."""
    _arrange(space, state)
    space.client.hset(space.q.task("a"), "delivery", "s:1")
    assert _examine(space, "a")[0][0] == "suspect"


@pytest.mark.parametrize("state", ["pending", "active", "retry", "completed", "archived"])
@pytest.mark.parametrize("largest", [0, 2, 3, 4])
def test_messages_up_to_a_size_are_read(space: Space, state: str, largest: int) -> None:
    """The message is `m-a`. What is archived is read by nobody any more, so it may be unreadable."""
    _arrange(space, state)
    word, trace = ("pending", PENDING) if state == "pending" else ("fine", "")
    if largest == 0 or state == "archived":
        expected = (word, "", trace)
    elif largest < 3:
        expected = ("large_pending" if state == "pending" else "large", "", trace)
    else:
        expected = (word, "m-a", trace)
    assert _examine(space, "a", largest=largest) == [expected]


def test_the_message_of_a_suspect_is_not_read(space: Space) -> None:
    """First its place is found out."""
    space.put("a", "active")
    assert _examine(space, "a", largest=100) == [("suspect", "", "active   ")]


def test_each_id_is_judged_by_itself(space: Space) -> None:
    """In the order in which they were asked for, also twice."""
    space.pending("a")
    space.active("b", "s:1")
    space.put("c", "retry")
    assert [word for word, _, _ in _examine(space, "b", "a", "x", "c", "b")] == [
        "fine", "pending", "gone", "suspect", "fine",
    ]  # fmt: skip
    assert _examine(space) == []

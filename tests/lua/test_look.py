"""`look`: one task as it is at one moment, and nothing moved by looking."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import Space, about


def _look(space: Space, task_id: str) -> list[Any]:
    q = space.q
    found: list[Any] = space.run("look", [q.task(task_id), q.scheduled, q.retry, q.lease], task_id)
    return found


def _fields(reply: list[Any]) -> dict[str, str]:
    return dict(zip(reply[3::2], reply[4::2], strict=True))


@pytest.mark.parametrize("beside", ["scheduled", "retry", "lease"])
def test_a_task_that_is_not_there_is_nothing(space: Space, beside: str) -> None:
    """Also when its id still stands somewhere: what has no hash has nothing to show."""
    space.client.zadd(space.q.base + beside, {"a": 5})
    before = space.everything()
    assert _look(space, "a") == []
    assert space.everything() == before


def test_a_pending_task_has_neither_due_time_nor_lease(space: Space) -> None:
    """Its hash names no state, and the reply does not make one up."""
    space.pending("a", "b")
    before = space.everything()
    now, due, lease, *rest = _look(space, "a")
    assert (float(now), due, lease) == (about(space.now()), "", "")
    assert rest == ["msg", "m-a"]
    assert space.everything() == before


@pytest.mark.parametrize("state", ["scheduled", "retry"])
def test_a_task_that_waits_says_until_when(space: Space, state: str) -> None:
    """The due time is told by its place only."""
    space.delayed("a", state, due_in=60.0)
    space.delayed("b", state, due_in=10.0)
    before = space.everything()
    reply = _look(space, "a")
    assert float(reply[1]) == before[state]["a"]
    assert reply[2] == ""
    assert _fields(reply) == before["t:a"]
    assert space.everything() == before


def test_an_active_task_says_when_its_lease_ends(space: Space) -> None:
    """A lease that ended before the time in the reply is one that nobody took back yet."""
    space.active("a", "s:1", ends_in=-3.0, cancel="s:1")
    before = space.everything()
    reply = _look(space, "a")
    assert reply[1] == ""
    assert float(reply[2]) == before["lease"]["a"] < float(reply[0])
    assert _fields(reply) == before["t:a"]
    assert space.everything() == before


@pytest.mark.parametrize("state", ["archived", "completed", "aggregating"])
def test_a_task_elsewhere_shows_its_fields(space: Space, state: str) -> None:
    """Bytes come as they are: a result is whatever the handler wrote."""
    space.put("a", state, result=b"\xff\x00")
    reply = _look(space, "a")
    assert reply[1:3] == ["", ""]
    assert _fields(reply) == {"msg": "m-a", "state": state, "result": b"\xff\x00"}


def test_a_task_that_is_something_else_is_said_so(space: Space) -> None:
    """Not with an error of Redis that nobody can do anything about."""
    space.client.set(space.q.task("a"), "by hand")
    assert _look(space, "a") == ["unusable"]


@pytest.mark.parametrize("place", ["scheduled", "retry", "lease"])
def test_a_place_that_is_something_else_hides_no_task(space: Space, place: str) -> None:
    """What can be seen is shown; the doctor says what is wrong with the place."""
    space.pending("a")
    space.client.set(space.q.base + place, "by hand")
    _, due, lease, *rest = _look(space, "a")
    assert (due, lease, rest) == ("", "", ["msg", "m-a"])

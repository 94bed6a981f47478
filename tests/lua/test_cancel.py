"""`cancel`: what waits is archived, what runs is asked to stop, what is over is left alone."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ResponseError

from tests.lua.space import CHANNEL, Space, about

ERROR = "TaskCancelledError: cancelled: on request"


def _cancel(space: Space, task_id: str = "a", *, again: bool = False) -> Any:
    q = space.q
    keys = [q.task(task_id), q.pending, q.scheduled, q.retry, q.archived, q.groups]
    return space.run("cancel", keys, CHANNEL, task_id, q.group_prefix, q.unique_prefix, again=again)


@pytest.mark.parametrize("again", [False, True])
def test_a_running_task_is_asked_to_stop(space: Space, *, again: bool) -> None:
    """By a message to its server, and by a note in case the message is missed."""
    space.active("a", "s:7", unique="u")
    space.client.set(space.q.unique("u"), "a")
    before = space.everything()
    with space.listen(CHANNEL + "s") as ear:
        assert _cancel(space, again=again) == "requested"
        assert ear.heard() == [(CHANNEL + "s", "cancel s:7")]
    before["t:a"]["cancel"] = "s:7"
    assert space.everything() == before


def test_a_task_that_is_not_there_cannot_be_cancelled(space: Space) -> None:
    """And asking leaves nothing behind."""
    assert _cancel(space) == "missing"
    assert space.everything() == {}


def _arrange(space: Space, state: str) -> None:
    """The task `a` in a state in which it waits, and others beside it."""
    if state == "pending":
        space.pending("first", "a", "last")
    elif state == "aggregating":
        for task_id in ("a", "b"):
            space.put(task_id, state, group="g")
            space.client.zadd(space.q.group("g"), {task_id: 1})
        space.client.sadd(space.q.groups, "g")
    else:
        space.delayed("a", state, due_in=60)
        space.delayed("b", state, due_in=60)


@pytest.mark.parametrize("state", ["pending", "scheduled", "retry", "aggregating"])
@pytest.mark.parametrize("again", [False, True])
def test_a_task_that_waits_is_archived(space: Space, state: str, *, again: bool) -> None:
    """With the reason; the others wait on. The same call sent again says the same."""
    _arrange(space, state)
    space.client.hset(space.q.task("a"), mapping={"unique": "u", "retried": "2"})
    space.client.set(space.q.unique("u"), "a")
    expected = space.everything()
    assert _cancel(space, again=again) == "cancelled"
    place = "g:g" if state == "aggregating" else state
    expected[place].remove("a") if state == "pending" else expected[place].pop("a")
    expected["archived"] = {"a": about(space.now())}
    expected["t:a"] |= {"state": "archived", "reason": "cancelled", "error": ERROR}
    del expected["unique:u"]
    found = space.everything()
    assert float(found["t:a"].pop("failed_at")) == about(space.now())
    assert found == expected

    after = space.everything()
    assert _cancel(space, again=True) == "cancelled"
    assert _cancel(space) == "archived"
    assert space.everything() == after


@pytest.mark.parametrize("position", [0, 1, 10_000, 15_000, 29_999])
def test_it_is_found_wherever_it_stands(space: Space, position: int) -> None:
    """In a long queue, near one end or in the middle; an id that stands there is not taken for another."""
    ids = [f"t{number}" for number in range(30_000)]
    for start in range(0, len(ids), 10_000):
        space.client.lpush(space.q.pending, *ids[start : start + 10_000])
    space.put(ids[position], "pending")
    assert _cancel(space, ids[position]) == "cancelled"
    del ids[position]
    assert [raw.decode() for raw in space.client.lrange(space.q.pending, 0, -1)] == ids[::-1]


def test_the_last_of_a_group_takes_the_group_with_it(space: Space) -> None:
    """An empty group in the set of groups would be damage."""
    _arrange(space, "aggregating")
    assert [_cancel(space, task_id) for task_id in "ab"] == ["cancelled", "cancelled"]
    assert not {"groups", "g:g"} & set(space.everything())


def test_a_task_that_is_being_aggregated_is_left_alone(space: Space) -> None:
    """A server has it in its hands, as a part of another task."""
    space.put("a", "aggregating", group="g")
    space.client.zadd(space.q.base + "set", {"a": 1})
    before = space.everything()
    assert _cancel(space) == "aggregating"
    assert space.everything() == before


@pytest.mark.parametrize("state", ["archived", "completed"])
def test_what_is_over_is_left_alone(space: Space, state: str) -> None:
    """And says what it is."""
    space.delayed("a", state, due_in=60, reason="exhausted", unique="u")
    space.client.set(space.q.unique("u"), "a")
    before = space.everything()
    assert _cancel(space) == state
    assert _cancel(space, again=True) == state
    assert space.everything() == before


def test_an_active_task_of_no_server_is_left_alone(space: Space) -> None:
    """There is nobody to ask. It comes back when its lease is over."""
    space.put("a", "active")
    space.client.zadd(space.q.lease, {"a": space.now() + 30})
    before = space.everything()
    assert _cancel(space) == "active"
    assert space.everything() == before


def test_why_it_failed_before_is_kept(space: Space) -> None:
    """It says more than that somebody did not want it any more."""
    space.delayed("a", "retry", due_in=60, error="why")
    assert _cancel(space) == "cancelled"
    assert space.task("a")["error"] == "why"


def test_anothers_lock_is_not_released(space: Space) -> None:
    """It expired, and another task took it."""
    space.pending("a", unique="u")
    space.client.set(space.q.unique("u"), "b")
    assert _cancel(space) == "cancelled"
    assert space.client.get(space.q.unique("u")) == b"b"


def test_who_waits_for_it_is_told(space: Space) -> None:
    """It is over."""
    space.pending("a", awaited=CHANNEL + "c")
    with space.listen(CHANNEL + "c") as ear:
        assert _cancel(space) == "cancelled"
        assert ear.heard() == [(CHANNEL + "c", f"ended archived {space.q.task('a')}")]
    assert "awaited" not in space.task("a")


@pytest.mark.parametrize(
    ("state", "key"),
    [("pending", "pending"), ("scheduled", "scheduled"), ("retry", "archived"), ("aggregating", "g:g")],
)
def test_a_key_that_is_something_else_ends_it_before_anything_is_done(
    space: Space, state: str, key: str
) -> None:
    """Half of it would be a task in two places, or in none."""
    _arrange(space, state)
    space.client.set(space.q.base + key, "not what it should be")
    before = space.everything()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        _cancel(space)
    assert space.everything() == before

"""`recover`: tasks of servers that went away come back, and only those."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from asyncq._wire.keys import QueueKeys
from tests.lua.space import CHANNEL, Space, about


def _recover(
    space: Space,
    *queues: QueueKeys,
    limit: int = 100,
    max_lost: int = 5,
    expected_in: float | None = 0.0,
    unlock: bool = False,
    keep: int = 0,
    again: bool = False,
) -> tuple[str, float | None, list[tuple[Any, ...]]]:
    """`expected_in`: seconds from now at which the call should have run; `None` for a first look."""
    given = queues or (space.q,)
    keys: list[str] = []
    for q in given:
        keys += [q.lease, q.pending, q.archived, q.waiting, q.flow]
    expected = 0 if expected_in is None else space.now() + expected_in
    args: list[object] = [limit, max_lost, CHANNEL, "", expected, "1" if unlock else "", keep]
    for q in given:
        args += [q.task_prefix, q.unique_prefix]
    now, word, wait, *rest = space.run("recover", keys, *args, again=again)
    assert float(now) == about(space.now())
    tasks = [tuple(rest[at : at + 4]) for at in range(0, len(rest), 4)]
    return word, float(wait) if wait else None, tasks


@pytest.mark.parametrize("ends_in", [0.0, -1.0, -1e6])
def test_a_task_whose_lease_ran_out_is_next(space: Space, ends_in: float) -> None:
    """It has waited once already. Nobody knows that it failed, so no retry is counted."""
    space.pending("later")
    space.active("a", "s:1", ends_in=ends_in, retried=2, cancel="s:0")
    assert _recover(space) == ("on_time", None, [(1, "a", "pending", 1)])
    assert space.everything() == {
        "pending": ["later", "a"],
        "t:later": {"msg": "m-later"},
        "t:a": {"msg": "m-a", "deliveries": "1", "retried": "2", "lost": "1"},
    }


def test_a_task_that_was_to_be_cancelled_does_not_run_again(space: Space) -> None:
    """Its server died before it had stopped it. The wish was for this delivery, which is over."""
    space.active("a", "s:1", ends_in=-1.0, cancel="s:1", unique="u")
    space.client.set(space.q.unique("u"), "a")
    assert _recover(space) == ("on_time", None, [(1, "a", "archived", 1)])
    found = space.everything()
    assert float(found["t:a"].pop("failed_at")) == about(space.now())
    error = "the server that ran it went away, once"
    assert found == {
        "archived": {"a": about(space.now())},
        "t:a": {
            "msg": "m-a", "deliveries": "1", "lost": "1", "unique": "u",
            "state": "archived", "reason": "cancelled", "error": error,
        },
    }  # fmt: skip


@pytest.mark.parametrize(("unlock", "owner"), [(True, "a"), (True, "b"), (False, "a")])
def test_an_archived_task_gives_up_its_lock_if_it_is_to(space: Space, owner: str, *, unlock: bool) -> None:
    """Its own, and only where the server was told to."""
    space.active("a", "s:1", ends_in=-1.0, lost=4, unique="u")
    space.client.set(space.q.unique("u"), owner)
    assert _recover(space, unlock=unlock)[2] == [(1, "a", "archived", 5)]
    is_released = unlock and owner == "a"
    assert space.client.exists(space.q.unique("u")) == (0 if is_released else 1)


def test_a_lease_that_holds_is_left_alone(space: Space) -> None:
    """The answer says when the first of them ends."""
    space.active("a", "s:1", ends_in=20.0)
    space.active("b", "s:2", ends_in=10.0)
    before = space.everything()
    word, wait, tasks = _recover(space, space.r, space.q)
    assert (word, wait, tasks) == ("on_time", pytest.approx(10.0, abs=2.0), [])
    assert space.everything() == before


@pytest.mark.parametrize(("lost", "word"), [(3, "pending"), (4, "archived"), (5, "archived")])
def test_a_task_that_keeps_losing_its_server_is_archived(space: Space, lost: int, word: str) -> None:
    """It may be what kills them. With 5 as the limit, the fifth loss is the last."""
    space.active("a", "s:1", ends_in=-1.0, lost=lost)
    assert _recover(space) == ("on_time", None, [(1, "a", word, lost + 1)])
    found = space.everything()
    if word == "pending":
        assert found["pending"] == ["a"]
        return
    assert float(found["t:a"].pop("failed_at")) == about(space.now())
    assert found == {
        "archived": {"a": about(space.now())},
        "t:a": {
            "msg": "m-a", "state": "archived", "deliveries": "1", "lost": str(lost + 1), "reason": "lost",
            "error": f"the server that ran it went away, {lost + 1} times",
        },
    }  # fmt: skip


def test_a_task_whose_hash_vanished_is_counted_and_forgotten(space: Space) -> None:
    """There is nothing to run."""
    space.active("a", "s:1", ends_in=-1.0)
    space.client.delete(space.q.task("a"))
    assert _recover(space) == ("on_time", None, [(1, "a", "vanished", 0)])
    assert space.everything() == {"flow": {"vanished": "1"}}


@pytest.mark.parametrize(("limit", "taken"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3)])
def test_no_more_than_the_limit_at_once(space: Space, limit: int, taken: int) -> None:
    """What is left is over now: come back at once."""
    for task_id in ("a", "b"):
        space.active(task_id, "s:1", ends_in=-2.0)
    space.put("c", "active", space.r, delivery="s:1")
    space.client.zadd(space.r.lease, {"c": space.now() - 1})
    _, wait, tasks = _recover(space, space.q, space.r, limit=limit)
    assert [task[1] for task in tasks] == ["a", "b", "c"][:taken]
    assert wait == (None if taken == 3 else 0.0)


@pytest.mark.parametrize("again", [False, True])
def test_sent_again_it_finds_nothing_to_do(space: Space, *, again: bool) -> None:
    """A loss must not be counted twice."""
    space.active("a", "s:1", ends_in=-1.0)
    _recover(space)
    before = space.everything()
    assert _recover(space, again=again) == ("on_time", None, [])
    assert space.everything() == before


@pytest.mark.parametrize(
    ("expected_in", "word", "taken"),
    [
        (None, "on_time", 0),
        (-30.0, "late", 0),
        (-1.5, "late", 0),
        (-0.5, "on_time", 1),
        (0.0, "on_time", 1),
        (60.0, "on_time", 1),
    ],
)
def test_a_call_that_was_held_up_takes_nothing_back(
    space: Space, expected_in: float | None, word: str, taken: int
) -> None:
    """Redis was frozen: nobody could extend, and all leases look as if their servers had died."""
    space.active("a", "s:1", ends_in=-1.0)
    answer, wait, tasks = _recover(space, expected_in=expected_in)
    assert (answer, len(tasks)) == (word, taken)
    assert wait == (None if taken else 0.0)


def test_somebody_is_woken_for_it(space: Space) -> None:
    """Recovery takes a lease and not a lease and a poll."""
    space.active("a", "s:1", ends_in=-1.0)
    space.client.zadd(space.q.waiting, {"other": space.now() + 5})
    with space.listen(CHANNEL + "other") as ear:
        _recover(space)
        assert ear.heard() == [(CHANNEL + "other", space.q.waiting)]


@pytest.mark.parametrize("text", ["", "x", "1.5", "-1", "nan", "1e400", "9" * 30])
def test_a_count_that_is_no_number_begins_anew(space: Space, text: str) -> None:
    """Written by hand. It must not keep what was lost with the task from coming back."""
    space.active("odd", "s:1", ends_in=-2.0, lost=text)
    space.active("next", "s:2", ends_in=-1.0)
    assert _recover(space) == ("on_time", None, [(1, "odd", "pending", 1), (1, "next", "pending", 1)])
    assert space.client.hget(space.q.task("odd"), "lost") == b"1"


def test_a_lost_delivery_is_kept_on_record(space: Space) -> None:
    """Where it ran, and that it ended with its server."""
    space.active("a", "s:1", ends_in=-1.0, deliveries=3, delivered_at=500)
    _recover(space, keep=2)
    ((number, started, ended, *rest),) = msgpack.unpackb(space.client.hget(space.q.task("a"), "attempts"))
    assert (number, started, ended) == (3, 500, about(space.now()))
    assert rest == ["s", "lost", "the server that ran it went away", ""]

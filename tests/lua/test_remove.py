"""`remove`: a queue goes, part by part, and what is left is sound at any time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import CHANNEL, Space, about

NAMES = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating", "damaged")


def _remove(
    space: Space,
    *,
    number: int = 1,
    force: str = "1",
    limit: int = 100,
    who: str = "c",
    again: bool = False,
) -> tuple[str, int, dict[str, int]]:
    """Word, tasks removed, and what is left, without what is 0."""
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed, q.groups, q.aggregation_sets]
    keys += [q.flow, q.paused, q.receipt(who), q.processed, q.failed, q.base + "processed:day"]
    reply: list[Any] = space.run(
        "remove",
        keys,
        *(number, 60, force, limit, q.task_prefix, q.unique_prefix, q.group_prefix, CHANNEL),
        again=again,
    )
    word, removed, *left = reply
    return word, removed, {name: count for name, count in zip(NAMES, left, strict=False) if count}


def _everything(space: Space) -> dict[str, Any]:
    return space.everything(without=("receipt:",))


def _fill(space: Space) -> None:
    """One task in each state, an active one more, and two groups; ten in all."""
    q, later = space.q, space.now() + 60
    space.pending("p", unique="k")
    space.client.set(q.unique("k"), "p")
    space.active("a1", "s:1")
    space.active("a2", "t:2")
    for state in ("scheduled", "retry", "archived", "completed"):
        space.delayed(state, state, due_in=60)
    for task_id, group in (("g1", "g"), ("g2", "h")):
        space.put(task_id, "aggregating", group=group)
        space.client.zadd(q.group(group), {task_id: 1})
        space.client.sadd(q.groups, group)
    space.put("z", "aggregating", group="g")
    space.client.zadd(q.base + "set", {"z": 1})
    space.client.zadd(q.aggregation_sets, {q.base + "set": later})
    space.client.hset(q.flow, mapping={"created": 12, "done": 2})
    for key in ("processed", "failed", "processed:day"):
        space.client.set(q.base + key, 5)


FULL = {
    "pending": 1,
    "active": 2,
    "scheduled": 1,
    "retry": 1,
    "archived": 1,
    "completed": 1,
    "aggregating": 3,
}


def test_without_force_a_queue_with_tasks_is_left_alone(space: Space) -> None:
    """And the answer says what is in it."""
    _fill(space)
    before = space.everything()
    assert _remove(space, force="") == ("held", 0, FULL)
    assert space.everything() == before


@pytest.mark.parametrize(
    "state", ["pending", "lease", "scheduled", "retry", "archived", "completed", "group", "set"]
)
def test_one_task_in_any_state_keeps_it(space: Space, state: str) -> None:
    """Also one that has completed, or waits in a group: asynq forgets those, and they are left over."""
    if state == "pending":
        space.pending("a")
    elif state == "group":
        space.client.sadd(space.q.groups, "g")
        space.client.zadd(space.q.group("g"), {"a": 1})
    elif state == "set":
        space.client.zadd(space.q.aggregation_sets, {space.q.base + "set": 1})
        space.client.zadd(space.q.base + "set", {"a": 1})
    else:
        space.client.zadd(space.q.base + state, {"a": 1})
    before = space.everything()
    assert _remove(space, force="")[0] == "held"
    assert space.everything() == before


@pytest.mark.parametrize("force", ["", "1"])
def test_an_empty_queue_goes_in_one_step(space: Space, force: str) -> None:
    """With its counters, its pause, and names of groups in which nothing waits."""
    q = space.q
    space.client.hset(q.flow, mapping={"created": 2, "done": 2})
    space.client.set(q.paused, "12.5")
    space.client.set(q.processed, 2)
    space.client.set(q.base + "processed:day", 2)
    space.client.sadd(q.groups, "g")
    assert _remove(space, force=force) == ("done", 0, {})
    assert _everything(space) == {}


def test_with_force_all_goes(space: Space) -> None:
    """Tasks, locks, groups, counters."""
    _fill(space)
    assert _remove(space) == ("done", 10, {})
    assert _everything(space) == {}


def test_what_other_calls_need_stays(space: Space) -> None:
    """A receipt keeps a call that is sent again from being done twice; idle servers wait for new tasks."""
    _fill(space)
    space.client.set(space.q.receipt("s.0"), "r", ex=60)
    space.client.zadd(space.q.waiting, {"s": space.now() + 60})
    space.pending("other", queue=space.r)
    _remove(space)
    assert _everything(space) == {
        "waiting": {"s": about(space.now() + 60)},
        space.r.task("other"): {"msg": "m-other"},
        space.r.pending: ["other"],
    }
    assert space.client.get(space.q.receipt("s.0")) == b"r"
    assert 0 < int(space.client.ttl(space.q.receipt("c"))) <= 60  # type: ignore[arg-type]


def test_what_runs_is_told_to_stop(space: Space) -> None:
    """By the token of its delivery, as for any cancellation."""
    _fill(space)
    with space.listen(CHANNEL + "s", CHANNEL + "t") as ear:
        _remove(space)
        assert sorted(ear.heard()) == [(CHANNEL + "s", "cancel s:1"), (CHANNEL + "t", "cancel t:2")]


def test_who_waits_for_a_task_is_told(space: Space) -> None:
    """Or would wait for its next look."""
    space.pending("a", awaited=f"{CHANNEL}x {CHANNEL}y")
    with space.listen(CHANNEL + "x", CHANNEL + "y") as ear:
        _remove(space)
        message = f"ended removed {space.q.task('a')}"
        assert sorted(ear.heard()) == [(CHANNEL + "x", message), (CHANNEL + "y", message)]


def test_a_lock_goes_with_its_owner_only(space: Space) -> None:
    """Another task may have taken it since."""
    space.pending("a", unique="k")
    space.client.set(space.q.unique("k"), "other")
    _remove(space)
    assert _everything(space) == {"unique:k": "other"}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 9])
def test_part_by_part_the_account_balances(space: Space, limit: int) -> None:
    """Whoever stops in between leaves a queue that is sound, paused, and smaller."""
    _fill(space)
    total, calls, word = 0, 0, "more"
    while word == "more":
        calls += 1
        word, removed, left = _remove(space, number=calls, limit=limit)
        total += removed
        assert removed <= limit
        assert total + sum(left.values()) == 10
        found = _everything(space)
        if word == "more":
            assert sum(name.startswith("t:") for name in found) == 10 - total
            assert found["flow"] == {"created": "12", "done": "2", "removed": str(total)}
            assert float(found["paused"].removeprefix("removing ")) == about(space.now())
            assert ("unique:k" in found) == ("t:p" in found)
        assert calls < 30
    assert word == "done"
    assert _everything(space) == {}


def test_what_runs_goes_first(space: Space) -> None:
    """Its slots are free again, while the rest is removed."""
    _fill(space)
    left = {name: count for name, count in FULL.items() if name != "active"}
    assert _remove(space, limit=2) == ("more", 2, left)


def test_what_is_taken_first_goes_first(space: Space) -> None:
    """What is left is the latest."""
    space.pending("a", "b", "c")
    assert _remove(space, limit=2) == ("more", 2, {"pending": 1})
    assert space.everything()["pending"] == ["c"]


def test_sent_again_it_says_what_it_said(space: Space) -> None:
    """And does not take what has come since for what it was to remove."""
    _fill(space)
    expected = _remove(space, number=7)
    space.pending("new")
    before = space.everything()
    assert _remove(space, number=7, again=True) == expected
    assert space.everything() == before


def test_a_call_that_comes_too_late_does_nothing(space: Space) -> None:
    """From the buffer of a server that was frozen: the next one has been done already."""
    _remove(space, number=8)
    space.pending("new")
    before = space.everything()
    assert _remove(space, number=7)[:2] == ("late", 0)
    assert space.everything() == before


def test_others_have_receipts_of_their_own(space: Space) -> None:
    """Two may remove the same queue."""
    _fill(space)
    assert _remove(space, number=5, limit=3)[1] == 3
    assert _remove(space, number=1, limit=3, who="d")[1] == 3


def test_ids_without_tasks_go_too(space: Space) -> None:
    """And hashes that are none."""
    q = space.q
    space.client.lpush(q.pending, "gone", "odd")
    space.client.set(q.task("odd"), "what")
    space.client.zadd(q.lease, {"gone too": 1})
    assert _remove(space) == ("done", 3, {})
    assert _everything(space) == {}


@pytest.mark.parametrize("key", ["pending", "lease", "retry", "groups", "aggregation_sets", "flow"])
def test_what_is_something_else_goes_only_with_force(space: Space, key: str) -> None:
    """Nobody knows what it means."""
    space.client.set(space.q.base + key, "what")
    space.delayed("a", "scheduled", due_in=1)
    before = space.everything()
    assert _remove(space, force="") == ("held", 0, {"scheduled": 1, "damaged": 1})
    assert space.everything() == before
    assert _remove(space) == ("done", 1, {})
    assert _everything(space) == {}


def test_a_group_that_is_none_goes(space: Space) -> None:
    """As damaged as the rest."""
    space.client.sadd(space.q.groups, "g")
    space.client.set(space.q.group("g"), "what")
    assert _remove(space) == ("done", 0, {})
    assert _everything(space) == {}

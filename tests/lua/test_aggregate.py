"""`aggregate` and its neighbours: one task takes the place of a set, or all of it goes back."""

from __future__ import annotations

from typing import Any

import pytest

from asyncq._wire.keys import QueueKeys
from tests.lua.grouping import add, take
from tests.lua.space import CHANNEL, NEWS, Space, about, packed


def _ungather(space: Space, *keys: str, tell: bool = False, again: bool = False) -> int:
    """Give sets back."""
    where = [space.q.groups, space.q.aggregation_sets, *keys]
    count: int = space.run("ungather", where, space.q.group_prefix, NEWS if tell else "", again=again)
    return count


def _aggregate(
    space: Space,
    key: str,
    size: int,
    *,
    task_id: str = "new",
    message: str = "m",
    detail: dict[str, Any] | None = None,
    queue: QueueKeys | None = None,
    again: bool = False,
) -> str:
    """Enqueue a task in place of those of a set."""
    q, into = space.q, queue or space.q
    given = {"at": 0.0, "delay": 0.0, "lock": 0.0, "suffix": "", "group": "", **(detail or {})}
    keys = [key, q.aggregation_sets, q.flow, q.awaited, into.scheduled, into.groups, into.pending]
    keys += [into.flow, into.waiting, into.task(task_id)]
    keys += [into.unique(given["suffix"])] if given["lock"] else []
    keys += [into.group(given["group"]), into.gathering] if given["group"] else []
    args = [size, q.task_prefix, q.unique_prefix, into.task_prefix, CHANNEL, NEWS, "", task_id, message]
    word: str = space.run("aggregate", keys, *args, packed(*given.values()), again=again)
    return word


def test_a_new_task_takes_the_place_of_a_set(space: Space) -> None:
    """In one step: the account is right before and after it."""
    key = take(space, "g", "a", "b")
    space.client.zadd(space.q.waiting, {"s1": space.now() + 5})
    with space.listen(CHANNEL + "s1") as ear:
        assert _aggregate(space, key, 2) == "pending"
        assert ear.heard() == [(CHANNEL + "s1", space.q.waiting)]
    assert space.everything() == {
        "pending": ["new"],
        "t:new": {"msg": "m"},
        "flow": {"created": "1", "aggregated": "2"},
    }


def test_the_new_task_may_be_for_later(space: Space) -> None:
    """The forwarders hear of it."""
    key = take(space, "g", "a")
    with space.listen(NEWS) as ear:
        assert _aggregate(space, key, 1, detail={"delay": 60.0}) == "scheduled"
        assert ear.heard() == [(NEWS, "due")]
    found = space.everything()
    assert found["scheduled"] == {"new": about(space.now() + 60)}
    assert found["t:new"] == {"msg": "m", "state": "scheduled"}


def test_the_new_task_may_wait_in_another_group(space: Space) -> None:
    """Of hours one may make days."""
    key = take(space, "hours", "a")
    space.client.set(space.q.gathering, "5")
    with space.listen(NEWS) as ear:
        assert _aggregate(space, key, 1, detail={"group": "days"}) == "aggregating"
        assert ear.heard() == [(NEWS, "groups")]
    found = space.everything()
    assert found["g:days"] == {"new": about(space.now())}
    assert found["groups"] == {"days"}
    assert found["t:new"] == {"msg": "m", "state": "aggregating", "group": "days"}


def test_the_new_task_may_be_for_another_queue(space: Space) -> None:
    """Each of the two has its own account."""
    key = take(space, "g", "a", "b")
    assert _aggregate(space, key, 2, queue=space.r) == "pending"
    assert space.everything() == {
        space.r.pending: ["new"],
        space.r.task("new"): {"msg": "m"},
        space.r.flow: {"created": "1"},
        "flow": {"aggregated": "2"},
    }


def test_locks_go_with_the_tasks_that_own_them(space: Space) -> None:
    """The lock that is somebody else's by now stays."""
    key = take(space, "g", "a", "b", "c")
    for task_id, lock, owner in (("a", "u", "a"), ("b", "v", "z"), ("c", "w", "")):
        space.client.hset(space.q.task(task_id), "unique", lock)
        if owner:
            space.client.set(space.q.unique(lock), owner)
    space.pending("z", unique="v")
    assert _aggregate(space, key, 3) == "pending"
    assert {name: value for name, value in space.everything().items() if "unique" in name} == {
        "unique:v": "z"
    }


def test_the_new_task_inherits_the_lock_of_one_that_it_stands_for(space: Space) -> None:
    """An aggregator that passes on one of its tasks as it is must not be refused by that very task."""
    key = take(space, "g", "a", "b")
    space.client.hset(space.q.task("a"), "unique", "u")
    space.client.set(space.q.unique("u"), "a")
    assert _aggregate(space, key, 2, detail={"lock": 60.0, "suffix": "u"}) == "pending"
    assert space.everything() == {
        "pending": ["new"],
        "t:new": {"msg": "m", "unique": "u"},
        "unique:u": "new",
        "flow": {"created": "1", "aggregated": "2"},
    }


def _locked(space: Space) -> None:
    space.pending("z", unique="u")
    space.client.set(space.q.unique("u"), "z")


def _there(space: Space) -> None:
    space.put("new", "completed")
    space.client.zadd(space.q.completed, {"new": 1})


def _spoilt(space: Space) -> None:
    space.client.rpush(space.q.unique("u"), "x")


@pytest.mark.parametrize(
    ("arrange", "word"), [(_locked, "duplicate"), (_there, "conflict"), (_spoilt, "unusable")]
)
def test_what_is_refused_changes_nothing(space: Space, arrange: Any, word: str) -> None:
    """The tasks are still in their set."""
    key = take(space, "g", "a")
    arrange(space)
    before = space.everything()
    assert _aggregate(space, key, 1, detail={"lock": 60.0, "suffix": "u"}) == word
    assert space.everything() == before


def test_a_set_that_is_somebody_elses_is_left_alone(space: Space) -> None:
    """The fence: its lease ran out, its tasks are in another set or done."""
    key = take(space, "g", "a")
    _ungather(space, key)
    before = space.everything()
    assert _aggregate(space, key, 1) == "gone"
    assert space.everything() == before


def test_a_set_that_is_not_what_was_read_is_left_alone(space: Space) -> None:
    """Somebody deleted a task of it: what was made of it would bring it back."""
    key = take(space, "g", "a", "b")
    space.client.zrem(key, "a")
    before = space.everything()
    assert _aggregate(space, key, 2) == "changed"
    assert space.everything() == before


@pytest.mark.parametrize("again", [False, True])
def test_aggregated_twice_it_is_aggregated_once(space: Space, *, again: bool) -> None:
    """The answer was lost, and the call is sent again."""
    key = take(space, "g", "a", "b")
    _aggregate(space, key, 2)
    before = space.everything()
    assert _aggregate(space, key, 2, again=again) == "already"
    assert space.everything() == before


def test_who_waits_for_a_task_is_told_that_it_was_aggregated(space: Space) -> None:
    """Each on its own channel. Where nobody waits in the queue, no task is looked at for it."""
    for is_awaited in (True, False):
        key = take(space, "g", "a", "b")
        space.client.hset(space.q.task("b"), "awaited", f"{CHANNEL}x {CHANNEL}y")
        if is_awaited:
            space.client.set(space.q.awaited, "")
        with space.listen(CHANNEL + "x", CHANNEL + "y") as ear:
            assert _aggregate(space, key, 2, task_id=f"new {is_awaited}") == "pending"
            message = f"ended aggregated {space.q.task('b')}"
            told = [(CHANNEL + "x", message), (CHANNEL + "y", message)]
            assert ear.heard() == (told if is_awaited else [])
        space.client.delete(space.q.awaited)


def test_what_was_not_aggregated_is_not_told(space: Space) -> None:
    """The new task was refused: those that it was made of wait on, and so does whoever waits for them."""
    key = take(space, "g", "a")
    space.client.hset(space.q.task("a"), "awaited", CHANNEL + "x")
    space.client.set(space.q.awaited, "")
    space.put("new", "active")
    with space.listen(CHANNEL + "x") as ear:
        assert _aggregate(space, key, 1) == "conflict"
        assert ear.heard() == []


def test_a_large_set_goes_at_once(space: Space) -> None:
    """The largest that there may be; and no longer than 100 ms on a slow machine."""
    key = space.q.group("g:s.1.0")
    with space.client.pipeline() as pipeline:
        for number in range(10_000):
            pipeline.hset(space.q.task(f"t{number}"), "msg", "m")
            pipeline.zadd(key, {f"t{number}": number})
        pipeline.zadd(space.q.aggregation_sets, {key: space.now() + 30})
        pipeline.execute()
    assert _aggregate(space, key, 10_000) == "pending"
    assert space.everything() == {
        "pending": ["new"],
        "t:new": {"msg": "m"},
        "flow": {"created": "1", "aggregated": "10000"},
    }


# -- reading a set ----------------------------------------------------------------------------------


def _collect(space: Space, key: str, first: int = 0, limit: int = 100, size: int = 1000) -> Any:
    keys = [key, space.q.aggregation_sets, space.q.flow]
    return space.run("collect", keys, space.q.task_prefix, first, limit, size)


def test_a_set_is_read_in_order_page_by_page(space: Space) -> None:
    """The oldest first. A page ends at its number of tasks, or when it has enough bytes."""
    key = take(space, "g", "a", "b", "c")
    assert _collect(space, key) == ["", "a", "m-a", "b", "m-b", "c", "m-c"]
    assert _collect(space, key, limit=2) == ["2", "a", "m-a", "b", "m-b"]
    assert _collect(space, key, first=2, limit=2) == ["", "c", "m-c"]
    assert _collect(space, key, size=1) == ["1", "a", "m-a"]
    assert _collect(space, key, first=3) == [""]


def test_a_task_that_vanished_is_dropped_and_counted(space: Space) -> None:
    """Pages go on where they would have without it."""
    key = take(space, "g", "a", "b", "c", "d")
    space.client.delete(space.q.task("a"))
    space.client.hdel(space.q.task("b"), "msg")
    assert _collect(space, key, limit=3) == ["1", "c", "m-c"]
    assert _collect(space, key, first=1) == ["", "d", "m-d"]
    assert space.everything()["flow"] == {"vanished": "2"}
    assert list(space.everything()["g:g:s.1.0"]) == ["c", "d"]
    assert "t:b" not in space.everything()


def test_a_set_that_is_not_ours_is_not_read(space: Space) -> None:
    """Whoever has it now is told its tasks."""
    key = take(space, "g", "a")
    space.client.delete(space.q.aggregation_sets)
    assert _collect(space, key) == ["gone"]


# -- what cannot be read --------------------------------------------------------------------------


def _set_aside(space: Space, key: str, *ids: str, again: bool = False) -> Any:
    keys = [key, space.q.aggregation_sets, space.q.archived, *(space.q.task(task_id) for task_id in ids)]
    args = [item for task_id in ids for item in (task_id, "cannot be read: why")]
    return space.run("set_aside", keys, *args, again=again)


@pytest.mark.parametrize("again", [False, True])
def test_what_cannot_be_read_is_archived(space: Space, *, again: bool) -> None:
    """With the reason; the others of its group go on. Sent again, it does nothing."""
    key = take(space, "g", "a", "b")
    assert _set_aside(space, key, "a") == "ok"
    assert list(space.everything()["g:g:s.1.0"]) == ["b"]
    assert space.everything()["archived"] == {"a": about(space.now())}
    task = space.task("a")
    assert float(task.pop("failed_at")) == about(space.now())
    assert task == {
        "msg": "m-a",
        "state": "archived",
        "group": "g",
        "reason": "unreadable",
        "error": "cannot be read: why",
    }
    before = space.everything()
    assert _set_aside(space, key, "a", again=again) == "ok"
    assert space.everything() == before


def test_who_waits_for_what_cannot_be_read_is_told(space: Space) -> None:
    """And waits no more."""
    key = take(space, "g", "a")
    space.client.hset(space.q.task("a"), "awaited", CHANNEL + "x")
    with space.listen(CHANNEL + "x") as ear:
        assert _set_aside(space, key, "a") == "ok"
        assert ear.heard() == [(CHANNEL + "x", f"ended archived {space.q.task('a')}")]
    assert "awaited" not in space.task("a")


def test_of_a_set_that_is_not_ours_nothing_is_archived(space: Space) -> None:
    """Its tasks may be anywhere."""
    key = take(space, "g", "a")
    space.client.delete(space.q.aggregation_sets)
    before = space.everything()
    assert _set_aside(space, key, "a") == "gone"
    assert space.everything() == before


# -- giving back and keeping ----------------------------------------------------------------------


@pytest.mark.parametrize("tell", [False, True])
def test_what_is_given_back_waits_in_its_group(space: Space, *, tell: bool) -> None:
    """As old as it was, and with whatever came meanwhile. Other servers hear of it, if they are to."""
    add(space, "g", "b")
    keys = [take(space, "g", "a"), take(space, "h:i", "c", name="s.1.1")]
    with space.listen(NEWS) as ear:
        assert _ungather(space, *keys, tell=tell) == 2
        assert ear.heard() == [(NEWS, "groups")] * tell
    assert space.everything(without=(":t:",)) == {
        "g:g": {"a": 100.0, "b": about(space.now())},
        "g:h:i": {"c": 100.0},
        "groups": {"g", "h:i"},
    }
    before = space.everything()
    assert _ungather(space, *keys, again=True) == 0
    assert space.everything() == before


def test_a_large_set_is_given_back_whole(space: Space) -> None:
    """Beside tasks that came meanwhile, so it cannot just be renamed."""
    add(space, "g", "z")
    key = take(space, "g", *(f"t{number}" for number in range(2500)))
    assert _ungather(space, key) == 1
    assert space.client.zcard(space.q.group("g")) == 2501
    assert not space.client.exists(key)


def _prolong(space: Space, lease: float, *keys: str) -> Any:
    return space.run("prolong", [space.q.aggregation_sets], lease, *keys)


def test_sets_are_kept_for_longer(space: Space) -> None:
    """Those that are gone are said, and do not come back."""
    key, other = take(space, "g", "a", ends_in=-5.0), space.q.group("g:s.1.7")
    assert _prolong(space, 30.0, key, other) == [2]
    assert space.everything()["aggregation_sets"] == {key: about(space.now() + 30)}


# -- looking --------------------------------------------------------------------------------------


def test_a_survey_tells_sizes_and_ages(space: Space) -> None:
    """Of what waits and of what is being aggregated; it changes nothing."""
    add(space, "g", "a", "b", ago=100.0)
    key = take(space, "g:h", "c")
    space.client.sadd(space.q.groups, "empty")
    before = space.everything()
    where = [space.q.groups, space.q.aggregation_sets]
    cursor, *rows = space.run("groups", where, space.q.group_prefix, "0", 100)
    assert cursor == "0"
    assert (rows[:3], rows[5:8]) == (["g", "", 2], ["g:h", key, 1])
    assert [float(score) for score in rows[3:5]] == [about(space.now() - 100)] * 2
    assert space.everything() == before

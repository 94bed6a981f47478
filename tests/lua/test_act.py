"""`act`: what an operator does to tasks, each if its state allows it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import CHANNEL, Space, about

ALL = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")
ALLOWED = {
    "run": {"scheduled", "retry", "archived", "completed", "aggregating"},
    "archive": {"pending", "scheduled", "retry", "aggregating"},
    "delete": set(ALL) - {"active"},
}


def _act(
    space: Space,
    action: str,
    *ids: str,
    number: int = 1,
    sender: str = "i.1",
    state: str = "",
    before: float | str = "",
    fresh: bool = False,
    passed: int | str = "",
    span: int = 0,
    again: bool = False,
) -> str:
    q = space.q
    keys = [q.pending, q.scheduled, q.retry, q.archived, q.completed, q.groups, q.flow, q.waiting]
    keys += [q.receipt(sender), *map(q.task, ids)]
    args: list[Any] = [number, 600, action, state, before, "1" if fresh else "", passed, span]
    args += [q.group_prefix, q.unique_prefix, CHANNEL, "", *ids]
    word: str = space.run("act", keys, *args, again=again)
    return word


def _arrange(space: Space, state: str, task_id: str = "a", **fields: object) -> None:
    if state == "pending":
        space.pending(task_id, **fields)
    elif state == "active":
        space.active(task_id, "s:1", **fields)
    elif state == "aggregating":
        space.put(task_id, state, group="g", **fields)
        space.client.zadd(space.q.group("g"), {task_id: 5.0})
        space.client.sadd(space.q.groups, "g")
    else:
        space.delayed(task_id, state, due_in=60.0, **fields)


def _all(space: Space) -> dict[str, Any]:
    return space.everything(without=("receipt",))


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("action", ["run", "archive", "delete"])
def test_an_action_is_done_where_it_is_allowed_and_answered_with_the_state_where_not(
    space: Space, action: str, state: str
) -> None:
    """Nothing is changed where it is not."""
    _arrange(space, state)
    before = _all(space)
    word = _act(space, action, "a")
    if state not in ALLOWED[action]:
        assert word == state
        assert _all(space) == before
        return
    assert word == "done"
    group = {"group": "g"} if state == "aggregating" else {}
    message = {"msg": "m-a", **group}
    if action == "run":
        assert float(space.task("a").pop("ready_at")) == about(space.now())
        space.client.hdel(space.q.task("a"), "ready_at")
        assert _all(space) == {"pending": ["a"], "t:a": message}
    elif action == "archive":
        put_away = {"state": "archived", "reason": "requested"}
        assert _all(space) == {"archived": {"a": about(space.now())}, "t:a": {**message, **put_away}}
    else:
        assert _all(space) == {"flow": {"deleted": "1"}}


def test_a_task_that_runs_again_forgets_how_it_ended(space: Space) -> None:
    """An old result, or the reason why it was archived, would be shown as the new one."""
    gone = {"reason": "exhausted", "completed_at": 1, "result": "r", "progress": "p"}
    kept = {"retried": "3", "lost": "1", "error": "e", "failed_at": "2", "deliveries": "4"}
    _arrange(space, "archived", **gone, **kept)
    _act(space, "run", "a")
    space.client.hdel(space.q.task("a"), "ready_at")
    assert space.task("a") == {"msg": "m-a", **kept}


def test_a_task_may_have_all_its_retries_again(space: Space) -> None:
    """Otherwise one whose retries are used up is tried once."""
    _arrange(space, "archived", retried=3, lost=1, error="e")
    _act(space, "run", "a", fresh=True)
    space.client.hdel(space.q.task("a"), "ready_at")
    assert space.task("a") == {"msg": "m-a", "error": "e"}


@pytest.mark.parametrize("idle", [1, 5])
def test_idle_servers_are_woken_one_for_each_task(space: Space, idle: int) -> None:
    """And no more than there are tasks."""
    for task_id in ("a", "b", "c"):
        _arrange(space, "retry", task_id)
    names = [f"s{number}" for number in range(idle)]
    space.client.zadd(space.q.waiting, dict.fromkeys(names, space.now() + 60))
    with space.listen(*(CHANNEL + name for name in names)) as ear:
        assert _act(space, "run", "a", "b", "c") == "done"
        assert len(ear.heard()) == min(idle, 3)
    assert space.client.lrange(space.q.pending, 0, -1) == [b"c", b"b", b"a"]


def test_words_stand_in_the_order_of_the_ids(space: Space) -> None:
    """One for each, unless all are the same."""
    _arrange(space, "scheduled", "a")
    _arrange(space, "active", "b")
    assert _act(space, "delete", "a", "b", "nobody", "a") == "done,active,missing,displaced"


def test_only_from_the_state_that_was_asked_for(space: Space) -> None:
    """Bulk work on archived tasks leaves one alone that runs again already."""
    _arrange(space, "retry", "a")
    _arrange(space, "archived", "b")
    assert _act(space, "delete", "a", "b", state="archived") == "retry,done"


@pytest.mark.parametrize(
    ("state", "field", "at", "word"),
    [
        ("retry", "failed_at", 50.0, "done"),
        ("retry", "failed_at", 150.0, "newer"),
        ("archived", "failed_at", 150.0, "newer"),
        ("completed", "completed_at", 150.0, "newer"),
        ("completed", "failed_at", 150.0, "done"),
        ("scheduled", "failed_at", 150.0, "done"),
        ("pending", "failed_at", 150.0, "done"),
        ("aggregating", "failed_at", 150.0, "done"),
    ],
)
def test_what_ended_after_the_beginning_is_left_alone(
    space: Space, state: str, field: str, at: float, word: str
) -> None:
    """Otherwise bulk work on failing tasks would have no end."""
    _arrange(space, state, **{field: at})
    assert _act(space, "delete", "a", before=100.0) == word


@pytest.mark.parametrize(("owner", "stays"), [("a", False), ("other", True)])
@pytest.mark.parametrize("state", sorted(ALLOWED["delete"]))
def test_a_deleted_task_releases_its_own_lock(space: Space, state: str, owner: str, *, stays: bool) -> None:
    """From every state, and nobody else's."""
    _arrange(space, state, unique="u")
    space.client.set(space.q.unique("u"), owner)
    _act(space, "delete", "a")
    assert bool(space.client.exists(space.q.unique("u"))) == stays


@pytest.mark.parametrize("action", ["run", "archive"])
def test_what_is_only_moved_keeps_its_lock(space: Space, action: str) -> None:
    """It is still to be done, or may be."""
    _arrange(space, "retry", unique="u")
    space.client.set(space.q.unique("u"), "a")
    _act(space, action, "a")
    assert space.client.get(space.q.unique("u")) == b"a"


@pytest.mark.parametrize(("action", "how"), [("archive", "archived"), ("delete", "deleted"), ("run", None)])
def test_who_waits_for_a_task_hears_of_its_end(space: Space, action: str, how: str | None) -> None:
    """Nothing more will come of it."""
    _arrange(space, "retry", awaited="one two")
    with space.listen("one", "two") as ear:
        _act(space, action, "a")
        told = f"ended {how} {space.q.task('a')}"
        assert ear.heard() == ([("one", told), ("two", told)] if how else [])
    assert ("awaited" in space.task("a")) == (action == "run")


def test_a_group_goes_with_the_last_of_its_tasks(space: Space) -> None:
    """Its name would stay in the set for ever."""
    _arrange(space, "aggregating", "a")
    _arrange(space, "aggregating", "b")
    _act(space, "delete", "a")
    assert space.client.smembers(space.q.groups) == {b"g"}
    _act(space, "run", "b", number=2)
    assert not space.client.exists(space.q.groups, space.q.group("g"))


@pytest.mark.parametrize("action", ["run", "archive", "delete"])
def test_what_is_being_aggregated_is_left_alone(space: Space, action: str) -> None:
    """A server has it in hand: it is in no group any more."""
    space.put("a", "aggregating", group="g")
    space.client.zadd(space.q.group("g") + ":set", {"a": 1})
    before = _all(space)
    assert _act(space, action, "a") == "gathered"
    assert _all(space) == before


@pytest.mark.parametrize("state", ["pending", "scheduled", "archived"])
def test_what_is_in_no_place_is_left_to_the_doctor(space: Space, state: str) -> None:
    """Nobody knows what it is."""
    space.put("a", state)
    before = _all(space)
    assert _act(space, "delete", "a") == "displaced"
    assert _all(space) == before


def test_what_has_no_message_is_no_task(space: Space) -> None:
    """A ghost, a hollow hash, or something else altogether."""
    space.client.zadd(space.q.retry, {"ghost": 1})
    space.client.hset(space.q.task("hollow"), "state", "retry")
    space.client.set(space.q.task("odd"), "what")
    before = _all(space)
    assert _act(space, "delete", "ghost", "hollow", "odd") == "missing"
    assert _all(space) == before


# -- pending tasks: where they stand in the list ----------------------------------------------------


@pytest.mark.parametrize("action", ["archive", "delete"])
@pytest.mark.parametrize(("passed", "span"), [("", 0), (0, 6), (2, 4), (7, 4), (9000, 6)])
def test_pending_tasks_are_found_wherever_they_stand(
    space: Space, action: str, passed: int | str, span: int
) -> None:
    """The hint may be right, wrong, or missing; the others keep their order."""
    space.pending(*(f"t{number}" for number in range(12)))
    assert _act(space, action, "t2", "t5", "t3", passed=passed, span=span) == "done"
    left = [f"t{number}" for number in range(12) if number not in (2, 3, 5)]
    assert space.everything()["pending"] == left[::-1]


def test_blanks_are_removed_from_the_nearer_end(space: Space) -> None:
    """From either: it takes time in proportion to the way."""
    space.pending(*(f"t{number}" for number in range(3000)))
    assert _act(space, "delete", "t2990", "t2995", passed=2990, span=6) == "done"
    assert _act(space, "delete", "t10", "t15", number=2, passed=10, span=6) == "done"
    left = [f"t{number}" for number in range(3000) if number not in (10, 15, 2990, 2995)]
    assert space.everything()["pending"] == left[::-1]


def test_what_servers_took_meanwhile_moves_the_rest(space: Space) -> None:
    """A thousand between the page and the action."""
    space.pending(*(f"t{number}" for number in range(3000)))
    space.client.rpop(space.q.pending, 1000)
    assert _act(space, "delete", "t1500", "t1501", passed=1500, span=2) == "done"
    assert space.client.llen(space.q.pending) == 1998


def test_searching_a_long_list_ends_after_a_while(space: Space) -> None:
    """One is always found, so that whoever asks again comes to an end."""
    space.client.lpush(space.q.pending, *(f"t{number}" for number in range(150_000)))
    for task_id in ("t1", "t70000", "t2"):
        space.put(task_id, "pending")
    assert _act(space, "delete", "t1", "t70000", "t2") == "done,later,later"
    assert _act(space, "delete", "t70000", "t2", number=2) == "done,later"
    assert _act(space, "delete", "t2", number=3) == "done"


def test_an_id_given_twice_is_acted_upon_once(space: Space) -> None:
    """And answered twice."""
    space.pending("a", "b")
    assert _act(space, "delete", "a", "a") == "done,displaced"
    assert space.everything(without=("receipt",)) == {
        "pending": ["b"], "t:b": {"msg": "m-b"}, "flow": {"deleted": "1"},
    }  # fmt: skip


def test_archived_together_they_keep_their_order(space: Space) -> None:
    """Somebody may let them run again."""
    space.pending("z", "b", "a")
    _act(space, "archive", "z", "b", "a")
    assert space.client.zrange(space.q.archived, 0, -1) == [b"z", b"b", b"a"]


# -- sending again ----------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("action", ["run", "archive", "delete"])
def test_the_same_call_sent_again_answers_the_same_and_does_nothing(
    space: Space, action: str, *, again: bool
) -> None:
    """Deleted twice, a task would be `missing`, and nobody would know by whom."""
    _arrange(space, "retry", "a")
    _arrange(space, "active", "b")
    answer = _act(space, action, "a", "b")
    before = space.everything()
    assert _act(space, action, "a", "b", again=again) == answer == "done,active"
    assert space.everything() == before


def test_a_call_that_comes_late_does_nothing(space: Space) -> None:
    """From the buffer of a server that was frozen, behind a later call."""
    _arrange(space, "retry", "a")
    _act(space, "archive", "a", number=2)
    before = space.everything()
    assert _act(space, "delete", "a", number=1) == "late"
    assert space.everything() == before
    assert _act(space, "delete", "a", number=1, sender="other") == "done"


def test_the_receipt_expires(space: Space) -> None:
    """One for each piece of work of each inspector."""
    _act(space, "delete", "a")
    assert 0 < space.client.ttl(space.q.receipt("i.1")) <= 600


@pytest.mark.parametrize("broken", ["pending", "archived"])
def test_a_broken_queue_is_refused_as_a_whole(space: Space, broken: str) -> None:
    """Before anything is written."""
    _arrange(space, "retry", "a")
    space.client.delete(space.q.base + broken)
    space.client.set(space.q.base + broken, "what")
    before = space.everything()
    with pytest.raises(Exception, match="WRONGTYPE"):
        _act(space, "delete", "a")
    assert space.everything() == before

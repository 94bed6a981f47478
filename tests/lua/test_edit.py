"""`edit`: a task that waits is changed if it is still what somebody has seen."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.lua.space import NEWS, Space, about

NEW = "another message"
EDITABLE = ("pending", "scheduled", "retry", "archived", "aggregating")
MOVABLE = ("pending", "scheduled", "retry", "archived")


def version_of(space: Space, task_id: str = "a") -> str:
    """What `TaskInfo.version` is made of."""
    fields: Any = space.client.hgetall(space.q.task(task_id))
    due: Any = space.client.eval(
        "return redis.call('ZSCORE', KEYS[1], ARGV[1]) or redis.call('ZSCORE', KEYS[2], ARGV[1]) or ''",
        2, space.q.scheduled, space.q.retry, task_id,
    )  # fmt: skip
    parts = (fields.get(b"state", b"pending"), due, fields.get(b"deliveries", b""), fields.get(b"msg", b""))
    return hashlib.sha1(b"\0".join(parts), usedforsecurity=False).hexdigest()


def edit(
    space: Space,
    *,
    version: str | None = None,
    message: str = "",
    at: float | str = "",
    delay: float | str = "",
    locks: tuple[str, str] | None = None,
    sender: str = "i.1",
    again: bool = False,
) -> str:
    """Edit the task `a`."""
    q = space.q
    keys = [q.pending, q.scheduled, q.retry, q.archived, q.receipt(sender), q.task("a")]
    keys += [q.unique(suffix) for suffix in locks or ()]
    args = ["a", version_of(space) if version is None else version, message, at, delay]
    args += [locks[1] if locks else "", q.task_prefix, q.group_prefix, NEWS]
    word: str = space.run("edit", keys, 600, *args, again=again)
    return word


def _arrange(space: Space, state: str, **fields: object) -> None:
    if state == "pending":
        space.pending("a", **fields)
    elif state == "active":
        space.active("a", "s:1", **fields)
    elif state == "aggregating":
        space.put("a", state, group="g", **fields)
        space.client.zadd(space.q.group("g"), {"a": 5.0})
    else:
        space.delayed("a", state, due_in=60.123456, **fields)


def _all(space: Space) -> dict[str, Any]:
    return space.everything(without=("receipt",))


@pytest.mark.parametrize("state", [*EDITABLE, "active", "completed"])
def test_a_message_is_changed_where_the_task_waits(space: Space, state: str) -> None:
    """And nothing else is."""
    _arrange(space, state, retried=2)
    before = _all(space)
    if state in EDITABLE:
        assert edit(space, message=NEW) == "done"
        before["t:a"]["msg"] = NEW
    else:
        assert edit(space, message=NEW) == state
    assert _all(space) == before


@pytest.mark.parametrize("moment", ["at", "delay"])
@pytest.mark.parametrize("state", [*MOVABLE, "active", "completed", "aggregating"])
def test_a_task_gets_another_time_where_it_waits_for_one_or_could(
    space: Space, state: str, moment: str
) -> None:
    """A retry task stays one; others are scheduled then."""
    _arrange(space, state)
    before = _all(space)
    due = space.now() + 500
    word = edit(space, at=due) if moment == "at" else edit(space, delay=500)
    if state not in MOVABLE:
        assert word == state
        assert _all(space) == before
        return
    assert word == "done"
    home = "retry" if state == "retry" else "scheduled"
    assert _all(space) == {home: {"a": about(due)}, "t:a": {"msg": "m-a", "state": home}}


def test_an_archived_task_that_gets_a_time_forgets_why_it_was_archived(space: Space) -> None:
    """But not what its error was."""
    _arrange(space, "archived", reason="exhausted", error="e")
    edit(space, delay=5)
    assert space.task("a") == {"msg": "m-a", "state": "scheduled", "error": "e"}


def test_both_at_once(space: Space) -> None:
    """One version, one step."""
    _arrange(space, "retry")
    assert edit(space, message=NEW, delay=500) == "done"
    assert _all(space) == {"retry": {"a": about(space.now() + 500)}, "t:a": {"msg": NEW, "state": "retry"}}


@pytest.mark.parametrize(
    "change",
    [
        lambda space: space.client.hset(space.q.task("a"), "msg", "other"),
        lambda space: space.client.zadd(space.q.scheduled, {"a": 7.0}),
        lambda space: space.client.hset(space.q.task("a"), "deliveries", 1),
        lambda space: (
            space.client.zrem(space.q.scheduled, "a"),
            space.client.hset(space.q.task("a"), "state", "archived"),
            space.client.zadd(space.q.archived, {"a": 1}),
        ),
    ],
    ids=["message", "time", "delivered", "state"],
)
def test_what_has_changed_meanwhile_is_left_alone(space: Space, change: Any) -> None:
    """Somebody decided about something else."""
    _arrange(space, "scheduled")
    seen = version_of(space)
    change(space)
    before = _all(space)
    assert edit(space, version=seen, message=NEW) == "changed"
    assert _all(space) == before


def test_a_task_that_is_not_there_is_missing(space: Space) -> None:
    """As one without a message."""
    assert edit(space, version="", message=NEW) == "missing"
    space.client.hset(space.q.task("a"), "state", "retry")
    assert edit(space, version="", message=NEW) == "missing"


@pytest.mark.parametrize("state", ["scheduled", "archived"])
def test_what_is_in_no_place_is_left_to_the_doctor(space: Space, state: str) -> None:
    """Nobody knows what it is."""
    space.put("a", state)
    assert edit(space, message=NEW) == "displaced"
    assert edit(space, delay=5) == "displaced"


def test_a_pending_task_that_is_not_in_the_list_gets_no_time(space: Space) -> None:
    """It would be in a place then, and hide what is wrong."""
    space.put("a", "pending")
    assert edit(space, delay=5) == "displaced"


def test_what_is_being_aggregated_is_left_alone(space: Space) -> None:
    """Its message may have been read already."""
    space.put("a", "aggregating", group="g")
    assert edit(space, message=NEW) == "gathered"


@pytest.mark.parametrize(
    ("delay", "others", "told"), [(5, (), True), (50, (20,), False), (5, (20,), True), (90, (), True)]
)
def test_servers_are_told_of_a_time_before_all_others(
    space: Space, delay: float, others: tuple[float, ...], *, told: bool
) -> None:
    """They sleep until the next one that they know."""
    space.pending("a")
    for number, due_in in enumerate(others):
        space.delayed(f"o{number}", "scheduled", due_in=due_in)
    with space.listen(NEWS) as ear:
        edit(space, delay=delay)
        assert ear.heard() == ([(NEWS, "due")] if told else [])


# -- the lock of a unique task ----------------------------------------------------------------------


def _locked(space: Space, state: str = "scheduled") -> None:
    _arrange(space, state, unique="old")
    space.client.set(space.q.unique("old"), "a", ex=100)


def test_the_lock_follows_the_message(space: Space) -> None:
    """With the time it had left."""
    _locked(space)
    assert edit(space, message=NEW, locks=("old", "new")) == "done"
    assert not space.client.exists(space.q.unique("old"))
    assert space.client.get(space.q.unique("new")) == b"a"
    assert 90 < space.client.ttl(space.q.unique("new")) <= 100
    assert space.task("a")["unique"] == "new"


def test_the_lock_of_another_task_refuses_the_change(space: Space) -> None:
    """Two tasks would be what only one may be."""
    _locked(space)
    space.pending("other", unique="new")
    space.client.set(space.q.unique("new"), "other")
    before = _all(space)
    assert edit(space, message=NEW, locks=("old", "new")) == "duplicate"
    assert _all(space) == before


def test_a_lock_whose_owner_is_gone_is_taken(space: Space) -> None:
    """As `enqueue` takes it."""
    _locked(space)
    space.client.set(space.q.unique("new"), "gone")
    assert edit(space, message=NEW, locks=("old", "new")) == "done"
    assert space.client.get(space.q.unique("new")) == b"a"


@pytest.mark.parametrize("owner", [None, "other"])
def test_a_lock_that_is_not_ours_any_more_is_not_taken_anew(space: Space, owner: str | None) -> None:
    """Its time was over."""
    _locked(space)
    space.client.delete(space.q.unique("old"))
    if owner:
        space.client.set(space.q.unique("old"), owner)
    assert edit(space, message=NEW, locks=("old", "new")) == "done"
    assert not space.client.exists(space.q.unique("new"))
    assert space.task("a")["unique"] == "new"


def test_the_lock_is_prolonged_with_a_later_time(space: Space) -> None:
    """It would end before the task is due; an earlier one leaves it as it is."""
    _locked(space)
    assert edit(space, delay=560, locks=("old", "old")) == "done"
    assert 590 < space.client.ttl(space.q.unique("old")) <= 600
    assert edit(space, delay=5, locks=("old", "old"), sender="i.2") == "done"
    assert 590 < space.client.ttl(space.q.unique("old")) <= 600


# -- sending again ----------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [False, True])
def test_the_same_call_sent_again_answers_the_same_and_does_nothing(space: Space, *, again: bool) -> None:
    """By its receipt: the version is another one by then."""
    _locked(space)
    seen = version_of(space)
    given: Any = {"version": seen, "message": NEW, "delay": 500, "locks": ("old", "new")}
    assert edit(space, **given) == "done"
    before = space.everything()
    assert edit(space, **given, again=again) == "done"
    assert space.everything() == before
    assert edit(space, **given, sender="i.2") == "changed"

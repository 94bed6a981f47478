"""`mend`: the judge of all damage, and the only one who puts it right."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import CHANNEL, Space, about, packed

KEEP = 100.0
WAITS = ["scheduled", "retry", "archived", "completed"]
NOTHING = ["", "", 0, "", ""]
MESSAGE = {"msg": "m-a"}


def _mend(
    space: Space,
    *ids: str,
    apply: bool = True,
    seen_in: tuple[str, ...] = (),
    unseen: str = "",
    again: bool = False,
) -> list[list[Any]]:
    """For each: kinds, places, times in pending, state, home."""
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed]
    keys += [q.groups, q.aggregation_sets, q.flow, q.waiting]
    args: list[object] = ["1" if apply else "", q.task_prefix, q.group_prefix, CHANNEL, ""]
    for task_id in ids:
        args += [task_id, packed(KEEP, list(seen_in), unseen)]
    found: list[list[Any]] = space.run("mend", keys, *args, again=again)
    return found


def _judged(space: Space, *, seen_in: tuple[str, ...] = ()) -> list[Any]:
    """Return the verdict on `a`: the same whether it is put right or not. What is mended is fine after."""
    before = space.everything()
    [judged] = _mend(space, "a", apply=False, seen_in=seen_in)
    assert space.everything() == before
    assert _mend(space, "a", seen_in=seen_in) == [judged]
    after = space.everything()
    for again in (True, False):
        assert _mend(space, "a", seen_in=seen_in, again=again)[0][0] == ""
        assert space.everything() == after
    return judged


def _place(space: Space, place: str, task_id: str = "a", *, score: float = 1.0) -> None:
    """Put an id, without a hash, into some place."""
    q, client = space.q, space.client
    if place == "pending":
        client.lpush(q.pending, task_id)
    elif place == "group":
        client.sadd(q.groups, "g")
        client.zadd(q.group("g"), {task_id: score})
    elif place == "aggregation":
        client.zadd(q.aggregation_sets, {q.base + "set": 9})
        client.zadd(q.base + "set", {task_id: score})
    else:
        client.zadd(q.base + ("lease" if place == "active" else place), {task_id: score})


@pytest.mark.parametrize("place", ["pending", "active", *WAITS, "group", "aggregation"])
@pytest.mark.parametrize("apply", [False, True])
def test_a_task_that_is_as_it_should_be_is_left_alone(space: Space, place: str, *, apply: bool) -> None:
    """An audit runs beside work, and nearly all it asks about is fine."""
    in_group = place in {"group", "aggregation"}
    state = "aggregating" if in_group else place
    fields: dict[str, Any] = {"group": "g"} if in_group else {"delivery": "s:1"} if place == "active" else {}
    space.put("a", state, **fields)
    _place(space, place)
    _place(space, "pending", "other")
    before = space.everything()
    listed = int(place == "pending")
    assert _mend(space, "a", apply=apply) == [["", "" if listed else place, listed, state, place]]
    assert space.everything() == before


def test_an_id_that_is_not_there_is_nothing(space: Space) -> None:
    """It came to its end meanwhile."""
    assert _judged(space) == NOTHING
    assert space.everything() == {}


@pytest.mark.parametrize("place", ["active", *WAITS, "group"])
def test_a_ghost_is_removed(space: Space, place: str) -> None:
    """An id without a message holds nothing that could be lost. The counters learn that it went."""
    _place(space, place)
    _place(space, place, "other")
    assert _judged(space, seen_in=("g",)) == ["ghost", place, 0, "", ""]
    found = space.everything()
    assert found.pop("flow") == {"vanished": "1"}
    key = {"active": "lease", "group": "g:g"}.get(place, place)
    assert found == {key: {"other": 1.0}, **({"groups": {"g"}} if place == "group" else {})}


@pytest.mark.parametrize("times", [1, 3])
def test_a_ghost_in_the_list_goes_from_everywhere_in_it(space: Space, times: int) -> None:
    """It was one task."""
    for _ in range(times):
        _place(space, "pending")
        _place(space, "pending", "other")
    assert _judged(space) == ["ghost", "", times, "", ""]
    assert space.everything() == {"pending": ["other"] * times, "flow": {"vanished": "1"}}


def test_a_hash_without_a_message_goes_with_its_places(space: Space) -> None:
    """In whatever state it says it is."""
    space.client.hset(space.q.task("a"), mapping={"state": "retry", "retried": 2})
    _place(space, "retry")
    _place(space, "archived")
    assert _judged(space) == ["ghost", "retry,archived", 0, "retry", ""]
    assert space.everything() == {"flow": {"vanished": "1"}}


def test_a_hollow_hash_is_removed(space: Space) -> None:
    """It is nowhere, and says nothing."""
    space.client.hset(space.q.task("a"), "result", "x")
    assert _judged(space) == ["hollow", "", 0, "pending", ""]
    assert space.everything() == {"flow": {"vanished": "1"}}


@pytest.mark.parametrize("apply", [False, True])
def test_what_is_no_hash_is_left_alone(space: Space, *, apply: bool) -> None:
    """Nobody knows what it is. The id in the list stays, too: delivery throws it away."""
    space.client.set(space.q.task("a"), "x")
    _place(space, "pending")
    before = space.everything()
    assert _mend(space, "a", apply=apply) == [["wrong_type", "", 1, "", ""]]
    assert space.everything() == before


@pytest.mark.parametrize("state", ["pending", "active", "scheduled", "retry", "aggregating", "strange"])
def test_an_orphan_runs_now(space: Space, state: str) -> None:
    """It is in no place. When it was due is not known any more; to run it early beats never."""
    space.put("a", state, delivery="s:1", cancel="s:1", retried=2)
    _place(space, "pending", "other")
    space.client.zadd(space.q.waiting, {"s": space.now() + 9})
    with space.listen(CHANNEL + "s") as ear:
        assert _judged(space) == ["orphan", "", 0, state, "pending"]
        assert ear.heard() == [(CHANNEL + "s", space.q.waiting)]
    assert space.everything() == {
        "t:a": {**MESSAGE, "retried": "2", "mended": "1"},
        "pending": ["other", "a"],
    }


def test_an_orphan_of_a_group_goes_back_there(space: Space) -> None:
    """With the time of now: when it came is not known any more."""
    space.put("a", "aggregating", group="g")
    assert _judged(space) == ["orphan", "", 0, "aggregating", "group"]
    assert space.everything() == {
        "t:a": {**MESSAGE, "state": "aggregating", "group": "g"},
        "g:g": {"a": about(space.now())},
        "groups": {"g"},
    }


@pytest.mark.parametrize(
    ("state", "field", "after"), [("completed", "completed_at", KEEP), ("archived", "failed_at", 0.0)]
)
@pytest.mark.parametrize("known", [False, True])
def test_what_came_to_its_end_is_not_run_again(
    space: Space, state: str, field: str, after: float, *, known: bool
) -> None:
    """It is kept from its end on, if that is known."""
    ended = space.now() - (50 if known else 0)
    fields: dict[str, Any] = {field: ended} if known else {}
    space.put("a", state, **fields)
    before = space.task("a")
    assert _judged(space) == ["orphan", "", 0, state, state]
    assert space.everything() == {"t:a": before, state: {"a": about(ended + after)}}


ORDER = ["pending", "retry", "scheduled", "group", "aggregation", "active", "archived", "completed"]


@pytest.mark.parametrize(
    ("home", "other"), [(home, other) for at, home in enumerate(ORDER) for other in ORDER[at + 1 :]]
)
def test_of_two_places_the_one_where_it_is_sure_to_run_is_kept(space: Space, home: str, other: str) -> None:
    """To run twice is allowed, to be lost is not. Here the lease ran out."""
    space.put("a", "aggregating", group="g", delivery="s:1")
    _place(space, home, score=5)
    _place(space, other, score=5)
    # The place that is kept, as it is without the other one.
    kept = {name: value for name, value in space.everything().items() if name != "t:a"}
    del kept[{"active": "lease", "group": "g:g", "aggregation": "set"}.get(other, other)]
    kinds, _, listed, _, kept_in = _judged(space)
    assert (kinds, listed, kept_in) == ("twice", int(home == "pending"), home)
    state = {"pending": {}, "group": {"state": "aggregating"}, "aggregation": {"state": "aggregating"}}
    token = {"delivery": "s:1"} if home == "active" else {}
    hash_ = {**MESSAGE, "group": "g", **state.get(home, {"state": home}), **token}
    assert space.everything() == {**kept, "t:a": hash_}


@pytest.mark.parametrize("state", ["pending", "scheduled", "active"])
def test_a_task_under_aggregation_is_found_whatever_its_state_says(space: Space, state: str) -> None:
    """Taken for nowhere it would be made pending, and run twice."""
    space.put("a", state, group="g")
    _place(space, "aggregation")
    assert _judged(space)[::4] == ["wrong_state", "aggregation"]
    found = space.everything()
    assert found["t:a"] == {**MESSAGE, "group": "g", "state": "aggregating"}
    assert set(found) == {"t:a", "set", "aggregation_sets"}


@pytest.mark.parametrize("other", [place for place in ORDER if place != "active"])
def test_a_live_lease_beats_every_place(space: Space, other: str) -> None:
    """Somebody works on it at this moment; and may settle it."""
    space.put("a", "active", group="g", delivery="s:1")
    _place(space, "active", score=space.now() + 30)
    lease = space.everything()["lease"]
    _place(space, other)
    assert _judged(space)[::4] == ["twice", "active"]
    found = space.everything()
    assert found["t:a"] == {**MESSAGE, "group": "g", "state": "active", "delivery": "s:1"}
    assert found["lease"] == lease
    assert {"pending", *WAITS, "g:g", "set"}.isdisjoint(found)


def test_a_live_lease_without_an_owner_is_none(space: Space) -> None:
    """Nobody works on it."""
    space.put("a", "active", delivery="nonsense")
    _place(space, "active", score=space.now() + 30)
    _place(space, "retry", score=5)
    assert _judged(space)[::4] == ["twice", "retry"]
    assert space.everything() == {"t:a": {**MESSAGE, "state": "retry"}, "retry": {"a": 5}}


@pytest.mark.parametrize("times", [2, 3])
def test_of_several_times_in_the_list_the_first_to_be_taken_stays(space: Space, times: int) -> None:
    """It has waited longest."""
    space.put("a", "pending")
    for task_id in ("a", "b", *["a"] * (times - 1)):
        _place(space, "pending", task_id)
    assert _judged(space) == ["duplicate", "", times, "pending", "pending"]
    assert space.everything() == {"t:a": MESSAGE, "pending": ["b", "a"]}


def test_in_the_list_and_elsewhere_several_times(space: Space) -> None:
    """Both are said; one place is left."""
    space.put("a", "retry")
    for place in ("pending", "pending", "retry", "completed"):
        _place(space, place)
    assert _judged(space) == ["twice,duplicate", "retry,completed", 2, "retry", "pending"]
    assert space.everything() == {"t:a": MESSAGE, "pending": ["a"]}


@pytest.mark.parametrize("place", ["pending", "active", *WAITS, "group"])
def test_a_state_that_does_not_agree_is_written_anew(space: Space, place: str) -> None:
    """The place decides: it is what scripts act on."""
    token: dict[str, Any] = {"delivery": "s:1"} if place == "active" else {}
    space.put("a", "strange", group="g", **token)
    _place(space, place)
    before = space.everything()
    assert _judged(space)[::4] == ["wrong_state", place]
    del before["t:a"]["state"]
    if place != "pending":
        before["t:a"]["state"] = "aggregating" if place == "group" else place
    assert space.everything() == before


@pytest.mark.parametrize("token", [None, "", "s", ":1", "s:", "s:x"])
def test_an_active_task_that_nobody_can_settle_runs_again(space: Space, token: str | None) -> None:
    """Nor extend it: waiting for the lease to end would only cost time."""
    fields: dict[str, Any] = {} if token is None else {"delivery": token}
    space.put("a", "active", **fields)
    _place(space, "active", score=space.now() + 30)
    assert _judged(space) == ["no_token", "active", 0, "active", "pending"]
    assert space.everything() == {"t:a": {**MESSAGE, "mended": "1"}, "pending": ["a"]}


@pytest.mark.parametrize("place", ["pending", *WAITS])
def test_a_token_of_no_delivery_is_taken_away(space: Space, place: str) -> None:
    """A server that was frozen could settle with it what is not running."""
    space.put("a", place, delivery="s:1", cancel="s:1")
    _place(space, place)
    before = space.everything()
    assert _judged(space)[::4] == ["stale_token", place]
    del before["t:a"]["delivery"], before["t:a"]["cancel"]
    assert space.everything() == before


def test_the_list_is_searched_unless_it_was_read(space: Space) -> None:
    """The trace vouches that the task did not move since the list was read without it."""
    space.put("a", "pending", deliveries=2)
    assert _mend(space, "a", apply=False, unseen="pending 2  ") == [["orphan", "", 0, "pending", "pending"]]
    _place(space, "pending")
    assert _mend(space, "a", apply=False, unseen="pending 2  ")[0][0] == "orphan"
    # Any change of the trace, and it is searched.
    for changed in ("", "pending 1  ", "pending 2 1 ", "active 2  "):
        assert _mend(space, "a", apply=False, unseen=changed) == [["", "", 1, "pending", "pending"]]


def test_a_trace_does_not_put_a_task_into_the_list_twice(space: Space) -> None:
    """Sent again, or by another doctor who read the list at the same time."""
    space.put("a", "pending")
    for again in (False, True, False):
        _mend(space, "a", unseen="pending   ", again=again)
        assert space.everything() == {"t:a": {**MESSAGE, "mended": "1"}, "pending": ["a"]}


def test_each_id_is_judged_by_itself(space: Space) -> None:
    """One call for many, and what is fine among them stays."""
    space.active("a", "s:1")
    space.put("b", "retry")
    _place(space, "scheduled", "c", score=5)
    before = space.everything()
    assert [(kinds, home) for kinds, *_, home in _mend(space, "a", "b", "c", "x")] == [
        ("", "active"), ("orphan", "pending"), ("ghost", ""), ("", ""),
    ]  # fmt: skip
    del before["scheduled"]
    assert space.everything() == {
        **before,
        "t:b": {"msg": "m-b", "mended": "1"},
        "pending": ["b"],
        "flow": {"vanished": "1"},
    }

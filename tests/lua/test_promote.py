"""`promote`: what was put back for want of a slot is taken before its time, and nothing else is."""

from __future__ import annotations

import pytest

from tests.lua.space import CHANNEL, Space, about

Named = tuple[str, str, int]


def _promote(space: Space, *tasks: Named, again: bool = False) -> list[str]:
    q = space.q
    keys = [q.scheduled, q.pending, q.waiting, *(q.task(task[0]) for task in tasks)]
    words: list[str] = space.run(
        "promote", keys, CHANNEL, "", *(part for task in tasks for part in task), again=again
    )
    return words


def test_what_was_put_back_is_next_in_its_order(space: Space) -> None:
    """Before what came later; and a server is woken for each."""
    space.pending("new")
    for task_id in ("a", "b"):
        space.delayed(task_id, "scheduled", due_in=30.0, deliveries=1)
    space.client.zadd(space.q.waiting, {"x": space.now() + 9, "y": space.now() + 8, "z": space.now() + 7})
    with space.listen(*(CHANNEL + server for server in "xyz")) as ear:
        assert _promote(space, ("a", "s:1", 1), ("b", "s:2", 1)) == ["moved", "moved"]
        assert ear.heard() == [(CHANNEL + "x", space.q.waiting), (CHANNEL + "y", space.q.waiting)]
    assert space.everything()["pending"] == ["new", "b", "a"]  # the last one is next
    assert "scheduled" not in space.everything()
    found = space.task("a")
    assert float(found.pop("ready_at")) == about(space.now())
    assert found == {"msg": "m-a", "deliveries": "1"}


def test_what_is_not_written_as_put_back_yet_is_told(space: Space) -> None:
    """The outcome is on its way, in another call."""
    space.active("a", "s:1")
    before = space.everything()
    assert _promote(space, ("a", "s:1", 1)) == ["unsettled"]
    assert space.everything() == before


@pytest.mark.parametrize("state", ["gone", "delivered since", "another one", "pending", "retry", "archived"])
@pytest.mark.parametrize("again", [False, True])
def test_what_has_become_something_else_is_left_alone(space: Space, state: str, *, again: bool) -> None:
    """A delayed task that has got the same id since must not run before its time."""
    if state == "delivered since":
        space.active("a", "t:9", deliveries=2)
    elif state == "another one":
        space.delayed("a", "scheduled", due_in=3600.0)
    elif state == "pending":
        space.pending("a", deliveries=1)
    elif state != "gone":
        space.delayed("a", state, due_in=1.0, deliveries=1)
    before = space.everything()
    assert _promote(space, ("a", "s:1", 1), again=again) == ["gone"]
    assert space.everything() == before


def test_the_same_call_sent_again_does_nothing(space: Space) -> None:
    """The answer of the first was lost."""
    space.delayed("a", "scheduled", due_in=30.0, deliveries=3)
    assert _promote(space, ("a", "s:1", 3)) == ["moved"]
    before = space.everything()
    assert _promote(space, ("a", "s:1", 3), again=True) == ["gone"]
    assert space.everything() == before


def test_an_id_without_a_hash_stays_for_the_forwarder(space: Space) -> None:
    """Which counts it as vanished."""
    space.client.zadd(space.q.scheduled, {"a": space.now() + 30})
    assert _promote(space, ("a", "s:1", 1)) == ["gone"]
    assert space.everything() == {"scheduled": {"a": about(space.now() + 30)}}


def test_nothing_asked_changes_nothing(space: Space) -> None:
    """An empty call is no error."""
    assert _promote(space) == []
    assert space.everything() == {}

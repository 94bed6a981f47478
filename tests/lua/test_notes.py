"""`annotate` and `cancel`: what a running task says, and what others want of it."""

from __future__ import annotations

import pytest

from tests.lua.space import CHANNEL, Space


@pytest.mark.parametrize("field", ["result", "progress"])
@pytest.mark.parametrize("again", [False, True])
def test_the_owner_may_write(space: Space, field: str, *, again: bool) -> None:
    """Later words replace earlier ones, also when they are sent again."""
    space.active("a", "s:1", **{field: "before"})
    before = space.everything()
    assert space.run("annotate", [space.q.task("a")], "s:1", field, "after", again=again) == "ok"
    before["t:a"][field] = "after"
    assert space.everything() == before


@pytest.mark.parametrize("state", ["another's", "pending", "gone"])
def test_nobody_else_may_write(space: Space, state: str) -> None:
    """Neither into the work of the new owner, nor into a hash that would be one of no task."""
    if state == "another's":
        space.active("a", "s:2")
    elif state == "pending":
        space.pending("a")
    before = space.everything()
    assert space.run("annotate", [space.q.task("a")], "s:1", "result", "x") == "not_owner"
    assert space.everything() == before


@pytest.mark.parametrize("again", [False, True])
def test_a_running_task_is_asked_to_stop(space: Space, *, again: bool) -> None:
    """By a message to its server, and by a note in case the message is missed."""
    space.active("a", "s:7")
    before = space.everything()
    with space.listen(CHANNEL + "s") as ear:
        assert space.run("cancel", [space.q.task("a")], CHANNEL, again=again) == "requested"
        assert ear.heard() == [(CHANNEL + "s", "cancel s:7")]
    before["t:a"]["cancel"] = "s:7"
    assert space.everything() == before


def test_a_task_that_is_not_there_cannot_be_stopped(space: Space) -> None:
    """And asking leaves nothing behind."""
    assert space.run("cancel", [space.q.task("a")], CHANNEL) == "missing"
    assert space.everything() == {}


@pytest.mark.parametrize("state", ["pending", "scheduled", "retry", "archived", "completed"])
def test_a_task_that_does_not_run_says_what_it_is(space: Space, state: str) -> None:
    """There is nothing to stop; it can be deleted."""
    space.put("a", state)
    before = space.everything()
    assert space.run("cancel", [space.q.task("a")], CHANNEL) == state
    assert space.everything() == before

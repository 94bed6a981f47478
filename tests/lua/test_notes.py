"""`annotate`: what a running task says."""

from __future__ import annotations

import pytest

from tests.lua.space import Space


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

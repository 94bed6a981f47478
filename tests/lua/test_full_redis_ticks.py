"""A full Redis, as far as the times of entries go: see `test_full_redis`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua import calls
from tests.lua.calls import Act
from tests.lua.fullness import assert_as_ever, assert_refused_as_a_whole
from tests.lua.scenes import Arrange, at_rest
from tests.lua.space import Space, packed


def _enqueue(space: Space, *, since: float, overlap: str) -> Any:
    rules = packed(0, 0, 0, "", "", "1000.000000", 0.0, 60, since, "", overlap, "")
    extra = [space.q.tick("e"), space.q.fence("e")]
    return calls.enqueue(space, packed(0, 0.0, rules), extra=extra, times=1)[0]


def _tick(space: Space) -> Any:
    return _enqueue(space, since=0.0, overlap="")


def _had(space: Space) -> None:
    space.active("run", "s:1")
    space.client.hset(space.q.tick("e"), mapping={"at": "900.000000", "run": "run"})


def _overlapping(space: Space) -> Any:
    return _enqueue(space, since=900.0, overlap="skip")


def _pass_over(space: Space) -> Any:
    return space.run("pass_over", [space.q.tick("e")], "900.000000", "1000.000000", "missed", 60)


def _inherit(space: Space) -> Any:
    return space.run("inherit", [space.q.tick("e")], 60, "1000.000000", "note:950.000000", "missed 1 2 3")


def _noted(space: Space) -> None:
    notes = {"note:5.000000": "missed 1 2 3", "note:rest": "several 1.000000 9.000000 9.0"}
    space.client.hset(space.q.tick("e"), mapping={"at": "900.000000", **notes})


def _attended(space: Space) -> Any:
    read = ("note:5.000000", "missed 1 2 3", "note:rest", "several 1.000000 8.000000 8.0")
    return space.run("attended", [space.q.tick("e")], *read)


def test_what_was_done_is_forgotten_as_ever(own_space: Space) -> None:
    """It frees memory."""
    assert_as_ever(own_space, _noted, _attended)


@pytest.mark.parametrize(
    ("arrange", "act", "word"),
    [
        pytest.param(at_rest, _tick, "pending", id="enqueue-tick"),
        pytest.param(_had, _overlapping, "overlap+", id="enqueue-overlap"),
        pytest.param(_had, _pass_over, "done", id="pass_over"),
        pytest.param(_had, _inherit, "ok", id="inherit"),
    ],
)
def test_what_would_add_is_refused_as_a_whole(
    own_space: Space, arrange: Arrange, act: Act, word: str
) -> None:
    """A time that is over without its task or its reason would be lost."""
    assert_refused_as_a_whole(own_space, arrange, act, word)

"""A lock or a group on its way to another node of a cluster: nothing is begun that needs it."""

from __future__ import annotations

from typing import Any

import pytest

from asyncq._redis.failures import Remedy
from tests.lua import calls
from tests.lua.calls import Act
from tests.lua.moving import Moving, Side, refusal
from tests.lua.scenes import Arrange
from tests.lua.space import Space
from tests.support.cluster import ClusterProcesses

pytestmark = pytest.mark.cluster


def _lost_for_good(space: Space) -> None:
    space.active("a", "s:1", ends_in=-1, lost=4, unique="k")
    space.client.set(space.q.unique("k"), "a")


def _unique(space: Space) -> None:
    space.pending("a", unique="k")
    space.client.set(space.q.unique("k"), "a")


def _nothing_more(_: Space) -> None:
    """What is in every queue here is enough."""


def _recovered(space: Space) -> Any:
    return calls.recover(space)[1:]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(
    ("arrange", "act", "late", "expected"),
    [
        pytest.param(_lost_for_good, _recovered, "unique:k", [1, "a", "archived", 5], id="recover"),
        pytest.param(_unique, calls.cancel("a"), "unique:k", "cancelled", id="cancel"),
        pytest.param(_nothing_more, calls.cancel("y"), "g:g", "cancelled", id="cancel-in-group"),
    ],
)
def test_what_needs_it_is_made_again_when_it_is_there(
    nodes: ClusterProcesses,
    arrange: Arrange,
    act: Act,
    late: str,
    expected: object,
    side: Side,
) -> None:
    """A lock that stayed behind would hold others up; a task in two places would be damage."""
    with Moving(nodes, arrange) as space:
        space.begin(side, late)
        assert refusal(space, act).remedy is Remedy.WAIT
        space.end()
        assert space.everything() == space.before
        assert act(space) == expected

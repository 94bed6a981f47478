"""A lock or a group on its way to another node of a cluster: nothing is begun that needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from asyncq._redis.failures import Remedy
from tests.lua.space import CHANNEL, Space
from tests.lua.test_moving_slot import (
    Side,
    _Moving,
    _nothing_more,
    _recover,
    _refusal,
    _unique,
    nodes,
)
from tests.support.cluster import ClusterProcesses

pytestmark = pytest.mark.cluster
__all__ = ["nodes"]  # a fixture


def _lost_for_good(space: Space) -> None:
    space.active("a", "s:1", ends_in=-1, lost=4, unique="k")
    space.client.set(space.q.unique("k"), "a")


def _recovered(space: Space) -> Any:
    return _recover(space)[1:]


def _cancel(task_id: str) -> Callable[[Space], Any]:
    def act(space: Space) -> Any:
        q = space.q
        keys = [q.task(task_id), q.pending, q.scheduled, q.retry, q.archived, q.groups]
        return space.run("cancel", keys, CHANNEL, task_id, q.group_prefix, q.unique_prefix)

    return act


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(
    ("arrange", "act", "late", "expected"),
    [
        pytest.param(_lost_for_good, _recovered, "unique:k", [1, "a", "archived", 5], id="recover"),
        pytest.param(_unique, _cancel("a"), "unique:k", "cancelled", id="cancel"),
        pytest.param(_nothing_more, _cancel("y"), "g:g", "cancelled", id="cancel-in-group"),
    ],
)
def test_what_needs_it_is_made_again_when_it_is_there(
    nodes: ClusterProcesses,
    arrange: Callable[[Space], None],
    act: Callable[[Space], Any],
    late: str,
    expected: object,
    side: Side,
) -> None:
    """A lock that stayed behind would hold others up; a task in two places would be damage."""
    space = _Moving(nodes, arrange)
    try:
        space.begin(side, late)
        assert _refusal(space, act).remedy is Remedy.WAIT
        space.end()
        assert space.everything() == space.before
        assert act(space) == expected
    finally:
        space.close()

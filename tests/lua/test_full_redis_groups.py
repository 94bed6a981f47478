"""Groups in a full Redis: they are aggregated as ever, since there is less in it afterwards (ADR 9)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.grouping import ripe, taken, taken_with_a_ghost
from tests.lua.space import CHANNEL, NEWS, Space, packed
from tests.lua.test_full_redis import LEASE, Act, Arrange, _at_rest, _fill, _state, full_process, space

__all__ = ["full_process", "space"]


def _gather(space: Space) -> Any:
    q = space.q
    keys = [q.receipt("s.groups"), q.groups, q.aggregation_sets, q.gathering]
    args = ["s", 1, 5, 1, 100, LEASE, 60, 0, 2, 60, packed(), "2", q.group_prefix, "0", packed()]
    return space.run("gather", keys, *args)[2:]


def _in_a_set(space: Space) -> list[str]:
    return [space.q.group("g:s.1.0"), space.q.aggregation_sets]


def _collect(space: Space) -> Any:
    return space.run("collect", [*_in_a_set(space), space.q.flow], space.q.task_prefix, 0, 10, 1000)


def _set_aside(space: Space) -> Any:
    q = space.q
    return space.run("set_aside", [*_in_a_set(space), q.archived, q.task("a")], "a", "cannot be read")


def _aggregate(space: Space) -> Any:
    q = space.q
    keys = [*_in_a_set(space), q.flow, q.awaited, q.scheduled, q.groups, q.pending, q.flow, q.waiting]
    keys.append(q.task("new"))
    args = [3, q.task_prefix, q.unique_prefix, q.task_prefix, CHANNEL, NEWS, "", "new", "x" * 1000]
    return space.run("aggregate", keys, *args, packed(0, 0, 0, "", ""))


def _ungather(space: Space) -> Any:
    set_key, sets = _in_a_set(space)
    return space.run("ungather", [space.q.groups, sets, set_key], space.q.group_prefix, "")


def _prolong(space: Space) -> Any:
    return space.run("prolong", [space.q.aggregation_sets], LEASE, *_in_a_set(space)[:1])


@pytest.mark.parametrize(
    ("arrange", "act"),
    [
        pytest.param(ripe, _gather, id="gather"),
        pytest.param(_at_rest, _gather, id="gather-nothing"),
        pytest.param(taken_with_a_ghost, _collect, id="collect"),
        pytest.param(taken, _set_aside, id="set_aside"),
        pytest.param(taken, _aggregate, id="aggregate"),
        pytest.param(taken, _ungather, id="ungather"),
        pytest.param(taken, _prolong, id="prolong"),
    ],
)
def test_groups_are_worked_on_as_ever(space: Space, arrange: Arrange, act: Act) -> None:
    """Same answer, same keyspace as with memory."""
    arrange(space)
    expected = act(space)
    after = _state(space)
    space.client.flushall()

    arrange(space)
    _fill(space.client)
    assert act(space) == expected
    assert _state(space) == after

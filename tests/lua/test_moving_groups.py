"""Groups of a slot on its way to another node of a cluster: what is not found has not vanished.

`aggregate` declares the new task, which is not there yet: so Redis does not begin it meanwhile.
"""

from __future__ import annotations

from typing import Any

import pytest

from asyncq._redis.failures import Remedy
from tests.lua import calls
from tests.lua.calls import Act
from tests.lua.grouping import add, take
from tests.lua.moving import Moving, Side, refusal
from tests.lua.scenes import Arrange
from tests.lua.space import Space, packed
from tests.support.cluster import ClusterProcesses

pytestmark = pytest.mark.cluster

NAME = "k:dead.1.0"
SET = f"g:{NAME}"


def _ripe(space: Space) -> None:
    """What is declared has to be there: else Redis does not begin."""
    space.client.set(space.q.receipt("s.groups"), packed(0))
    space.client.set(space.q.gathering, 100)
    add(space, "k", "b", ago=100.0)


def _ended(space: Space) -> None:
    _ripe(space)
    take(space, "k", "a", ends_in=-1.0, name="dead.1.0")


def _taken(space: Space) -> None:
    _ripe(space)
    take(space, "k", "a", "c", name="dead.1.0")


def _gather(space: Space) -> Any:
    reply = calls.gather(space, 100)
    if not reply[2:]:
        assert reply[1] == ["0"]
        assert float(reply[0]) <= 1.0, "it comes back soon"
    return reply[3::4]


def _collect(space: Space) -> Any:
    return calls.collect(space, NAME)[1::2]


def _ungather(space: Space) -> Any:
    return calls.ungather(space, NAME)


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(
    ("arrange", "act", "late", "expected"),
    [
        pytest.param(_ripe, _gather, "g:k", ["k"], id="gather"),
        pytest.param(_ended, _gather, SET, ["k"], id="gather-ended-set"),
        pytest.param(_ended, _gather, "g:k", ["k"], id="gather-its-group"),
        pytest.param(_taken, _collect, "t:a", ["a", "c"], id="collect"),
        pytest.param(_taken, _ungather, "g:k", 1, id="ungather"),
    ],
)
def test_groups_that_are_elsewhere_have_not_vanished(
    nodes: ClusterProcesses,
    arrange: Arrange,
    act: Act,
    late: str,
    expected: object,
    side: Side,
) -> None:
    """A set that is taken off its list would be lost, a group that is begun twice would stop the move."""
    with Moving(nodes, arrange) as space:
        space.begin(side, late)
        if act is _gather:
            assert act(space) == []
        else:
            assert refusal(space, act).remedy is Remedy.WAIT
        space.end()
        apart = ("receipt", "gathering")
        assert space.everything(without=apart) == {
            name: value for name, value in space.before.items() if not any(part in name for part in apart)
        }
        space.client.delete(space.q.receipt("s.groups"))
        assert act(space) == expected

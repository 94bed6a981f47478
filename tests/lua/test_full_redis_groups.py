"""Groups in a full Redis: they are aggregated as ever, since there is less in it afterwards (ADR 9)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua import calls
from tests.lua.calls import Act
from tests.lua.fullness import assert_as_ever
from tests.lua.grouping import ripe, taken, taken_with_a_ghost
from tests.lua.scenes import Arrange, at_rest
from tests.lua.space import Space


def _gather(space: Space) -> Any:
    return calls.gather(space)[2:]


@pytest.mark.parametrize(
    ("arrange", "act"),
    [
        pytest.param(ripe, _gather, id="gather"),
        pytest.param(at_rest, _gather, id="gather-nothing"),
        pytest.param(taken_with_a_ghost, calls.collect, id="collect"),
        pytest.param(taken, calls.set_aside, id="set_aside"),
        pytest.param(taken, calls.aggregate, id="aggregate"),
        pytest.param(taken, calls.ungather, id="ungather"),
        pytest.param(taken, calls.prolong, id="prolong"),
    ],
)
def test_groups_are_worked_on_as_ever(own_space: Space, arrange: Arrange, act: Act) -> None:
    """Same answer, same keyspace as with memory."""
    assert_as_ever(own_space, arrange, act)

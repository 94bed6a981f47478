"""A full Redis goes on with claims: what came from elsewhere must be able to finish (ADR 9)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.calls import Act
from tests.lua.fullness import assert_as_ever
from tests.lua.scenes import Arrange, at_rest
from tests.lua.space import KEYS, Space

_CLAIM = KEYS.claim("0d3403d7e31d8a65fad68a947fdf2c13")
_BOTH = [_CLAIM.lock, _CLAIM.story]
_MINE = "asyncq:lease:mine"


def _take(space: Space) -> Any:
    until = int(space.now() * 1000) + 9_000
    return space.run("claim_take", _BOTH, _MINE, until, 9_000, 3, 86_400, "")[0]


def _renew(space: Space) -> Any:
    return space.run("claim_renew", _BOTH, _MINE, int(space.now() * 1000) + 9_000, 9_000, 86_400)[0]


def _finish(space: Space) -> Any:
    return space.run("claim_finish", _BOTH, "asyncq:done:mine", 3_600_500)


def _drop(space: Space) -> Any:
    return space.run("claim_drop", _BOTH, _MINE, "1", 86_400)


def _taken(space: Space) -> None:
    space.client.set(_CLAIM.lock, _MINE, px=9_000)
    space.client.hset(_CLAIM.story, mapping={"begun_by": _MINE, "failures": 1})


@pytest.mark.parametrize(
    ("arrange", "act"),
    [
        pytest.param(at_rest, _take, id="take-first"),
        pytest.param(_taken, _take, id="take"),
        pytest.param(_taken, _renew, id="renew"),
        pytest.param(at_rest, _renew, id="renew-gone"),
        pytest.param(_taken, _finish, id="finish"),
        pytest.param(_taken, _drop, id="drop"),
        pytest.param(at_rest, _drop, id="drop-gone"),
    ],
)
def test_claims_are_taken_and_left_as_ever(own_space: Space, arrange: Arrange, act: Act) -> None:
    """Same answer, same keyspace as with memory."""
    assert_as_ever(own_space, arrange, act)

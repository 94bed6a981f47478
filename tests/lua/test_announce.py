"""`announce`: a queue that has tasks is in the set of queues, whatever memory there is."""

from __future__ import annotations

import pytest
from redis.exceptions import ResponseError

from tests.lua.space import Space

QUEUES = "asyncq:queues"


def _announce(space: Space, *, again: bool = False) -> str:
    reply: str = space.run("announce", [QUEUES], "default", again=again)
    return reply


@pytest.mark.parametrize("again", [False, True])
def test_the_name_is_put_beside_those_that_are_there(space: Space, *, again: bool) -> None:
    """And stays when it is there: once or twice is the same."""
    space.client.sadd(QUEUES, "other")
    assert _announce(space, again=again) == "announced"
    assert _announce(space, again=again) == "announced"
    assert space.client.smembers(QUEUES) == {b"default", b"other"}


def test_a_key_that_holds_something_else_is_left_alone(space: Space) -> None:
    """It is an error, as by the plain command."""
    space.client.set(QUEUES, "by hand")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        _announce(space)
    assert space.client.get(QUEUES) == b"by hand"

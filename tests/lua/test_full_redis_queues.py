"""A full Redis, as far as whole queues go: see `test_full_redis`."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ResponseError

from tests.lua import calls
from tests.lua.calls import Act
from tests.lua.fullness import assert_as_ever, fill
from tests.lua.scenes import Arrange, at_rest, paused, running, waiting
from tests.lua.space import CHANNEL, Space


def _pause(space: Space) -> Any:
    return space.run("pause", [space.q.paused, space.q.lease])


def _unpause(space: Space) -> Any:
    return space.run("unpause", [space.q.paused, space.q.pending, space.q.waiting], CHANNEL, "")


def _remove(limit: int) -> Act:
    def act(space: Space) -> Any:
        q = space.q
        reply = calls.remove(space, limit, q.receipt("c"), q.processed)
        # When it was is not compared.
        space.client.delete(q.paused, q.receipt("c"))
        return reply

    return act


@pytest.mark.parametrize(
    ("arrange", "act"),
    [
        pytest.param(paused, _unpause, id="unpause"),
        pytest.param(running, _remove(1), id="remove-a-part"),
        pytest.param(running, _remove(10), id="remove"),
        pytest.param(waiting, _remove(2), id="remove-ready"),
        pytest.param(at_rest, _remove(10), id="remove-nothing"),
    ],
)
def test_what_is_there_is_worked_on_as_ever(own_space: Space, arrange: Arrange, act: Act) -> None:
    """Removing a queue is what makes room: same answer, same keyspace as with memory."""
    assert_as_ever(own_space, arrange, act)


def test_a_queue_can_be_paused(own_space: Space) -> None:
    """Perhaps that is what helps."""
    waiting(own_space)
    fill(own_space.client)
    assert _pause(own_space) == "paused"
    assert calls.deliver(own_space) == []


def test_the_name_of_a_queue_with_tasks_is_published(own_space: Space) -> None:
    """The plain command would be refused, and tools would not see what was let in a moment before."""
    fill(own_space.client)
    with pytest.raises(ResponseError, match="maxmemory"):
        own_space.client.sadd("asyncq:queues", "q")
    assert own_space.run("announce", ["asyncq:queues"], "q") == "announced"
    assert own_space.client.smembers("asyncq:queues") == {b"q"}

"""A full Redis, as far as whole queues go: see `test_full_redis`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lua.space import CHANNEL, Space
from tests.lua.test_full_redis import (
    Act,
    Arrange,
    _at_rest,
    _deliver,
    _fill,
    _paused,
    _running,
    _state,
    _waiting,
    full_process,  # noqa: F401 - a fixture
)
from tests.support.servers import RedisProcess


@pytest.fixture
def space(full_process: RedisProcess) -> Iterator[Space]:  # noqa: F811 - the fixture above
    """An empty keyspace, which `_fill` fills."""
    with full_process.client() as client:
        client.config_set("maxmemory", 0)
        client.flushall()
        yield Space(client)


def _pause(space: Space) -> Any:
    return space.run("pause", [space.q.paused, space.q.lease])


def _unpause(space: Space) -> Any:
    return space.run("unpause", [space.q.paused, space.q.pending, space.q.waiting], CHANNEL, "")


def _remove(limit: int) -> Act:
    def act(space: Space) -> Any:
        q = space.q
        keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed]
        keys += [q.groups, q.aggregation_sets, q.flow, q.paused, q.receipt("c"), q.processed]
        args = [1, 60, "1", limit, q.task_prefix, q.unique_prefix, q.group_prefix, CHANNEL]
        reply = space.run("remove", keys, *args)
        # When it was is not compared.
        space.client.delete(q.paused, q.receipt("c"))
        return reply

    return act


@pytest.mark.parametrize(
    ("arrange", "act"),
    [
        pytest.param(_paused, _unpause, id="unpause"),
        pytest.param(_running, _remove(1), id="remove-a-part"),
        pytest.param(_running, _remove(10), id="remove"),
        pytest.param(_waiting, _remove(2), id="remove-ready"),
        pytest.param(_at_rest, _remove(10), id="remove-nothing"),
    ],
)
def test_what_is_there_is_worked_on_as_ever(space: Space, arrange: Arrange, act: Act) -> None:
    """Removing a queue is what makes room: same answer, same keyspace as with memory."""
    arrange(space)
    expected = act(space)
    after = _state(space)
    space.client.flushall()

    arrange(space)
    _fill(space.client)
    assert act(space) == expected
    assert _state(space) == after


def test_a_queue_can_be_paused(space: Space) -> None:
    """Perhaps that is what helps."""
    _waiting(space)
    _fill(space.client)
    assert _pause(space) == "paused"
    assert _deliver(space) == []

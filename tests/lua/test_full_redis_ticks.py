"""A full Redis, as far as the times of entries go: see `test_full_redis`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import ResponseError

from tests.lua.space import Space, packed
from tests.lua.test_full_redis import (
    Act,
    Arrange,
    _at_rest,
    _enqueue,
    _fill,
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


def _tick(space: Space) -> Any:
    claim = (1000.0, 0.0, 60, 0.0, "", 0, "", "")
    extra = [space.q.tick("e"), space.q.fence("e")]
    return _enqueue(space, packed(0, 0, 0, "", "", *claim), extra=extra)[0]


def _had(space: Space) -> None:
    space.active("run", "s:1")
    space.client.hset(space.q.tick("e"), mapping={"at": "900.000000", "run": "run"})


def _overlapping(space: Space) -> Any:
    claim = (1000.0, 0.0, 60, 900.0, "", 0, "skip", "")
    extra = [space.q.tick("e"), space.q.fence("e")]
    return _enqueue(space, packed(0, 0, 0, "", "", *claim), extra=extra)[0]


def _pass_over(space: Space) -> Any:
    return space.run("pass_over", [space.q.tick("e")], "900.000000", "1000.000000", "missed", 60)


@pytest.mark.parametrize(
    ("arrange", "act", "word"),
    [
        pytest.param(_at_rest, _tick, "pending", id="enqueue-tick"),
        pytest.param(_had, _overlapping, "overlap+", id="enqueue-overlap"),
        pytest.param(_had, _pass_over, "done", id="pass_over"),
    ],
)
def test_what_would_add_is_refused_as_a_whole(space: Space, arrange: Arrange, act: Act, word: str) -> None:
    """A time that is over without its task or its reason would be lost."""
    arrange(space)
    before = space.everything()
    _fill(space.client)
    with pytest.raises(ResponseError, match="maxmemory"):
        act(space)
    assert space.everything() == before
    space.client.config_set("maxmemory", 0)
    assert act(space) == word
    assert space.everything() != before

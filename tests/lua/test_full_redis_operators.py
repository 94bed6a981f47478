"""A full Redis, as far as operators go: see `test_full_redis`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import ResponseError

from tests.lua.space import CHANNEL, NEWS, Space
from tests.lua.test_full_redis import (
    Act,
    Arrange,
    _due,
    _fill,
    _over,
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


def _act(action: str) -> Act:
    """Act upon the tasks `a` and `b`."""

    def act(space: Space) -> Any:
        q = space.q
        keys = [q.pending, q.scheduled, q.retry, q.archived, q.completed, q.groups, q.flow, q.waiting]
        keys += [q.receipt("i.1"), q.task("a"), q.task("b")]
        args = [1, 60, action, "", "", "", "", 0, q.group_prefix, q.unique_prefix, CHANNEL, "", "a", "b"]
        return space.run("act", keys, *args)

    return act


def _edit(message: str, delay: float | str) -> Act:
    """Change the task `a`."""

    def act(space: Space) -> Any:
        q = space.q
        due: Any = space.client.zscore(q.retry, "a")
        seal = b"\0".join((b"retry", str(int(due)).encode(), b"", b"m-a"))
        version = hashlib.sha1(seal, usedforsecurity=False).hexdigest()
        keys = [q.pending, q.scheduled, q.retry, q.archived, q.receipt("i.1"), q.task("a")]
        args = ["a", version, message, "", delay, "", q.task_prefix, q.group_prefix, NEWS]
        return space.run("edit", keys, 60, *args)

    return act


def _to_retry(space: Space) -> None:
    """At a whole second."""
    space.put("a", "retry")
    space.client.zadd(space.q.retry, {"a": 2_000_000_000})


@pytest.mark.parametrize(
    ("arrange", "act"),
    [
        pytest.param(_due, _act("run"), id="run"),
        pytest.param(_waiting, _act("archive"), id="archive"),
        pytest.param(_over, _act("delete"), id="delete"),
        pytest.param(_waiting, _act("delete"), id="delete-pending"),
    ],
)
def test_what_is_there_is_moved_and_deleted_as_ever(space: Space, arrange: Arrange, act: Act) -> None:
    """That is what makes room."""
    arrange(space)
    expected = act(space)
    after = _state(space)
    space.client.flushall()

    arrange(space)
    _fill(space.client)
    assert act(space) == expected
    assert _state(space) == after


@pytest.mark.parametrize("act", [_edit("longer than before", ""), _edit("", 60)], ids=["message", "time"])
def test_a_change_is_refused_as_a_whole(space: Space, act: Act) -> None:
    """It may add. The same call goes through when there is room."""
    _to_retry(space)
    before = space.everything()
    _fill(space.client)
    with pytest.raises(ResponseError, match="maxmemory"):
        act(space)
    assert space.everything() == before
    space.client.config_set("maxmemory", 0)
    assert act(space) == "done"
    assert space.everything() != before

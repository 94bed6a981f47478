"""A full Redis, as far as operators go: see `test_full_redis`."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.lua import calls
from tests.lua.calls import Act
from tests.lua.fullness import assert_as_ever, assert_refused_as_a_whole, fill
from tests.lua.scenes import Arrange, due, over, waiting
from tests.lua.space import KEYS, NEWS, Space


def _edit(message: str, delay: float | str) -> Act:
    """Change the task `a`."""

    def act(space: Space) -> Any:
        q = space.q
        due_at: Any = space.client.zscore(q.retry, "a")
        seal = b"\0".join((b"retry", str(int(due_at)).encode(), b"", b"m-a"))
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
        pytest.param(due, calls.act("run", "a", "b"), id="run"),
        pytest.param(waiting, calls.act("archive", "a", "b"), id="archive"),
        pytest.param(over, calls.act("delete", "a", "b"), id="delete"),
        pytest.param(waiting, calls.act("delete", "a", "b"), id="delete-pending"),
    ],
)
def test_what_is_there_is_moved_and_deleted_as_ever(own_space: Space, arrange: Arrange, act: Act) -> None:
    """That is what makes room."""
    assert_as_ever(own_space, arrange, act)


@pytest.mark.parametrize("act", [_edit("longer than before", ""), _edit("", 60)], ids=["message", "time"])
def test_a_change_is_refused_as_a_whole(own_space: Space, act: Act) -> None:
    """It may add. The same call goes through when there is room."""
    assert_refused_as_a_whole(own_space, _to_retry, act, "done")


def test_what_is_done_to_make_room_is_noted(own_space: Space) -> None:
    """The first record, too, for which the key is made: the trail has an end."""

    def note(operation: str) -> Any:
        fields = ["outcome", "done", "operation", operation]
        return own_space.run("trail", [KEYS.trail], operation, "done", 100, *fields)

    fill(own_space.client)
    ids = [note("one"), note("two")]
    rows: Any = own_space.client.xrange(KEYS.trail)
    assert [row[0].decode() for row in rows] == ids

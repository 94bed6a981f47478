"""A full Redis, as far as numbers go: see `test_full_redis`."""

from __future__ import annotations

from typing import Any

import msgpack

from tests.lua.fullness import assert_refused_as_a_whole
from tests.lua.space import Space


def _measure(space: Space) -> Any:
    q = space.q
    packed = msgpack.packb({"mail": {"d": 1}}, use_bin_type=False)
    return space.run("measure", [q.receipt("s.measures"), q.minutes, q.hours], 1, 60, space.now(), 9, packed)


def _sample(space: Space) -> int:
    q = space.q
    keys = [q.minutes, q.pending, q.lease, q.scheduled, q.retry]
    return len(space.run("sample", keys, "s", 60, 100, q.task_prefix))


def _nothing(_: Space) -> None:
    """Nothing is there."""


def test_numbers_are_refused_and_not_remembered(own_space: Space) -> None:
    """The server keeps them, and sends them when there is room."""
    assert_refused_as_a_whole(own_space, _nothing, _measure, "ok")


def test_nobody_looks_how_much_there_is_to_do(own_space: Space) -> None:
    """And nobody is taken for the one who has."""
    assert_refused_as_a_whole(own_space, lambda space: space.pending("a"), _sample, 2)

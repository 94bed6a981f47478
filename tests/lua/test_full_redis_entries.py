"""A full Redis takes no new entries, and lets what fills it be paused and removed (ADR 9)."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ResponseError

from tests.lua.space import KEYS, Space
from tests.lua.test_full_redis import _fill, full_process, space

__all__ = ["full_process", "space"]  # fixtures

E = KEYS.entries
BOOK = [E.entries, E.changes, E.state, E.removed]


def _put(space: Space, digest: str = "d1") -> Any:
    args = [KEYS.entry_news, digest, "client", "", "put", "", "a", "", digest, "hourly", "q", "definition"]
    return space.run("entry_put", BOOK, *args)


def test_an_entry_is_refused_as_a_whole(space: Space) -> None:
    """New or changed: the old one stays."""
    _put(space)
    _fill(space.client)
    before = space.everything()
    with pytest.raises(ResponseError, match="maxmemory"):
        _put(space, "d2")
    assert space.everything() == before


def test_an_entry_is_paused_and_removed(space: Space) -> None:
    """It may be what fills the memory."""
    _put(space)
    _fill(space.client)
    assert space.run("entry_mark", BOOK, KEYS.entry_news, "a", "", "pause", "full")[0] == "done"
    assert space.run("fence", [space.q.fence("a")], 5, 0) == "ok"
    assert space.client.get(space.q.fence("a")) == b"5"
    assert space.run("entry_remove", BOOK, KEYS.entry_news, "a", "", "")[0] == "removed"
    assert space.client.hlen(E.entries) == 0

"""A full Redis takes no new entries, and lets what fills it be paused and removed (ADR 9)."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ResponseError

from tests.lua.fullness import fill
from tests.lua.space import KEYS, Space

E = KEYS.entries
BOOK = [E.entries, E.changes, E.state, E.removed]


def _put(space: Space, digest: str = "d1") -> Any:
    args = [KEYS.entry_news, digest, "client", "", "put", "", "a", "", digest, "hourly", "q", "definition"]
    return space.run("entry_put", BOOK, *args)


def test_an_entry_is_refused_as_a_whole(own_space: Space) -> None:
    """New or changed: the old one stays."""
    _put(own_space)
    fill(own_space.client)
    before = own_space.everything()
    with pytest.raises(ResponseError, match="maxmemory"):
        _put(own_space, "d2")
    assert own_space.everything() == before


def test_an_entry_is_paused_and_removed(own_space: Space) -> None:
    """It may be what fills the memory."""
    _put(own_space)
    fill(own_space.client)
    assert own_space.run("entry_mark", BOOK, KEYS.entry_news, "a", "", "pause", "full")[0] == "done"
    own_space.client.config_set("maxmemory", 0)
    own_space.client.hset(own_space.q.tick("a"), "queued", "7")
    fill(own_space.client)
    keys = [own_space.q.fence("a"), own_space.q.tick("a")]
    assert own_space.run("fence", keys, 5, 0, "paused")[0] == "ok"
    assert own_space.client.hkeys(keys[1]) == [b"note:7.000000"]
    assert own_space.run("entry_settle", BOOK, "a", 5) == "ok"
    assert own_space.client.get(own_space.q.fence("a")) == b"5"
    assert own_space.run("entry_remove", BOOK, KEYS.entry_news, "a", "", "")[0] == "removed"
    assert own_space.client.hlen(E.entries) == 0


def _mend(space: Space, apply: str) -> Any:
    return space.run("entry_mend", BOOK, apply, KEYS.entry_news, "", "", "a")


def test_a_doctor_sees_and_adds_nothing(own_space: Space) -> None:
    """A new version takes memory, and an end takes none."""
    _put(own_space)
    own_space.client.zrem(E.changes, "a")
    own_space.client.set(own_space.q.fence("a"), "5")
    fill(own_space.client)
    before = own_space.everything()
    assert _mend(own_space, "") == ["untold"]
    with pytest.raises(ResponseError, match="maxmemory"):
        _mend(own_space, "1")
    assert own_space.everything() == before
    keys = [own_space.q.tick("a"), own_space.q.fence("a")]
    assert 0 < own_space.run("tick_mend", keys, own_space.q.task_prefix, 60, 60)[6] <= 60_000

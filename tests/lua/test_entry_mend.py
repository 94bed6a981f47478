"""`entry_mend`, `tick_mend`: what a doctor sees and does where entries of schedulers are concerned."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import KEYS, Space

E = KEYS.entries
BOOK = [E.entries, E.changes, E.state, E.removed]
NEWS = KEYS.entry_news


def _put(space: Space, entry_id: str = "a") -> int:
    args = [NEWS, entry_id, "client", "", "put", "", entry_id, "", "d", "hourly", "q", "definition"]
    return int(space.run("entry_put", BOOK, *args)[1])


def _mend(space: Space, *ids: str, apply: str = "1", total: object = "", version: object = "") -> Any:
    return space.run("entry_mend", BOOK, apply, NEWS, total, version, *ids)


def test_what_is_fine_is_left_alone(space: Space) -> None:
    """And what never was, or was removed as it should be."""
    _put(space)
    _put(space, "b")
    space.run("entry_remove", BOOK, NEWS, "b", "", "")
    before = space.everything()
    assert _mend(space, "a", "b", "never") == ["fine", "gone", "gone"]
    assert space.everything() == before


def test_an_entry_that_nobody_hears_of_gets_a_new_version(space: Space) -> None:
    """Its own is older than what schedulers know, so they would not ask for it."""
    first = _put(space)
    space.client.zrem(E.changes, "a")
    before = space.everything()
    assert _mend(space, "a", apply="") == ["untold"]
    assert space.everything() == before
    with space.listen(NEWS) as ear:
        assert _mend(space, "a") == ["untold"]
        version: Any = space.client.zscore(E.changes, "a")
        assert version > first
        assert ear.heard() == [(NEWS, f"{version:.0f}")]
    assert _mend(space, "a") == ["fine"]


def test_what_is_only_in_the_index_is_forgotten_as_a_removed_entry_is(space: Space) -> None:
    """After an hour, so that all hear of it."""
    _put(space)
    space.client.hdel(E.entries, "a")
    assert _mend(space, "a") == ["lost"]
    assert _mend(space, "a") == ["gone"]
    assert space.client.zscore(E.removed, "a") is not None


def test_a_removal_that_never_was_is_forgotten(space: Space) -> None:
    """Else the entry itself would be, after an hour."""
    _put(space)
    space.client.zadd(E.removed, {"a": 5, "never": 5})
    assert _mend(space, "a", "never") == ["stray", "stray"]
    assert _mend(space, "a", "never") == ["fine", "gone"]
    assert space.client.zcard(E.removed) == 0
    space.client.hset(E.entries, "a", b"\xc1")
    assert _mend(space, "a") == ["unreadable"]


def test_a_sum_is_written_unless_something_has_changed_since(space: Space) -> None:
    """It was added up outside of Redis."""
    version = _put(space)
    space.client.hset(E.state, "sum", 5)
    assert _mend(space, total=7, version=version - 1) == []
    assert space.client.hget(E.state, "sum") == b"5"
    assert _mend(space, total=version % 2**50, version=version, apply="") == []
    assert space.client.hget(E.state, "sum") == b"5"
    _mend(space, total=version % 2**50, version=version)
    assert space.client.hget(E.state, "sum") == str(version % 2**50).encode()


def _look(space: Space, tick_ends: object = "", fence_ends: object = "") -> Any:
    keys = [space.q.tick("a"), space.q.fence("a")]
    return space.run("tick_mend", keys, space.q.task_prefix, tick_ends, fence_ends)


def test_what_a_queue_remembers_is_seen_and_gets_an_end(space: Space) -> None:
    """Only what has none."""
    assert _look(space, 60, 60) == ["none", -2, "", "", 0, "none", -2]
    tick, fence = space.q.tick("a"), space.q.fence("a")
    space.put("run", "active")
    space.client.hset(tick, mapping={"at": "9", "queued": "8", "run": "run", "note:7": "x", "note:6": "y"})
    space.client.set(fence, "5")
    before = space.everything()
    assert _look(space) == ["hash", -1, "8", "", 2, "string", -1]
    assert space.everything() == before
    space.put("run", "completed")
    assert _look(space, 60)[3] == "1"
    assert 0 < _look(space)[1] <= 60_000
    assert _look(space)[6] == -1
    assert 0 < _look(space, 10, 70)[6] <= 70_000
    assert _look(space, 10, 10)[1] > 10_000
    space.client.delete(tick)
    space.client.rpush(tick, "x")
    assert _look(space, 60) == ["list", 60_000, "", "", 0, "string", pytest.approx(70_000, abs=5000)]

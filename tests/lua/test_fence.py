"""`fence`, `inherit`: what queues are told when an entry of schedulers has changed."""

from __future__ import annotations

from typing import Any

from tests.lua.space import Space, snapshot_hash


def _fence(space: Space, version: int, keep: int, reason: str = "", *, again: bool = False) -> list[Any]:
    keys = [space.q.fence("a"), space.q.tick("a")]
    return list(space.run("fence", keys, version, keep, reason, again=again))


def test_a_fence_rises_and_never_falls(space: Space) -> None:
    """Two changes at once: their fences may come in the other order."""
    fence = space.q.fence("a")
    assert _fence(space, 10, 60) == ["ok", -2]
    assert 0 < space.client.ttl(fence) <= 60  # type: ignore[operator]
    assert _fence(space, 20, 0) == ["ok", -2]
    assert space.client.ttl(fence) == -1
    assert _fence(space, 19, 60) == ["older", -2]
    assert (space.client.get(fence), space.client.ttl(fence)) == (b"20", -1)
    assert _fence(space, 20, 0, again=True) == ["ok", -2]
    space.client.delete(fence)
    space.client.rpush(fence, "a list")
    assert _fence(space, 1, 0) == ["ok", -2]
    assert space.client.get(fence) == b"1"


def test_no_time_waits_behind_a_fence_and_the_reason_stays(space: Space) -> None:
    """In the same step, so that nobody can come between; what is known of its times is final then."""
    tick = space.q.tick("a")
    space.client.hset(tick, mapping={"at": "70", "queued": "60.5", "run": "r"})
    space.client.expire(tick, 50)
    assert _fence(space, 10, 60)[2:] == ["at", "70", "queued", "60.5", "run", "r"]
    left = {"at": "70", "run": "r", "note:60.500000": "paused 60.500000 60.500000 60.500000"}
    for again in (False, True):
        word, ttl, *fields = _fence(space, 10, 60, "paused", again=again)
        assert word == "ok"
        assert 0 < ttl <= 50_000
        assert dict(zip(fields[::2], fields[1::2], strict=True)) == left
    space.client.hset(tick, "queued", "80")
    assert _fence(space, 9, 60, "paused")[0] == "older"
    assert space.client.hget(tick, "queued") == b"80"  # it waits by the later version
    space.client.hset(tick, "queued", "by hand")
    assert _fence(space, 11, 60, "removed")[0] == "ok"
    assert snapshot_hash(space.client, tick) == left
    space.client.delete(tick)
    space.client.set(tick, "text")
    assert _fence(space, 12, 60, "removed") == ["ok", -1]


def test_times_are_inherited_and_never_go_back(space: Space) -> None:
    """Many may do it, and the new queue may have had later ones since."""
    tick = space.q.tick("a")
    for again in (False, True):
        assert space.run("inherit", [tick], 60, "70.5", "note:1", "x", again=again) == "ok"
        assert snapshot_hash(space.client, tick) == {"at": "70.5", "note:1": "x"}
    assert 0 < space.client.ttl(tick) <= 60  # type: ignore[operator]
    space.client.hset(tick, mapping={"at": "90", "note:1": "y"})
    assert space.run("inherit", [tick], 30, "80", "note:1", "x") == "ok"
    assert space.run("inherit", [tick], 30, "") == "ok"
    assert snapshot_hash(space.client, tick) == {"at": "90", "note:1": "y"}
    assert space.client.ttl(tick) > 30  # type: ignore[operator]
    space.client.delete(tick)
    space.client.set(tick, "text")
    assert space.run("inherit", [tick], 30, "80") == "unusable"

"""`mend`, `examine` and `stranded` where Go has a list of active tasks beside the leases."""

from __future__ import annotations

import time
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from tests.lua.asynq_space import AsynqSpace
from tests.lua.fullness import fill
from tests.lua.space import CHANNEL, about, packed


@pytest.fixture
def space(redis_client: Redis) -> AsynqSpace:
    """An empty keyspace with a task `a` in it that a Go server holds."""
    space = AsynqSpace(redis_client)
    space.go.enqueue("a")
    space.go.dequeue()
    return space


def _mend(space: AsynqSpace, *, apply: bool, unseen: str = "") -> list[Any]:
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed, q.groups, q.aggregation_sets]
    args = ["1" if apply else "", q.task_prefix, q.group_prefix, CHANNEL, "", "a", packed(100, [], unseen)]
    [judged] = space.run("mend", [*keys, q.flow, q.waiting], *args)
    return list(judged)


def _judged(space: AsynqSpace) -> list[Any]:
    """Return the verdict on `a`; it is put right, and fine after."""
    before = space.everything()
    judged = _mend(space, apply=False)
    assert space.everything() == before
    assert _mend(space, apply=True) == judged
    after = space.everything()
    assert _mend(space, apply=True)[0] == ""
    assert space.everything() == after
    return judged


def _examine(space: AsynqSpace) -> str:
    q = space.q
    keys = [q.lease, q.scheduled, q.retry, q.archived, q.completed, q.aggregation_sets]
    return str(space.run("examine", keys, q.task_prefix, q.group_prefix, "", 0, "a")[0])


@pytest.mark.parametrize("ends_in", [30, -1, -29, -1000])
@pytest.mark.parametrize("owner", ["go", "ours"])
def test_what_is_in_both_is_fine(space: AsynqSpace, owner: str, ends_in: float) -> None:
    """Also when its lease is over: to take it back is the work of servers."""
    if owner == "ours":
        space.client.hset(space.q.task("a"), mapping={"delivery": "s:1", "pending_since": "5"})
    space.client.zadd(space.q.lease, {"a": time.time() + ends_in})
    assert _judged(space) == ["", "active", 0, "active", "active"]
    assert _examine(space) == "fine"


@pytest.mark.parametrize("owner", ["go", "ours"])
def test_in_the_list_alone_it_gets_a_lease(space: AsynqSpace, owner: str) -> None:
    """Whoever works on it prolongs that; and if nobody does, it is taken back."""
    if owner == "ours":
        space.client.hset(space.q.task("a"), mapping={"delivery": "s:1", "pending_since": "5"})
    space.client.delete(space.q.lease)
    before = space.hash("a")
    assert _examine(space) == "suspect"
    assert _judged(space) == ["no_lease", "unleased", 0, "active", "active"]
    found = space.everything()
    assert (found["active"], found["lease"]) == (["a"], {"a": about(time.time() + 30)})
    assert space.hash("a") == before


@pytest.mark.parametrize("times", [0, 2, 3])
def test_with_a_lease_it_has_to_be_in_the_list_once(space: AsynqSpace, times: int) -> None:
    """Go's scripts refuse what is not in it; and its recovery stops at such a task for ever."""
    space.client.delete(space.q.active)
    for _ in range(times):
        space.client.lpush(space.q.active, "a", "other")
    lease = space.everything()["lease"]
    assert _examine(space) == "suspect"
    assert _judged(space) == ["bare_lease", "active", 0, "active", "active"]
    found = space.everything()
    assert sorted(found["active"]) == ["a", *["other"] * times]
    assert found["lease"] == lease
    space.go.done("a")


@pytest.mark.parametrize("where", ["both", "active", "lease"])
@pytest.mark.parametrize("fields", [{}, {"state": "active"}], ids=["no hash", "a state alone"])
def test_a_ghost_goes_from_both(space: AsynqSpace, where: str, fields: dict[str, str]) -> None:
    """What Go makes of an id without a task, and never takes away."""
    space.client.delete(space.q.task("a"))
    if fields:
        space.client.hset(space.q.task("a"), mapping=fields)
    if where != "both":
        space.client.delete(space.q.lease if where == "active" else space.q.active)
    kinds, _, _, _, home = _judged(space)
    assert (kinds, home) == ("ghost", "")
    assert space.everything() == {"flow": {"vanished": "1"}, "asynq:queues": {"q"}}


@pytest.mark.parametrize("state", ["pending", "retry", "archived", "strange", ""])
def test_a_wrong_state_takes_nothing_from_a_go_server(space: AsynqSpace, state: str) -> None:
    """It holds what is in both places, whatever somebody wrote into the hash."""
    space.client.hset(space.q.task("a"), "state", state)
    assert _judged(space)[::4] == ["wrong_state", "active"]
    assert space.hash("a")["state"] == b"active"
    space.go.done("a")


@pytest.mark.parametrize("ends_in", [30, -29])
def test_a_live_lease_of_go_beats_every_place(space: AsynqSpace, ends_in: float) -> None:
    """With the half minute that Go's servers give each other."""
    space.client.zadd(space.q.lease, {"a": time.time() + ends_in})
    space.client.lpush(space.q.pending, "a")
    space.client.zadd(space.q.retry, {"a": 5})
    assert _judged(space)[::4] == ["twice", "active"]
    found = space.everything()
    assert {"pending", "retry"}.isdisjoint(found)
    space.go.done("a")


@pytest.mark.parametrize("place", ["pending", "scheduled", "retry"])
@pytest.mark.parametrize("lease", ["over", "none"])
def test_else_it_runs_where_it_is_sure_to(space: AsynqSpace, place: str, lease: str) -> None:
    """To run twice is allowed."""
    if lease == "over":
        space.client.zadd(space.q.lease, {"a": time.time() - 31})
    else:
        space.client.delete(space.q.lease)
    if place == "pending":
        space.client.lpush(space.q.pending, "a")
    else:
        space.client.zadd(space.q.base + place, {"a": 5})
    assert _judged(space)[::4] == ["twice", place]
    found = space.everything()
    assert {"active", "lease"}.isdisjoint(found)
    assert space.hash("a")["state"] == place.encode()


def test_what_go_failed_to_archive_is_archived(space: AsynqSpace) -> None:
    """Its script had no room for what it was to trim, and ended with the hash still active."""
    space.client.lrem(space.q.active, 0, "a")
    space.client.zrem(space.q.lease, "a")
    space.client.zadd(space.q.archived, {"a": 5})
    assert _judged(space) == ["wrong_state", "archived", 0, "active", "archived"]
    assert (space.hash("a")["state"], space.everything()["archived"]) == (b"archived", {"a": 5.0})


def test_what_go_trimmed_and_left_is_archived_again(space: AsynqSpace) -> None:
    """With the time at which it failed, so a server of ours trims it as it should be."""
    space.go.archive("a")
    space.client.zrem(space.q.archived, "a")
    assert _judged(space) == ["orphan", "", 0, "archived", "archived"]
    assert space.everything()["archived"] == {"a": about(time.time())}


def test_an_orphan_runs_and_says_since_when(space: AsynqSpace) -> None:
    """Nobody holds what is in no place."""
    space.client.delete(space.q.active, space.q.lease)
    assert _judged(space) == ["orphan", "", 0, "active", "pending"]
    found = space.hash("a")
    assert (found["state"], space.everything()["pending"]) == (b"pending", ["a"])
    assert int(found["pending_since"]) / 1e9 == about(time.time())


def test_the_list_is_searched_where_go_leaves_no_trace(space: AsynqSpace) -> None:
    """It gives a task back without a word of when: nothing vouches that it was not put there since."""
    space.go.requeue("a")
    assert _mend(space, apply=True, unseen="pending   ")[0] == ""
    space.client.hset(space.q.task("a"), "pending_since", "17")
    assert _mend(space, apply=False, unseen="since 17")[0] == "orphan"
    assert _mend(space, apply=False, unseen="since 18")[0] == ""
    assert _mend(space, apply=False, unseen="")[0] == ""


def test_stranded_says_what_has_no_lease(space: AsynqSpace) -> None:
    """A page at a time."""
    space.client.lpush(space.q.active, "b", "c")
    keys = [space.q.active, space.q.lease]
    assert space.run("stranded", keys, 0, 1) == [3, ["c", "b"], ["c", "b"]]
    assert space.run("stranded", keys, 2, 9) == [3, ["a"], []]
    assert space.run("stranded", keys, 3, 9) == [3, [], []]


@pytest.mark.parametrize("damage", ["no lease", "bare lease", "ghost", "orphan"])
def test_a_full_redis_takes_nothing_half(own_space: Any, damage: str) -> None:
    """Put right as ever, or refused as a whole: nothing is ever in one of both places because of it."""
    space = AsynqSpace(own_space.client)
    space.go.enqueue("a")
    space.go.dequeue()
    if damage != "bare lease":
        space.client.delete(space.q.lease)
    if damage == "ghost":
        space.client.delete(space.q.task("a"))
    if damage in {"bare lease", "orphan"}:
        space.client.delete(space.q.active)
    before = space.everything()
    fill(space.client)
    try:
        _mend(space, apply=True)
    except ResponseError:
        assert space.everything() == before
        space.client.config_set("maxmemory", 0)
        _mend(space, apply=True)
    found = space.everything()
    assert set(found.get("active", [])) == set(found.get("lease", {}))
    assert ("t:a" in found) == (damage != "ghost")
    space.client.config_set("maxmemory", 0)
    assert _mend(space, apply=True)[0] == ""

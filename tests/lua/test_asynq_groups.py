"""Groups in the asynq dialect: whichever language forwards, takes or gives back, nothing is stranded."""

from __future__ import annotations

import time

import pytest
from redis import Redis

from tests.lua.asynq_space import AsynqSpace, enqueue
from tests.lua.calls import forward
from tests.lua.space import NEWS, about, packed


@pytest.fixture
def space(redis_client: Redis) -> AsynqSpace:
    """An empty keyspace."""
    return AsynqSpace(redis_client)


def test_a_task_that_go_scheduled_for_a_group_gets_into_it(space: AsynqSpace) -> None:
    """Go's own servers forget the group: it stands in the message alone."""
    space.go.schedule("a", time.time() - 5, group="g")
    assert "group" not in space.hash("a")
    assert forward(space) == 1
    found = space.everything()
    assert found["g:g"] == {"a": about(time.time())}
    assert found["groups"] == {"g"}
    assert (space.hash("a")["state"], space.hash("a")["group"]) == (b"aggregating", b"g")
    assert "pending" not in found


def test_one_that_failed_alone_runs_again_alone(space: AsynqSpace) -> None:
    """A Go server ran it as a task of its own."""
    space.go.schedule("a", time.time() - 5, group="g")
    space.go.forward("scheduled")
    space.go.dequeue()
    space.go.retry("a")
    assert forward(space) == 1
    assert space.everything()["pending"] == ["a"]


def test_a_task_that_joins_its_group_later_is_not_lost_in_it(space: AsynqSpace) -> None:
    """Go's forwarder would put it there and not list the group: so Go is told of no group before that."""
    q = space.q
    extra = [q.group("g"), q.gathering]
    both = space.both("a", group="g")
    assert enqueue(space, both, packed(time.time() + 0.5, 0, 0, "", "g"), *extra) == "scheduled"
    assert "group" not in space.hash("a")
    assert space.envelope("a").group == "g"
    space.client.zadd(q.scheduled, {"a": int(time.time()) - 1})
    space.go.forward("scheduled")
    assert space.everything()["pending"] == ["a"]
    space.go.dequeue()
    space.go.done("a")


def test_our_forwarder_takes_a_later_task_into_its_group(space: AsynqSpace) -> None:
    """Its message says which."""
    q = space.q
    extra = [q.group("g"), q.gathering]
    both = space.both("a", group="g")
    assert enqueue(space, both, packed(time.time() + 0.5, 0, 0, "", "g"), *extra) == "scheduled"
    space.client.zadd(q.scheduled, {"a": int(time.time()) - 1})
    assert forward(space) == 1
    assert space.everything()["groups"] == {"g"}
    assert (space.hash("a")["state"], space.hash("a")["group"]) == (b"aggregating", b"g")


def test_a_group_is_listed_again(space: AsynqSpace) -> None:
    """Go forgets that when it puts a task back into a group of which all others have gone."""
    space.go.add_to_group("a", "g")
    space.go.run("a")
    space.go.dequeue()
    space.go.retry("a")
    assert forward(space) == 1
    assert space.everything()["groups"] == {"g"}


def test_a_group_is_listed_again_by_whoever_lost_its_set(space: AsynqSpace) -> None:
    """Go took the set back, and the group is in no list; one that has been taken again is left alone."""
    q = space.q
    for group in ("g", "h"):
        space.go.add_to_group(f"of {group}", group)
        space.client.rename(q.group(group), q.group(group) + ":s.1.0")
        space.client.zadd(q.aggregation_sets, {q.group(group) + ":s.1.0": 5})
        space.client.srem(q.groups, group)
    space.go.reclaim()
    space.go.aggregate("h")
    keys = [q.groups, q.aggregation_sets, q.group("g:s.1.0"), q.group("h:s.1.0")]
    for again in (False, True):
        assert space.run("ungather", keys, q.group_prefix, NEWS, again=again) == 0
        assert space.everything()["groups"] == {"g"}

"""The fence across languages: what ours held, and Go has had since, ours cannot touch any more.

Ours delivered, Go recovered, it waited in `retry`, became pending, and Go took it: at each stage whatever our
server still writes is refused, and nothing of it is seen.
"""

# ruff: noqa: FBT003 - a detail is a row of values, booleans among them

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from tests.lua.asynq_space import AsynqSpace
from tests.lua.calls import LEASE, deliver, recover, settle

Step = Callable[[AsynqSpace], object]

LATE: list[Any] = [
    settle("plain"),
    settle("done", "", False),
    settle("complete", "x", False, 60),
    settle("retry", "late", 0, True),
    settle("archive", "late", "exhausted", True, False),
    settle("requeue"),
    settle("defer", 5),
    settle("drop", "revoked", False),
]


@pytest.fixture
def space(redis_client: Redis) -> AsynqSpace:
    """An empty keyspace."""
    return AsynqSpace(redis_client)


def _ours(space: AsynqSpace) -> None:
    """A task of Go's is held by our server, whose lease then runs out."""
    space.go.enqueue("a")
    assert deliver(space) == ["a"]
    assert space.hash("a")["delivery"] == b"s:1"
    space.client.zadd(space.q.lease, {"a": time.time() - 40})


STAGES: dict[str, list[Step]] = {
    "recovered": [],
    "forwarded": [lambda space: space.go.forward("retry")],
    "taken": [lambda space: space.go.forward("retry"), lambda space: space.go.dequeue()],
    "run by hand": [lambda space: space.go.run("a")],
    "run by hand and taken": [lambda space: space.go.run("a"), lambda space: space.go.dequeue()],
    "taken and given back": [
        lambda space: space.go.forward("retry"),
        lambda space: space.go.dequeue(),
        lambda space: space.go.requeue("a"),
    ],
    "taken, given back and taken": [
        lambda space: space.go.forward("retry"),
        lambda space: space.go.dequeue(),
        lambda space: space.go.requeue("a"),
        lambda space: space.go.dequeue(),
    ],
    "failed again": [
        lambda space: space.go.forward("retry"),
        lambda space: space.go.dequeue(),
        lambda space: space.go.retry("a"),
    ],
    "archived": [
        lambda space: space.go.forward("retry"),
        lambda space: space.go.dequeue(),
        lambda space: space.go.archive("a"),
    ],
    "completed": [
        lambda space: space.go.forward("retry"),
        lambda space: space.go.dequeue(),
        lambda space: space.go.complete("a"),
    ],
    "ours again": [
        lambda space: space.go.forward("retry"),
        lambda space: deliver_to(space, "t"),
    ],
}


def deliver_to(space: AsynqSpace, server: str) -> Any:
    """Let another server of ours take what there is."""
    q = space.q
    keys = [q.receipt(f"{server}.0"), q.pending, q.lease, q.paused, q.waiting, q.flow]
    return space.run("deliver", keys, server, 1, 5, LEASE, 7.0, "asynq:asyncq:to:", "", 5, q.task_prefix)[
        2::4
    ]


@pytest.mark.parametrize("stage", STAGES)
def test_a_late_server_of_ours_is_refused(space: AsynqSpace, stage: str) -> None:
    """Whatever it still says: how the task ended, that it goes on, or how far it is."""
    _ours(space)
    assert space.go.recover() == ["a"]
    for step in STAGES[stage]:
        step(space)
    before = space.everything()
    for late in LATE:
        assert late(space) == [1, "not_owner"]
    assert space.run("extend", [space.q.lease, space.q.task("a")], LEASE, "a", "s:1") == [1, "lost"]
    for field in ("progress", "result"):
        assert space.run("annotate", [space.q.task("a")], "s:1", field, "late") == "not_owner"
    assert space.everything() == before


def test_what_go_holds_is_left_until_its_patience_ends(space: AsynqSpace) -> None:
    """Go's clocks may be half a minute behind. Then we take the task back, and Go refuses its own server."""
    space.go.enqueue("a", max_retry=3)
    space.go.dequeue(lease=-28)
    [seconds] = recover(space)
    assert 0 < float(seconds) <= 2.1
    space.client.zadd(space.q.lease, {"a": time.time() - 31})
    assert recover(space) == ["", 1, "a", "pending", 1]
    found = space.everything()
    assert found["pending"] == ["a"]
    assert {"active", "lease"}.isdisjoint(found)
    assert space.hash("a")["state"] == b"pending"
    for step in (space.go.done, space.go.requeue, space.go.retry, space.go.archive):
        with pytest.raises(AssertionError):
            step("a")


def test_ours_has_no_such_patience(space: AsynqSpace) -> None:
    """Leases of ours go by the clock of Redis."""
    space.active("a", "s:1", ends_in=-1)
    assert recover(space) == ["", 1, "a", "pending", 1]


def test_go_recovers_what_ours_held(space: AsynqSpace) -> None:
    """By its own rule; then the next to take it may be of either language."""
    _ours(space)
    assert space.go.recover(delay=0) == ["a"]
    assert (space.envelope("a").past or pytest.fail("no past")).retried == 1
    space.go.forward("retry")
    assert deliver_to(space, "t") == ["a"]
    found = space.hash("a")
    assert (found["state"], found["delivery"], found["deliveries"]) == (b"active", b"t:1", b"2")


def test_a_wish_to_stop_ends_with_the_delivery_of_go(space: AsynqSpace) -> None:
    """Go fails and retries what is cancelled; when its server then dies, nobody has wished to stop that."""
    space.go.enqueue("a")
    space.go.dequeue()
    q = space.q
    keys = [q.task("a"), q.pending, q.scheduled, q.retry, q.archived, q.groups]
    args = ["asynq:asyncq:to:", "a", q.group_prefix, q.unique_prefix]
    with space.listen("asynq:cancel") as ear:
        assert space.run("cancel", keys, *args) == "requested"
        assert ear.heard() == [("asynq:cancel", "a")]
    space.go.retry("a")
    space.go.forward("retry")
    space.go.dequeue(lease=-60)
    assert recover(space) == ["", 1, "a", "pending", 1]


def test_an_outcome_of_ours_is_read_by_go(space: AsynqSpace) -> None:
    """What Go shows of a task that failed: how often, why and when."""
    space.go.enqueue("a", max_retry=3, headers={"k": "v"})
    deliver(space)
    assert settle("retry", "it broke", 0, True)(space) == []
    found, past = space.hash("a"), space.go.envelope("a").past
    assert past is not None
    assert (past.retried, past.error, past.failed_at) == (1, "it broke", pytest.approx(time.time(), abs=5))
    assert found["state"] == b"retry"
    assert {"pending_since", "delivery", "error", "retried"}.isdisjoint(found)
    assert int(float(found["failed_at"])) == past.failed_at
    # Go's set has the next whole second: it never runs a task too early.
    space.client.zincrby(space.q.retry, -1, "a")
    space.go.forward("retry")
    space.go.dequeue()
    space.go.archive("a", error="again")
    past = space.go.envelope("a").past
    assert past is not None
    assert (past.retried, past.error) == (1, "again")
    assert space.go.envelope("a").headers == {"k": "v"}


def test_what_cannot_be_read_is_recovered_and_says_why_it_was_archived(space: AsynqSpace) -> None:
    """One such message stops all recovery of a Go server. Ours goes on, and the error is in the hash."""
    for task_id in ("a", "b"):
        space.go.enqueue(task_id)
        space.go.dequeue(lease=-60)
    space.client.hset(space.q.task("a"), "msg", b"\xff garbage")
    assert sorted(recover(space)[2::4]) == ["a", "b"]
    space.client.lrem(space.q.pending, 0, "b")
    assert deliver(space) == ["a"]
    assert settle("archive", "cannot be read: no", "unreadable", True, False)(space) == []
    found = space.hash("a")
    assert (found["state"], found["msg"]) == (b"archived", b"\xff garbage")
    assert found["error"] == b"cannot be read: no"

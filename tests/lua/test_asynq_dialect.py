"""The pieces of the asynq dialect, seen through the scripts that use them: what Go would find in Redis."""

# ruff: noqa: FBT003 - a detail is a row of values, booleans among them

from __future__ import annotations

import time
from typing import Any

import pytest
from redis import Redis

from asyncq._wire.messages import Past
from tests.lua.asynq_space import AsynqSpace, enqueue
from tests.lua.calls import act, cancel, deliver, forward, recover, settle, sweep
from tests.lua.fullness import fill
from tests.lua.space import CHANNEL, NEWS, about, packed


@pytest.fixture
def space(redis_client: Redis) -> AsynqSpace:
    """An empty keyspace."""
    return AsynqSpace(redis_client)


def _nanoseconds(value: bytes) -> float:
    return int(value) / 1e9


# --- store_task, parts_of, write_task --------------------------------------------


def test_a_pending_task_is_as_go_would_have_it(space: AsynqSpace) -> None:
    """And what Go has no place for stands beside it."""
    both = space.both("a", codec="msgpack", max_retry=3)
    assert enqueue(space, both) == "pending"
    found = space.hash("a")
    assert set(found) == {"msg", "state", "pending_since", "extra"}
    assert (found["extra"] + found["msg"], found["state"]) == (both, b"pending")
    assert _nanoseconds(found["pending_since"]) == about(time.time())
    assert len(found["pending_since"]) == 19
    assert space.go.envelope("a").max_retry == 3


def test_without_anything_of_ours_there_is_no_extra(space: AsynqSpace) -> None:
    """Byte for byte the message of a Go client."""
    assert enqueue(space, space.go.message("a")) == "pending"
    assert set(space.hash("a")) == {"msg", "state", "pending_since"}
    assert space.hash("a")["msg"] == space.go.message("a")


def test_a_unique_task_names_its_whole_lock(space: AsynqSpace) -> None:
    """As Go's inspector reads it when it deletes the task."""
    detail = packed(0, 0, 60, "work:k", "")
    assert enqueue(space, space.both("a"), detail, space.q.unique("work:k")) == "pending"
    assert space.hash("a")["unique_key"] == b"asynq:{q}:unique:work:k"
    assert space.client.get("asynq:{q}:unique:work:k") == b"a"


# --- compare_task ----------------------------------------------------------------


def test_a_task_that_has_run_is_known_again(space: AsynqSpace) -> None:
    """Its message has changed, and it is the same task: whoever sends it again is told so."""
    both = space.both("a", enqueued_at=5.5)
    assert enqueue(space, both) == "pending"
    deliver(space)
    settle("retry", "no", 9, True)(space)
    assert space.hash("a")["msg"] not in both
    assert enqueue(space, both, number=2) == "already"
    assert enqueue(space, space.both("a", enqueued_at=6.5), number=3) == "conflict"
    assert enqueue(space, space.both("a", enqueued_at=5.5, max_retry=1), number=4) == "conflict"


@pytest.mark.parametrize("kind", ["string", "hash"])
def test_what_is_no_task_is_no_reason_to_fail(space: AsynqSpace, kind: str) -> None:
    """Somebody worked by hand."""
    if kind == "string":
        space.client.set(space.q.task("a"), "x")
    else:
        space.client.hset(space.q.task("a"), "msg", b"\xff garbage")
    assert enqueue(space, space.both("a")) == ("unusable" if kind == "string" else "conflict")


def test_a_ghost_of_gos_keeps_its_id_until_its_lease_ends(space: AsynqSpace) -> None:
    """Otherwise the new task would be made pending twice: by its client, and when the ghost is recovered."""
    space.client.lpush(space.q.pending, "a")
    assert space.go.dequeue() is None
    assert space.hash("a") == {"state": b"active"}
    assert enqueue(space, space.both("a", codec="msgpack")) == "conflict"
    assert enqueue(space, space.both("a"), packed(0, 0, 60, "work:k", ""), space.q.unique("work:k"), number=2)
    assert space.hash("a") == {"state": b"active"}
    assert "pending" not in space.everything()
    space.client.zadd(space.q.lease, {"a": time.time() - 31})
    recover(space)
    assert enqueue(space, space.both("a"), number=3) == "pending"
    assert space.everything()["pending"] == ["a"]


# --- wait_until, due_in, next_due -------------------------------------------------


def test_go_sees_the_next_second_and_we_the_moment(space: AsynqSpace) -> None:
    """So Go is never too early, and ours not late."""
    due = float(int(time.time()) + 60) + 0.25
    assert enqueue(space, space.both("a"), packed(due, 0, 0, "", "")) == "scheduled"
    found = space.everything()
    assert found["scheduled"] == {"a": due + 0.75}
    assert found["scheduled:moments"] == {"a": due}
    assert space.hash("a")["state"] == b"scheduled"
    assert "pending_since" not in space.hash("a")


def test_a_whole_second_needs_nothing_beside_it(space: AsynqSpace) -> None:
    """As nearly all times of schedulers are."""
    due = float(int(time.time()) + 60)
    assert enqueue(space, space.both("a"), packed(due, 0, 0, "", "")) == "scheduled"
    assert space.everything()["scheduled"] == {"a": due}
    assert "scheduled:moments" not in space.everything()


def _forward(space: AsynqSpace) -> Any:
    q = space.q
    keys = [q.scheduled, q.retry, q.pending, q.waiting, q.groups, q.flow]
    return space.run("forward", keys, 100, CHANNEL, "", NEWS, q.task_prefix, q.group_prefix)[:3]


def test_what_is_due_at_a_fraction_is_forwarded_then(space: AsynqSpace) -> None:
    """The set of Go has a second that has not come yet."""
    space.go.schedule("a", time.time() + 60)
    space.go.schedule("b", time.time() + 60)
    now = space.now()
    second = int(now) + 1
    space.client.zadd(space.q.scheduled, {"a": second, "b": second})
    space.client.zadd(space.q.scheduled + ":moments", {"a": now - 0.001 if now - 0.001 > second - 1 else now})
    moved, _, due = _forward(space)
    found = space.everything()
    assert (moved, found["pending"], found["scheduled"]) == (1, ["a"], {"b": second})
    assert "scheduled:moments" not in found
    assert float(due) == second
    assert _nanoseconds(space.hash("a")["pending_since"]) == pytest.approx(now, abs=0.01)


def test_a_moment_of_a_task_that_go_has_moved_is_dropped(space: AsynqSpace) -> None:
    """It says another second than Go's set."""
    space.go.schedule("a", time.time() + 3600)
    space.client.zadd(space.q.scheduled + ":moments", {"a": time.time() - 5, "gone": time.time() - 5})
    moved, wait, _ = _forward(space)
    found = space.everything()
    assert (moved, "scheduled:moments" in found, list(found["scheduled"])) == (0, False, ["a"])
    assert float(wait) == pytest.approx(3600, abs=5)


@pytest.mark.parametrize("place", ["scheduled", "retry"])
def test_nothing_is_half_done_for_want_of_moments(space: AsynqSpace, place: str) -> None:
    """Their key holds something else, or is on another node: then the task is due at the whole second."""
    space.client.set(f"asynq:{{q}}:{place}:moments", "something else")
    if place == "scheduled":
        due = float(int(time.time())) + 60.5
        assert enqueue(space, space.both("a"), packed(due, 0, 0, "", "")) == "scheduled"
    else:
        space.go.enqueue("a")
        assert deliver(space) == ["a"]
        assert settle("retry", "no", 59.5, True)(space) == []
    found = space.everything()
    assert list(found[place]) == ["a"]
    assert found[place]["a"] % 1 == 0
    assert {"active", "lease", "pending"}.isdisjoint(found)
    space.client.zadd(space.q.base + place, {"a": int(time.time()) - 1})
    assert _forward(space)[0] == 1
    assert space.everything()["pending"] == ["a"]


# --- hold, let_go ----------------------------------------------------------------


def test_what_is_taken_is_in_both_places(space: AsynqSpace) -> None:
    """Go's tools read the list, and its recovery the leases."""
    space.go.enqueue("a")
    space.go.enqueue("b")
    assert deliver(space) == ["a", "b"]
    found = space.everything()
    assert found["active"] == ["b", "a"]
    assert found["lease"] == dict.fromkeys(("a", "b"), about(time.time() + 30))
    assert settle("plain")(space) == []
    found = space.everything()
    assert (found["active"], list(found["lease"])) == (["b"], ["b"])


@pytest.mark.parametrize("key", ["active", "lease"])
def test_a_queue_of_which_one_of_both_is_damaged_gives_nothing(space: AsynqSpace, key: str) -> None:
    """Half taken would be lost to Go. The tasks stay where they are."""
    space.go.enqueue("a")
    space.client.set(space.q.base + key, "x")
    before = space.everything()
    assert deliver(space) == []
    assert {k: v for k, v in space.everything().items() if k in before} == before


@pytest.mark.parametrize("has_hash", [True, False])
def test_a_ghost_of_go_is_recovered_to_nothing(space: AsynqSpace, *, has_hash: bool) -> None:
    """Go leaves it in both places for ever, with a hash that has a state alone."""
    space.client.lpush(space.q.pending, "a")
    assert space.go.dequeue(lease=-31) is None
    assert space.hash("a") == {"state": b"active"}
    if not has_hash:
        space.client.delete(space.q.task("a"))
        space.client.zadd(space.q.lease, {"a": 5})
    assert recover(space) == ["", 1, "a", "vanished", 0]
    assert space.everything() == {"flow": {"vanished": "1"}}


# --- read_task -------------------------------------------------------------------


def test_empty_fields_are_none(space: AsynqSpace) -> None:
    """Programs of Go's own tests write all of them."""
    space.go.enqueue("a")
    empty = {"pending_since": "", "group": "", "unique_key": ""}
    space.client.hset(space.q.task("a"), mapping=empty)
    keys = [
        getattr(space.q, name) for name in ("pending", "lease", "scheduled", "retry", "archived", "completed")
    ]
    keys += [
        getattr(space.q, name) for name in ("groups", "aggregation_sets", "paused", "processed", "failed")
    ]
    keys += [space.q.day("processed", 0), space.q.day("failed", 0), space.q.flow]
    survey = space.run("survey", keys, 100, 1000, space.q.task_prefix, space.q.group_prefix)[1]
    assert survey[2:4] == ["a", ""]
    space.client.hset(space.q.task("a"), "state", "active")
    space.client.lpop(space.q.pending)
    space.client.lpush(space.q.active, "a")
    space.client.zadd(space.q.lease, {"a": space.now() + 1})
    assert len(recover(space)) == 1, "it is taken for one that a Go server holds"
    assert _forward(space)[0] == 0


@pytest.mark.parametrize("state", ["aggregating", "pending", "retry", "archived"])
def test_the_lock_of_a_task_of_a_group_is_found_in_its_message(space: AsynqSpace, state: str) -> None:
    """Where Go forgets it when it deletes the task."""
    space.go.add_to_group("a", "g", unique="work:k")
    assert "unique_key" not in space.hash("a")
    if state != "aggregating":
        space.go.run("a")
    if state in {"retry", "archived"}:
        space.go.dequeue()
        (space.go.retry if state == "retry" else space.go.archive)("a")
    assert act("delete", "a")(space) == "done"
    assert space.client.get(space.q.unique("work:k")) is None


def test_reaping_releases_it_too(space: AsynqSpace) -> None:
    """Go's trimming does not."""
    space.go.add_to_group("a", "g", unique="work:k")
    space.go.run("a")
    space.go.dequeue()
    space.go.archive("a")
    space.client.zadd(space.q.archived, {"a": time.time() - 1000})
    assert sweep(space) == [[0, "a"]]
    assert {"t:a", "unique:work:k", "archived"}.isdisjoint(space.everything())


# --- clear_task, count_retry -------------------------------------------------------


def test_a_task_that_is_run_by_hand_begins_anew(space: AsynqSpace) -> None:
    """With all its retries, if that is wished; Go sees it, too."""
    space.go.enqueue("a", max_retry=1)
    deliver(space)
    settle("retry", "no", 60, True)(space)
    q = space.q
    keys = [q.pending, q.scheduled, q.retry, q.archived, q.completed, q.groups, q.flow, q.waiting]
    args = [2, 60, "run", "", "", "1", "", 0, q.group_prefix, q.unique_prefix, CHANNEL, "", "a"]
    assert space.run("act", [*keys, q.receipt("i.1"), q.task("a")], *args) == "done"
    found = space.hash("a")
    assert found["state"] == b"pending"
    assert _nanoseconds(found["pending_since"]) == about(time.time())
    past = space.go.envelope("a").past
    assert past is not None
    assert (past.retried, past.error) == (0, "no")
    assert found["msg"].startswith(space.go.message("a", max_retry=1)[:20])


@pytest.mark.parametrize(
    "message", [b"", b"\xff garbage", b"\x0a\xff", b"\x33\x34"], ids=["empty", "bytes", "cut off", "group"]
)
def test_garbage_goes_all_the_way_and_its_error_can_be_seen(space: AsynqSpace, message: bytes) -> None:
    """What cannot be written into the message is a field beside it, and is read from there."""
    space.go.enqueue("a")
    space.client.hset(space.q.task("a"), "msg", message)
    assert deliver(space) == ["a"]
    assert settle("retry", "it broke", -5, True)(space) == []
    assert forward(space) == 1
    assert cancel("a")(space) == "cancelled"
    found = space.hash("a")
    if message:
        assert (found["msg"], found["error"]) == (message, b"it broke")
    else:
        assert (space.go.envelope("a").past or Past()).error == "it broke"
    assert found["state"] == b"archived"


# --- a full Redis ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["settle", "recover", "deliver", "cancel"])
def test_a_full_redis_leaves_nothing_half_done(own_space: Any, name: str) -> None:
    """These calls are what gives memory back: done as a whole, and in both places of active tasks alike."""
    space = AsynqSpace(own_space.client)
    space.go.enqueue("a")
    if name in {"settle", "recover"}:
        deliver(space)
    if name == "recover":
        space.client.zadd(space.q.lease, {"a": 5})
    fill(space.client)
    calls: dict[str, Any] = {"recover": recover, "deliver": deliver, "cancel": cancel("a")}
    calls.get(name, settle("retry", "no", 5, True))(space)
    found = space.everything()
    assert set(found.get("active", [])) == set(found.get("lease", {}))
    assert [place for place in ("pending", "lease", "retry", "archived") if "a" in found.get(place, ())] == [
        {"settle": "retry", "recover": "pending", "deliver": "lease", "cancel": "archived"}[name]
    ]

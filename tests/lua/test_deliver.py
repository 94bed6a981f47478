"""`deliver`: who gets what, under which lease, and what a second sending gets."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from asyncq._wire.keys import QueueKeys
from tests.lua.space import CHANNEL, Space, about

LEASE, STAND = 30.0, 7.0


def _deliver(
    space: Space,
    want: int,
    *quotas: tuple[QueueKeys, int],
    number: int = 1,
    lane: int = 0,
    again: bool = False,
) -> list[list[Any]]:
    """Deliver to the server `s`; by default from `q`. Returns queue number, id, message, history."""
    asks = quotas or ((space.q, want),)
    keys = [asks[0][0].receipt(f"s.{lane}")]
    args: list[object] = ["s", number, want, LEASE, STAND, CHANNEL, ""]
    for queue, quota in asks:
        keys += [queue.pending, queue.lease, queue.paused, queue.waiting, queue.flow]
        args += [quota, queue.task_prefix]
    now, *rest = space.run("deliver", keys, *args, again=again)
    assert float(now) == about(space.now())
    return [rest[at : at + 4] for at in range(0, len(rest), 4)]


def _ids(reply: list[list[Any]]) -> list[str]:
    return [entry[1] for entry in reply]


def test_a_task_is_handed_over_under_a_lease(space: Space) -> None:
    """Lease, token and state change in one step, or a crash between them would lose the task."""
    space.pending("a")
    assert _deliver(space, 1) == [[1, "a", "m-a", ""]]
    receipt = space.client.get(space.q.receipt("s.0"))
    assert msgpack.unpackb(receipt) == [1, 1, "a"]
    found = space.everything(without=("receipt",))
    assert float(found["t:a"].pop("delivered_at")) == about(space.now())
    assert found == {
        "t:a": {"msg": "m-a", "state": "active", "delivery": "s:1", "deliveries": "1"},
        "lease": {"a": about(space.now() + LEASE)},
    }


@pytest.mark.parametrize(
    ("want", "ids"), [(1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"]), (4, ["a", "b", "c"])]
)
def test_as_many_as_wanted_and_no_more(space: Space, want: int, ids: list[str]) -> None:
    """Hoarding would keep tasks from other servers. What was enqueued first comes first."""
    space.pending("a", "b", "c")
    assert _ids(_deliver(space, want)) == ids
    found = space.everything()
    assert set(found["lease"]) == set(ids)
    assert found.get("pending", []) == [task_id for task_id in ("c", "b", "a") if task_id not in ids]


@pytest.mark.parametrize("count", [999, 1000, 1001, 2500])
def test_large_calls_go_in_pieces_of_a_thousand(space: Space, count: int) -> None:
    """Lua's stack has an end."""
    space.pending(*(f"t{number}" for number in range(count)))
    reply = _deliver(space, 2500)
    assert _ids(reply) == [f"t{number}" for number in range(count)]
    assert space.client.zcard(space.q.lease) == count


def test_a_server_that_got_less_than_it_wanted_stands_in_line(space: Space) -> None:
    """In one step with the look, so that no task slips between them."""
    space.pending("a")
    _deliver(space, 2)
    assert space.everything()["waiting"] == {"s": about(space.now() + STAND)}


def test_a_server_that_got_all_it_wanted_stands_in_no_line(space: Space) -> None:
    """It is busy: waking it would wake nobody."""
    space.pending("a", "b")
    space.client.zadd(space.q.waiting, {"s": 1})
    _deliver(space, 2)
    assert "waiting" not in space.everything()


def test_quotas_come_first_and_the_rest_in_order(space: Space) -> None:
    """What one queue cannot use, the others may."""
    space.pending("a1", "a2", "a3", "a4", queue=space.q)
    space.pending("b1", queue=space.r)
    assert _ids(_deliver(space, 4, (space.q, 1), (space.r, 3))) == ["a1", "b1", "a2", "a3"]


def test_a_quota_of_nothing_still_gets_the_rest(space: Space) -> None:
    """Strict order among the leftovers."""
    space.pending("a1", "a2", queue=space.q)
    assert _ids(_deliver(space, 2, (space.r, 2), (space.q, 0))) == ["a1", "a2"]


def test_quotas_beyond_what_is_wanted_do_not_hand_out_more(space: Space) -> None:
    """Strict priority gives every queue the whole as its quota."""
    space.pending("a1", "a2", queue=space.q)
    space.pending("b1", "b2", queue=space.r)
    assert _ids(_deliver(space, 3, (space.r, 3), (space.q, 3))) == ["b1", "b2", "a1"]


def test_a_paused_queue_is_left_alone(space: Space) -> None:
    """Also by what is left over."""
    space.pending("a1", queue=space.q)
    space.pending("b1", queue=space.r)
    space.client.set(space.q.paused, "1")
    assert _ids(_deliver(space, 2, (space.q, 1), (space.r, 1))) == ["b1"]
    assert space.everything()["pending"] == ["a1"]


def test_a_paused_queue_remembers_who_waits(space: Space) -> None:
    """So that resuming it can wake somebody."""
    space.client.set(space.q.paused, "1")
    _deliver(space, 1)
    assert space.everything()["waiting"] == {"s": about(space.now() + STAND)}


def test_history_comes_along(space: Space) -> None:
    """Retries, earlier deliveries, and leases lost."""
    space.pending("a", retried=2, deliveries=4, lost=1)
    space.pending("b", deliveries=1)
    assert _deliver(space, 2) == [[1, "a", "m-a", "2 4 1 -"], [1, "b", "m-b", "0 1 0 -"]]
    assert space.task("a")["deliveries"] == "5"


@pytest.mark.parametrize(
    ("fields", "since"),
    [
        ({"ready_at": "1700000000.5"}, "0 0 0 1700000000.500000"),
        (
            {"ready_at": "1700000000.5", "deliveries": 1, "delivered_at": "1600000000"},
            "0 1 0 1700000000.500000",
        ),
        ({"ready_at": "1700000000.5", "deliveries": 1, "delivered_at": "1700000001"}, "0 1 0 -"),
        ({"ready_at": "by hand"}, "0 0 0"),
    ],
    ids=["delayed", "retried", "lost", "nonsense"],
)
def test_since_when_it_was_ready_comes_along(space: Space, fields: dict[str, object], since: str) -> None:
    """How long a task waited is counted once, also when its server is lost with it."""
    space.pending("a", **fields)
    assert _deliver(space, 1) == [[1, "a", "m-a", since]]
    assert _deliver(space, 1, again=True)[0][3] == since


def test_a_task_whose_hash_vanished_is_counted_and_skipped(space: Space) -> None:
    """Somebody deleted it by hand; the slot goes to the next task."""
    space.pending("gone", "a", "b")
    space.client.delete(space.q.task("gone"))
    assert _ids(_deliver(space, 1)) == ["a"]
    found = space.everything(without=("receipt",))
    assert found["flow"] == {"vanished": "1"}
    assert found["pending"] == ["b"]
    assert "t:gone" not in found


def test_a_hash_without_a_message_has_vanished_too(space: Space) -> None:
    """Half a task cannot be run, and must not stay behind."""
    space.client.hset(space.q.task("a"), "retried", "1")
    space.client.lpush(space.q.pending, "a")
    assert _deliver(space, 1) == []
    assert space.everything(without=("receipt", "waiting")) == {"flow": {"vanished": "1"}}


def test_a_key_that_is_no_hash_costs_only_itself(space: Space) -> None:
    """An error in the middle would leave the ids popped and nowhere."""
    space.pending("a", "odd", "b")
    space.client.delete(space.q.task("odd"))
    space.client.set(space.q.task("odd"), "somebody's")
    assert _ids(_deliver(space, 3)) == ["a", "b"]
    found = space.everything()
    assert (found["t:odd"], found["flow"]) == ("somebody's", {"vanished": "1"})


def test_vanished_tasks_keep_redis_busy_for_a_while_only(space: Space) -> None:
    """Somebody deleted a million of them: no call may loop over all."""
    space.client.lpush(space.q.pending, *(f"t{number}" for number in range(1500)))
    assert _deliver(space, 1) == []
    assert space.client.llen(space.q.pending) == 1500 - 1001


def test_what_is_left_wakes_another_server(space: Space) -> None:
    """Several messages may have gone to one server with one free slot."""
    space.pending("a", "b", "c")
    space.client.zadd(space.q.waiting, {"other": space.now() + 5})
    with space.listen(CHANNEL + "other") as ear:
        _deliver(space, 1)
        assert ear.heard() == [(CHANNEL + "other", space.q.waiting)]


@pytest.mark.parametrize("want", [2, 3])
def test_nobody_is_woken_for_nothing(space: Space, want: int) -> None:
    """An idle fleet costs next to nothing."""
    space.pending("a", "b")
    space.client.zadd(space.q.waiting, {"other": space.now() + 5})
    with space.listen(CHANNEL + "other") as ear:
        _deliver(space, want)
        assert ear.heard() == []


@pytest.mark.parametrize("work", [True, False])
def test_a_server_that_steps_aside_sends_another(space: Space, *, work: bool) -> None:
    """It was told of work and is full, or leaves."""
    if work:
        space.pending("a")
    space.client.zadd(space.q.waiting, {"s": space.now() + 6, "other": space.now() + 5})
    with space.listen(CHANNEL + "s", CHANNEL + "other") as ear:
        assert space.run("step_aside", [space.q.pending, space.q.waiting], "s", CHANNEL, "") == "ok"
        assert ear.heard() == ([(CHANNEL + "other", space.q.waiting)] if work else [])
    assert set(space.everything().get("waiting", {})) == (set() if work else {"other"})


# -- sent again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [True, False])
def test_the_same_call_sent_again_gets_the_same_tasks(space: Space, *, again: bool) -> None:
    """The first answer was lost; without this its tasks would wait for their leases to end."""
    space.pending("a", "b", "c", retried=1, deliveries=1)
    first = _deliver(space, 2, number=5)
    before = space.everything()
    assert _deliver(space, 2, number=5, again=again) == first
    assert space.everything() == before


def test_what_is_no_longer_ours_leaves_a_gap(space: Space) -> None:
    """The numbers of the others stay what they are."""
    space.pending("a", "b")
    _deliver(space, 2, number=5)
    space.client.hset(space.q.task("a"), "delivery", "other:1")
    assert _deliver(space, 2, number=5, again=True) == [[1, "", "", ""], [1, "b", "m-b", "0 0 0"]]


def test_what_was_settled_meanwhile_leaves_a_gap(space: Space) -> None:
    """Its hash is gone."""
    space.pending("a")
    _deliver(space, 1)
    space.client.delete(space.q.task("a"))
    before = space.everything()
    assert _deliver(space, 1, again=True) == [[1, "", "", ""]]
    assert space.everything() == before


def test_a_first_sending_that_comes_after_the_next_call_takes_nothing(space: Space) -> None:
    """Nobody waits for its answer: its tasks would run only when their leases are over."""
    space.pending("a", "b", "c")
    _deliver(space, 1, number=2)
    before = space.everything()
    assert _deliver(space, 1, number=1) == []
    assert space.everything() == before


def test_lanes_do_not_disturb_each_other(space: Space) -> None:
    """Two calls on their way at once; the one sent later may be answered first."""
    space.pending("a", "b")
    assert _ids(_deliver(space, 1, number=2, lane=1)) == ["a"]
    assert _ids(_deliver(space, 1, number=1, lane=0)) == ["b"]


def test_receipts_remember_the_queue_of_each_task(space: Space) -> None:
    """Ids are unique in a queue only."""
    space.pending("x", queue=space.q)
    space.pending("x", queue=space.r)
    first = _deliver(space, 2, (space.q, 1), (space.r, 1))
    assert [entry[0] for entry in first] == [1, 2]
    assert _deliver(space, 2, (space.q, 1), (space.r, 1), again=True) == [
        [1, "x", "m-x", "0 0 0"],
        [2, "x", "m-x", "0 0 0"],
    ]


def test_the_receipt_is_gone_with_the_lease(space: Space) -> None:
    """Then the tasks are somebody else's, and the server's id is never used again."""
    _deliver(space, 1)
    assert 0 < space.client.ttl(space.q.receipt("s.0")) <= LEASE


@pytest.mark.parametrize("text", ["", "x", "1.5", "-1", "inf", "1e400", "9" * 30])
def test_a_history_that_is_no_number_counts_from_nothing(space: Space, text: str) -> None:
    """Written by hand. It must not keep the tasks behind it from being handed out, ever."""
    space.pending("odd")
    space.client.hset(space.q.task("odd"), mapping={"deliveries": text, "retried": text, "lost": text})
    space.pending("next")
    reply = _deliver(space, 2)
    assert _ids(reply) == ["odd", "next"]
    assert reply[0][3] == "0 0 0"
    assert space.client.hget(space.q.task("odd"), "deliveries") == b"1"
    assert _deliver(space, 2, again=True)[0] == reply[0]

"""`settle`: each outcome, who may write it, and what is counted."""

# ruff: noqa: FBT003 - a detail is a row of values, booleans among them

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from asyncq._wire.keys import QueueKeys
from tests.lua.space import CHANNEL, NEWS, Space, about, packed
from tests.support.servers import RedisOptions, RedisProcess

_NOW = 1_700_000_000.0
_DAY = "2023-11-14"
_ONE_PROCESSED = {"processed": "1", f"processed:{_DAY}": "1"}
_ONE_FAILED = {**_ONE_PROCESSED, "failed": "1", f"failed:{_DAY}": "1"}


def _queue_keys(q: QueueKeys) -> list[str]:
    return [
        q.lease, q.pending, q.retry, q.scheduled, q.archived, q.completed,
        q.processed, q.failed, q.day("processed", _NOW), q.day("failed", _NOW), q.flow, q.waiting,
        q.awaited,
    ]  # fmt: skip


def _settle(
    space: Space,
    *others: tuple[Any, ...],
    plain: tuple[tuple[int, str, str], ...] = (),
    again: bool = False,
    in_cluster: str = "",
) -> list[Any]:
    """Others: queue number, id, token, outcome, detail, and perhaps the lock."""
    queues = [space.q, space.r]
    keys = _queue_keys(space.q) + _queue_keys(space.r)
    args: list[object] = [2, CHANNEL, NEWS, in_cluster, len(plain)]
    for number, task_id, token in plain:
        keys.append(queues[number - 1].task(task_id))
        args += [number, task_id, token]
    for number, task_id, token, outcome, detail, *lock in others:
        keys += [queues[number - 1].task(task_id), *lock]
        args += [number, task_id, token, outcome, detail]
    reply: list[Any] = space.run("settle", keys, *args, again=again)
    return reply


def _flow(**kinds: int) -> dict[str, dict[str, str]]:
    return {"flow": {kind: str(number) for kind, number in kinds.items()}}


def test_a_plain_success_leaves_only_numbers(space: Space) -> None:
    """Nearly all deliveries end so."""
    space.active("a", "s:1")
    assert _settle(space, plain=((1, "a", "s:1"),)) == []
    assert space.everything() == {**_ONE_PROCESSED, **_flow(done=1)}


def test_daily_numbers_go_away_by_themselves(space: Space) -> None:
    """Those of each day are a key of their own."""
    space.active("a", "s:1")
    space.active("b", "s:2")
    _settle(space, (1, "b", "s:2", "retry", packed("e", 9.0, True)), plain=((1, "a", "s:1"),))
    for counter in ("processed", "failed"):
        assert 0 < space.client.ttl(space.q.day(counter, _NOW)) <= 90 * 86400
        assert space.client.ttl(getattr(space.q, counter)) == -1


def test_a_completed_task_is_kept_with_its_result(space: Space) -> None:
    """Until its retention is over; the score says when."""
    space.active("a", "s:1", progress="p")
    detail = packed(b"result", False, 60.0)
    assert _settle(space, (1, "a", "s:1", "complete", detail)) == []
    found = space.everything()
    assert float(found["t:a"].pop("completed_at")) == about(space.now())
    assert found == {
        "t:a": {"msg": "m-a", "state": "completed", "deliveries": "1", "progress": "p", "result": "result"},
        "completed": {"a": about(space.now() + 60)},
        **_ONE_PROCESSED,
    }


@pytest.mark.parametrize(("result", "kept"), [(b"", ""), (False, None)])
def test_an_empty_result_is_a_result_and_none_is_none(space: Space, result: object, kept: str | None) -> None:
    """Readers can tell the two apart."""
    space.active("a", "s:1")
    _settle(space, (1, "a", "s:1", "complete", packed(result, False, 60.0)))
    assert space.task("a").get("result") == kept


def test_a_result_written_earlier_survives_a_handler_that_returns_nothing(space: Space) -> None:
    """`ctx.write_result` and then a plain return."""
    space.active("a", "s:1", result="earlier")
    _settle(space, (1, "a", "s:1", "complete", packed(False, False, 60.0)))
    assert space.task("a")["result"] == "earlier"


@pytest.mark.parametrize(("counts", "retried"), [(True, "3"), (False, "2")])
def test_a_retry_waits_with_its_error(space: Space, retried: str, *, counts: bool) -> None:
    """An error that does not count uses no retry up, and is no statistic."""
    space.active("a", "s:1", retried=2, cancel="s:0")
    assert _settle(space, (1, "a", "s:1", "retry", packed("why", 40.0, counts))) == []
    found = space.everything()
    failed_at = found["t:a"].pop("failed_at")
    assert float(failed_at) == about(space.now())
    assert found == {
        "t:a": {"msg": "m-a", "state": "retry", "deliveries": "1", "retried": retried, "error": "why"},
        "retry": {"a": about(space.now() + 40)},
        **(_ONE_FAILED if counts else {}),
    }


def test_an_archived_task_says_why(space: Space) -> None:
    """Reason for programs, error for people. A lock is held on: the payload failed for good."""
    space.active("a", "s:1", unique="u")
    space.client.set(space.q.unique("u"), "a")
    assert _settle(space, (1, "a", "s:1", "archive", packed("why", "exhausted", True))) == []
    found = space.everything()
    assert float(found["t:a"].pop("failed_at")) == about(space.now())
    assert found == {
        "t:a": {
            "msg": "m-a", "state": "archived", "deliveries": "1", "unique": "u",
            "error": "why", "reason": "exhausted",
        },
        "archived": {"a": about(space.now())},
        "unique:u": "a",
        **_ONE_FAILED,
    }  # fmt: skip


def test_a_requeued_task_is_the_next_one(space: Space) -> None:
    """A server that leaves hands its tasks back at the front, and nothing is counted."""
    space.pending("later")
    space.active("a", "s:1", retried=1, cancel="s:0")
    assert _settle(space, (1, "a", "s:1", "requeue", b"")) == []
    assert space.everything() == {
        "pending": ["later", "a"],
        "t:later": {"msg": "m-later"},
        "t:a": {"msg": "m-a", "deliveries": "1", "retried": "1"},
    }


def test_a_requeued_task_wakes_another_server(space: Space) -> None:
    """Otherwise it would wait for a safety poll, in the middle of every deployment."""
    space.active("a", "s:1")
    space.client.zadd(space.q.waiting, {"other": space.now() + 5})
    with space.listen(CHANNEL + "other") as ear:
        _settle(space, (1, "a", "s:1", "requeue", b""))
        assert ear.heard() == [(CHANNEL + "other", space.q.waiting)]


def test_a_deferred_task_is_scheduled_and_nothing_counted(space: Space) -> None:
    """A type that this server does not know."""
    space.active("a", "s:1")
    assert _settle(space, (1, "a", "s:1", "defer", packed(5.0))) == []
    assert space.everything() == {
        "t:a": {"msg": "m-a", "state": "scheduled", "deliveries": "1"},
        "scheduled": {"a": about(space.now() + 5)},
    }


@pytest.mark.parametrize(("kind", "counted"), [("revoked", _ONE_PROCESSED), ("expired", {})])
def test_a_dropped_task_is_counted_by_kind(space: Space, kind: str, counted: dict[str, str]) -> None:
    """Nobody should have to guess where tasks went."""
    space.active("a", "s:1")
    assert _settle(space, (1, "a", "s:1", "drop", packed(kind, False))) == []
    assert space.everything() == {**counted, **_flow(**{kind: 1})}


_RELEASING: list[tuple[str, Callable[[], bytes]]] = [
    ("done", lambda: packed(None, True)),
    ("complete", lambda: packed(False, True, 60.0)),
    ("drop", lambda: packed("expired", True)),
]


@pytest.mark.parametrize(("outcome", "detail"), _RELEASING)
@pytest.mark.parametrize(("owner", "stays"), [("a", False), ("other", True)])
def test_the_lock_is_released_by_its_owner_only(
    space: Space, outcome: str, detail: Callable[[], bytes], owner: str, *, stays: bool
) -> None:
    """It ran out while the task ran, and somebody else took it."""
    lock = space.q.unique("u")
    space.active("a", "s:1", unique="u")
    space.client.set(lock, owner)
    assert _settle(space, (1, "a", "s:1", outcome, detail(), lock)) == []
    assert bool(space.client.exists(lock)) == stays


@pytest.mark.parametrize(("outcome", "detail"), _RELEASING)
def test_a_stale_outcome_does_not_take_its_neighbours_keys(
    space: Space, outcome: str, detail: Callable[[], bytes]
) -> None:
    """The lock of a refused outcome is skipped among the keys."""
    space.active("a", "s:9")
    space.active("b", "s:2", unique="u")
    for lock, owner in (("ua", "a"), ("ub", "b")):
        space.client.set(space.q.unique(lock), owner)
    refused = _settle(
        space,
        (1, "a", "s:1", outcome, detail(), space.q.unique("ua")),
        (1, "b", "s:2", "done", packed(None, True), space.q.unique("ub")),
    )
    assert refused == [1, "not_owner"]
    found = space.everything()
    assert found["unique:ua"] == "a"
    assert "unique:ub" not in found
    assert found["t:a"]["delivery"] == "s:9"
    assert "t:b" not in found


_EVERY: list[tuple[str, bytes]] = [
    ("done", packed(None, False)),
    ("complete", packed(b"r", False, 60.0)),
    ("retry", packed("e", 1.0, True)),
    ("archive", packed("e", "exhausted", True)),
    ("requeue", b""),
    ("defer", packed(1.0)),
    ("drop", packed("expired", False)),
]


@pytest.mark.parametrize(("outcome", "detail"), _EVERY)
@pytest.mark.parametrize("state", ["another's", "pending", "gone"])
def test_only_the_owner_may_settle(space: Space, outcome: str, detail: bytes, state: str) -> None:
    """The fence: a stale worker changes nothing, whatever it thinks became of the task."""
    if state == "another's":
        space.active("a", "other:1")
    elif state == "pending":
        space.pending("a")
    before = space.everything()
    assert _settle(space, (1, "a", "s:1", outcome, detail), plain=((1, "a", "s:1"),)) == [
        1, "not_owner", 2, "not_owner",
    ]  # fmt: skip
    assert space.everything() == before


@pytest.mark.parametrize(("outcome", "detail"), _EVERY)
def test_the_same_call_sent_again_does_nothing_and_says_nothing(
    space: Space, outcome: str, detail: bytes
) -> None:
    """Its answer was lost. "Not owner" is the trace of the first sending and no news."""
    space.active("a", "s:1")
    space.active("b", "s:2")
    call = (1, "a", "s:1", outcome, detail)
    assert _settle(space, call, plain=((1, "b", "s:2"),)) == []
    before = space.everything()
    assert _settle(space, call, plain=((1, "b", "s:2"),), again=True) == []
    assert space.everything() == before


def test_a_late_first_sending_does_not_touch_the_next_delivery(space: Space) -> None:
    """The task was retried, and runs again under another token."""
    space.active("a", "s:1")
    call = (1, "a", "s:1", "retry", packed("e", 0.0, True))
    _settle(space, call, again=True)
    space.client.delete(space.q.retry)
    space.active("a", "t:1")
    before = space.everything()
    assert _settle(space, call) == [1, "not_owner"]
    assert space.everything() == before


@pytest.mark.parametrize(
    ("other_due", "outcome", "heard"),
    [
        (None, ("retry", packed("e", 40.0, True)), 1),
        (50.0, ("retry", packed("e", 40.0, True)), 1),
        (30.0, ("retry", packed("e", 40.0, True)), 0),
        (None, ("defer", packed(40.0)), 1),
        (30.0, ("defer", packed(40.0)), 0),
        (None, ("archive", packed("e", "exhausted", True)), 0),
    ],
)
def test_servers_hear_of_what_is_due_before_all_else(
    space: Space, other_due: float | None, outcome: tuple[str, bytes], heard: int
) -> None:
    """They sleep until the next due time they know."""
    if other_due is not None:
        space.delayed("x", "retry", due_in=other_due)
        space.delayed("y", "scheduled", due_in=other_due)
    space.active("a", "s:1")
    with space.listen(NEWS) as ear:
        _settle(space, (1, "a", "s:1", *outcome))
        assert ear.heard() == [(NEWS, "due")] * heard


def test_one_call_settles_for_several_queues(space: Space) -> None:
    """Each has its own numbers, and ids are unique in a queue only."""
    space.active("a", "s:1")
    space.put("a", "active", space.r, delivery="s:2")
    space.client.zadd(space.r.lease, {"a": 1})
    assert (
        _settle(space, (2, "a", "s:2", "archive", packed("e", "lost", True)), plain=((1, "a", "s:1"),)) == []
    )
    found = space.everything()
    assert {name: value for name, value in found.items() if not name.startswith(space.r.base)} == {
        **_ONE_PROCESSED,
        **_flow(done=1),
    }
    assert found[space.r.archived] == {"a": about(space.now())}
    assert found[space.r.failed] == "1"


def test_the_same_task_twice_in_a_call_counts_once(space: Space) -> None:
    """The second finds no token any more: it must not count, nor overwrite the first."""
    space.active("a", "s:1")
    call = (1, "a", "s:1", "retry", packed("e", 40.0, True))
    assert _settle(space, call, call) == [2, "not_owner"]
    assert space.task("a")["retried"] == "1"


def test_the_largest_call_goes_in_whole(space: Space) -> None:
    """500 outcomes are what one call may carry."""
    plain = tuple((1, f"t{number}", f"s:{number}") for number in range(500))
    for _, task_id, token in plain:
        space.active(task_id, token)
    assert _settle(space, plain=plain) == []
    assert space.everything() == {"processed": "500", f"processed:{_DAY}": "500", **_flow(done=500)}


def test_a_full_redis_lets_work_be_finished() -> None:
    """Refusing outcomes would keep it full for ever."""
    options = RedisOptions(extra={"maxmemory-policy": "noeviction"})
    with RedisProcess(options) as process, process.client() as client:
        space = Space(client)
        space.active("a", "s:1")
        space.active("b", "s:2")
        client.config_set("maxmemory", "1")
        retry = (1, "b", "s:2", "retry", packed("e", 40.0, True))
        assert _settle(space, retry, plain=((1, "a", "s:1"),)) == []
        assert set(space.everything()["retry"]) == {"b"}


def _unwanted(space: Space) -> None:
    """A unique task that is to be cancelled."""
    space.active("a", "s:1", unique="u", cancel="s:1", retried=1)
    space.client.set(space.q.unique("u"), "a")


@pytest.mark.parametrize(
    ("outcome", "detail", "error", "counted"),
    [
        ("retry", ("why", 40.0, True), "why", True),
        ("retry", ("why", 40.0, False), "why", False),
        ("requeue", (), "TaskCancelledError: cancelled: on request", False),
        ("defer", (40.0,), "TaskCancelledError: cancelled: on request", False),
    ],
)
def test_what_was_to_be_cancelled_does_not_run_again(
    space: Space, outcome: str, detail: tuple[Any, ...], error: str, *, counted: bool
) -> None:
    """Its server missed the message, or was leaving. Whoever asked was told that it is requested."""
    _unwanted(space)
    assert _settle(space, (1, "a", "s:1", outcome, packed(*detail) if detail else "")) == []
    found = space.everything()
    assert float(found["t:a"].pop("failed_at")) == about(space.now())
    assert found == {
        "t:a": {
            "msg": "m-a", "deliveries": "1", "retried": "1", "unique": "u",
            "state": "archived", "reason": "cancelled", "error": error,
        },
        "archived": {"a": about(space.now())},
        **(_ONE_FAILED if counted else {}),
    }  # fmt: skip


@pytest.mark.parametrize("outcome", ["retry", "requeue", "defer"])
def test_a_wish_for_an_earlier_delivery_is_not_for_this_one(space: Space, outcome: str) -> None:
    """It was bound to the delivery at hand then."""
    space.active("a", "s:2", cancel="s:1")
    details: dict[str, Any] = {"retry": packed("why", 40.0, True), "requeue": "", "defer": packed(40.0)}
    assert _settle(space, (1, "a", "s:2", outcome, details[outcome])) == []
    assert space.task("a").get("state", "pending") != "archived"


def test_what_succeeded_before_it_was_stopped_has_succeeded(space: Space) -> None:
    """The work is done; nobody gets it undone."""
    _unwanted(space)
    assert _settle(space, (1, "a", "s:1", "complete", packed(b"r", False, 60.0))) == []
    assert space.task("a")["state"] == "completed"
    assert "cancel" not in space.task("a")


@pytest.mark.parametrize(("unlock", "owner"), [(True, "a"), (True, "b"), (False, "a")])
def test_an_archived_task_gives_up_its_lock_if_it_is_to(space: Space, owner: str, *, unlock: bool) -> None:
    """Its own, and only where the server was told to, or the task was cancelled."""
    space.active("a", "s:1", unique="u")
    space.client.set(space.q.unique("u"), owner)
    assert _settle(space, (1, "a", "s:1", "archive", packed("why", "exhausted", True, unlock))) == []
    is_released = unlock and owner == "a"
    assert space.client.exists(space.q.unique("u")) == (0 if is_released else 1)

"""`enqueue` of one time of an entry: of several schedulers that send it, one enqueues it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import CHANNEL, KEYS, NEWS, Space, packed

TICK = KEYS.queue("q").tick("nightly")
NOMINAL, GAP, KEEP = 1_764_000_000.123456, 3600.0, 60


def _send(
    space: Space, sender: str, nominal: float, *, gap: float = 0.0, lock: float = 0.0, number: int = 1
) -> str:
    """Send the task of one time, as one scheduler does; return the word about it."""
    q, name = space.q, f"{sender}-{nominal}"
    keys = [q.pending, q.scheduled, q.groups, q.flow, q.waiting, q.receipt(sender), q.task(name)]
    keys += [q.unique("k")] if lock else []
    detail = packed(0, 0, lock, "k" if lock else "", "", nominal, gap, KEEP)
    args = [number, 60, CHANNEL, NEWS, "", q.task_prefix, name, "message", detail]
    word: Any = space.run("enqueue", [*keys, TICK], *args)[0]
    return str(word)


def _pending(space: Space) -> int:
    found: Any = space.client.llen(space.q.pending)
    return int(found)


def test_the_first_one_enqueues_and_the_others_do_not(space: Space) -> None:
    """In the same step, so nobody can be between the claim and the task."""
    assert [_send(space, sender, NOMINAL) for sender in "abc"] == ["pending", "taken", "taken"]
    assert _pending(space) == 1
    assert space.client.get(TICK) == b"1764000000.123456"
    assert 0 < space.client.ttl(TICK) <= KEEP
    assert space.client.hget(space.q.flow, "created") == b"1"


def test_a_task_that_has_run_and_is_gone_is_not_enqueued_again(space: Space) -> None:
    """A scheduler may be late by more than the task takes."""
    _send(space, "a", NOMINAL)
    space.client.delete(space.q.pending, space.q.task(f"a-{NOMINAL}"))
    assert _send(space, "b", NOMINAL) == "taken"
    assert _pending(space) == 0


def test_an_earlier_time_is_over(space: Space) -> None:
    """A scheduler that was frozen comes back with it."""
    _send(space, "a", NOMINAL)
    assert _send(space, "b", NOMINAL - 60) == "taken"
    assert _send(space, "b", NOMINAL + 60, number=2) == "pending"


@pytest.mark.parametrize(("after", "word"), [(1, "taken"), (GAP - 1, "taken"), (GAP, "pending")])
def test_an_interval_is_kept_whenever_a_scheduler_began(space: Space, after: float, word: str) -> None:
    """Two that began at different moments would enqueue twice as often."""
    _send(space, "a", NOMINAL, gap=GAP)
    assert _send(space, "b", NOMINAL + after, gap=GAP) == word


def test_a_time_that_was_refused_is_over_for_all(space: Space) -> None:
    """One refusal in the history, and not one of each scheduler."""
    space.pending("other")
    space.client.hset(space.q.task("other"), "unique", "k")
    space.client.set(space.q.unique("k"), "other")
    assert [_send(space, sender, NOMINAL, lock=9) for sender in "ab"] == ["duplicate", "taken"]


def test_a_clock_that_is_far_ahead_claims_nothing(space: Space) -> None:
    """It would keep the others from all times until then."""
    before = space.everything()
    assert _send(space, "a", space.now() + 3600) == "early"
    assert space.everything(without=("receipt",)) == before
    assert _send(space, "a", space.now() + 30, number=2) == "pending"


def test_a_key_that_holds_something_else_spoils_this_entry_only(space: Space) -> None:
    """Somebody wrote there by hand."""
    space.client.rpush(TICK, "a list")
    assert _send(space, "a", NOMINAL) == "unusable"
    assert _pending(space) == 0

"""`forward`: what is due becomes ready, and somebody is told when the next is."""

from __future__ import annotations

import pytest

from asyncq._wire.keys import QueueKeys
from tests.lua.space import CHANNEL, NEWS, Space, about


def _forward(
    space: Space, *queues: QueueKeys, limit: int = 200, again: bool = False, in_cluster: str = ""
) -> tuple[int, float | None]:
    keys: list[str] = []
    args: list[object] = [limit, CHANNEL, in_cluster, NEWS]
    for q in queues or (space.q,):
        keys += [q.scheduled, q.retry, q.pending, q.waiting, q.groups, q.flow]
        args += [q.task_prefix, q.group_prefix]
    moved, wait, due, now = space.run("forward", keys, *args, again=again)
    assert float(now) == about(space.now())
    if not wait:
        assert not due
        return moved, None
    # When the next is due is also said by Redis' own clock: who comes a second time knows it by that.
    assert float(due) == about(space.now() + float(wait)) or not float(wait)
    return moved, float(wait)


@pytest.mark.parametrize("state", ["scheduled", "retry"])
@pytest.mark.parametrize("due_in", [0.0, -0.001, -1e9])
def test_what_is_due_is_pending(space: Space, state: str, due_in: float) -> None:
    """From the moment it is due, and however long ago that was."""
    space.delayed("a", state, due_in=due_in, retried=1)
    assert _forward(space) == (1, None)
    found = space.everything()
    # Since then it has been waiting, however late the forwarder came.
    assert float(found["t:a"].pop("ready_at")) == about(space.now() + due_in)
    assert found == {"pending": ["a"], "t:a": {"msg": "m-a", "retried": "1"}}


def test_what_is_not_due_stays_and_says_when(space: Space) -> None:
    """The forwarder sleeps so long: over all queues, and both kinds."""
    space.delayed("a", "scheduled", due_in=60.0)
    space.delayed("b", "retry", due_in=20.0)
    before = space.everything()
    moved, wait = _forward(space, space.r, space.q)
    assert (moved, wait) == (0, pytest.approx(20.0, abs=2.0))
    assert space.everything() == before


def test_nothing_scheduled_is_nothing_to_wait_for(space: Space) -> None:
    """An idle server looks rarely."""
    assert _forward(space) == (0, None)
    assert space.everything() == {}


def test_the_earliest_is_the_first_to_be_taken(space: Space) -> None:
    """Behind what is ready already."""
    space.pending("old")
    for task_id, due_in in (("b", -2.0), ("a", -3.0), ("c", -1.0)):
        space.delayed(task_id, "scheduled", due_in=due_in)
    assert _forward(space) == (3, None)
    assert space.everything()["pending"] == ["c", "b", "a", "old"]


@pytest.mark.parametrize(("limit", "moved"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 4)])
def test_no_more_than_the_limit_at_once(space: Space, limit: int, moved: int) -> None:
    """Redis does nothing else meanwhile. What is left is due now: come back at once."""
    for queue, task_id, state in (
        ("q", "a", "scheduled"),
        ("q", "b", "retry"),
        ("r", "c", "scheduled"),
        ("r", "d", "retry"),
    ):
        keys: QueueKeys = getattr(space, queue)
        space.put(task_id, state, keys)
        space.client.zadd(keys.base + state, {task_id: space.now() - 1})
    assert _forward(space, space.q, space.r, limit=limit) == (moved, None if moved == 4 else 0.0)
    ready = [*space.everything().get("pending", []), *space.everything().get(space.r.pending, [])]
    assert sorted(ready) == ["a", "b", "c", "d"][:moved]


def test_a_grouped_task_goes_to_its_group(space: Space) -> None:
    """And not to a server."""
    space.delayed("a", "scheduled", due_in=-1.0, group="g")
    with space.listen(NEWS) as ear:
        assert _forward(space) == (1, None)
        assert ear.heard() == [(NEWS, "groups")]
    assert space.everything() == {
        "g:g": {"a": about(space.now())},
        "groups": {"g"},
        "t:a": {"msg": "m-a", "state": "aggregating", "group": "g"},
    }


def test_a_task_whose_hash_vanished_is_counted_and_forgotten(space: Space) -> None:
    """There is nothing to run."""
    space.delayed("a", "scheduled", due_in=-1.0)
    space.delayed("b", "retry", due_in=-1.0)
    space.client.delete(space.q.task("a"))
    space.client.hdel(space.q.task("b"), "msg")
    assert _forward(space) == (2, None)
    assert space.everything() == {"flow": {"vanished": "2"}}


@pytest.mark.parametrize("again", [False, True])
def test_sent_again_it_finds_nothing_to_do(space: Space, *, again: bool) -> None:
    """Moving is its own receipt."""
    space.delayed("a", "scheduled", due_in=-1.0)
    _forward(space)
    before = space.everything()
    assert _forward(space, again=again) == (0, None)
    assert space.everything() == before


def test_servers_are_woken_one_for_each_task(space: Space) -> None:
    """A delayed task starts within milliseconds of its time."""
    for task_id in ("a", "b"):
        space.delayed(task_id, "retry", due_in=-1.0)
    for server in ("s1", "s2", "s3"):
        space.client.zadd(space.q.waiting, {server: space.now() + int(server[1])})
    with space.listen(*(CHANNEL + name for name in ("s1", "s2", "s3"))) as ear:
        _forward(space)
        assert ear.heard() == [(CHANNEL + "s3", space.q.waiting), (CHANNEL + "s2", space.q.waiting)]

"""`pause` and `unpause`: nothing is taken in between, and servers hear when it goes on."""

from __future__ import annotations

import pytest

from tests.lua.space import CHANNEL, Space, about


def _pause(space: Space, *, again: bool = False) -> str:
    reply: str = space.run("pause", [space.q.paused, space.q.lease], again=again)
    return reply


def _unpause(space: Space, *, again: bool = False, in_cluster: str = "") -> str:
    q = space.q
    reply: str = space.run("unpause", [q.paused, q.pending, q.waiting], CHANNEL, in_cluster, again=again)
    return reply


def test_a_pause_says_since_when(space: Space) -> None:
    """Whoever finds it wants to know."""
    assert _pause(space) == "paused"
    assert {name: float(value) for name, value in space.everything().items()} == {
        "paused": about(space.now())
    }


def test_a_paused_queue_stays_as_it_is(space: Space) -> None:
    """Since the first time."""
    space.client.set(space.q.paused, "12.5")
    assert _pause(space) == "already"
    assert space.everything() == {"paused": "12.5"}


def test_sent_again_it_takes_the_pause_for_its_own(space: Space) -> None:
    """The answer was lost, and it did change something."""
    assert _pause(space) == "paused"
    before = space.everything()
    assert _pause(space, again=True) == "paused"
    assert space.everything() == before


@pytest.mark.parametrize("stands", ["12.5", "removing 12.5", ""])
def test_unpause_takes_it_away(space: Space, stands: str) -> None:
    """Whatever stands there."""
    space.client.set(space.q.paused, stands)
    assert _unpause(space) == "unpaused"
    assert space.everything() == {}


def test_what_is_not_paused_cannot_be_unpaused(space: Space) -> None:
    """And nobody is woken."""
    space.pending("a")
    space.client.zadd(space.q.waiting, {"s": space.now() + 60})
    before = space.everything()
    with space.listen(CHANNEL + "s") as ear:
        assert _unpause(space) == "already"
        assert ear.heard() == []
    assert space.everything() == before


@pytest.mark.parametrize(("ready", "woken"), [(0, 0), (1, 1), (2, 2), (3, 2)])
def test_idle_servers_are_woken_for_what_has_gathered(space: Space, ready: int, woken: int) -> None:
    """One for each task, or they would wait for their next look."""
    space.pending(*(f"a{number}" for number in range(ready)))
    space.client.zadd(space.q.waiting, {"s": space.now() + 60, "t": space.now() + 61})
    _pause(space)
    with space.listen(CHANNEL + "s", CHANNEL + "t") as ear:
        assert _unpause(space) == "unpaused"
        heard = ear.heard()
    assert len(heard) == woken
    assert {text for _, text in heard} <= {space.q.waiting}
    assert space.client.zcard(space.q.waiting) == 2 - woken


def test_sent_again_it_wakes_again(space: Space) -> None:
    """Perhaps nobody heard the first time."""
    space.pending("a")
    space.client.zadd(space.q.waiting, {"s": space.now() + 60})
    with space.listen(CHANNEL + "s") as ear:
        assert _unpause(space, again=True) == "unpaused"
        assert ear.heard() == [(CHANNEL + "s", space.q.waiting)]


def test_a_list_that_is_none_does_not_keep_it_paused(space: Space) -> None:
    """Somebody worked by hand."""
    space.client.set(space.q.pending, "what")
    _pause(space)
    assert _unpause(space) == "unpaused"

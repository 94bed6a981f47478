"""`step_aside`: who cannot take tasks lets another one be woken."""

from __future__ import annotations

import pytest

from asyncq._wire.keys import QueueKeys
from tests.lua.space import CHANNEL, Space


def _step_aside(space: Space, *queues: QueueKeys, in_cluster: bool = False, again: bool = False) -> None:
    keys: list[str] = []
    for queue in queues or (space.q,):
        keys += [queue.pending, queue.waiting]
    flag = "1" if in_cluster else ""
    assert space.run("step_aside", keys, "s", CHANNEL, flag, again=again) == "ok"


def _stand(space: Space, queue: QueueKeys, **until: float) -> None:
    """Let servers stand in line, until so many seconds from now."""
    space.client.zadd(queue.waiting, {name: space.now() + seconds for name, seconds in until.items()})


@pytest.mark.parametrize("again", [False, True])
def test_without_work_it_only_leaves(space: Space, *, again: bool) -> None:
    """Nobody is woken for nothing."""
    _stand(space, space.q, s=7.0, t=7.0)
    before = space.everything()
    with space.listen(CHANNEL + "t") as ear:
        _step_aside(space, again=again)
        assert ear.heard() == []
    del before["waiting"]["s"]
    assert space.everything() == before


def test_the_last_one_takes_the_line_along(space: Space) -> None:
    """No key is left of it; and who does not stand there may say it too."""
    _stand(space, space.q, s=7.0)
    _step_aside(space)
    assert space.everything() == {}
    _step_aside(space, again=True)
    assert space.everything() == {}


def test_work_that_is_there_goes_to_another(space: Space) -> None:
    """The message about it may have come to the one that leaves. One server is told; it takes what it can."""
    space.pending("a", "b")
    _stand(space, space.q, s=9.0, t=7.0, u=8.0)
    before = space.everything()
    with space.listen(CHANNEL + "s", CHANNEL + "t", CHANNEL + "u") as ear:
        _step_aside(space)
        assert ear.heard() == [(CHANNEL + "u", space.q.waiting)]
    before["waiting"] = {"t": before["waiting"]["t"]}
    assert space.everything() == before


def test_a_server_that_does_not_hear_is_passed_over(space: Space) -> None:
    """It died in line; the task must not wait for it."""
    space.pending("a")
    _stand(space, space.q, s=9.0, t=7.0, dead=8.0)
    with space.listen(CHANNEL + "t") as ear:
        _step_aside(space)
        assert ear.heard() == [(CHANNEL + "t", space.q.waiting)]
    assert "waiting" not in space.everything()


def test_in_a_cluster_the_newest_is_trusted(space: Space) -> None:
    """A node knows only its own listeners, so hearing nobody says nothing."""
    space.pending("a")
    _stand(space, space.q, s=9.0, t=7.0, u=8.0)
    with space.listen(CHANNEL + "t") as ear:
        _step_aside(space, in_cluster=True)
        assert ear.heard() == []
    assert set(space.everything()["waiting"]) == {"t"}


def test_who_stood_there_too_long_is_not_woken(space: Space) -> None:
    """It has asked again since, or is no more."""
    space.pending("a")
    _stand(space, space.q, s=7.0, t=-1.0)
    with space.listen(CHANNEL + "t") as ear:
        _step_aside(space)
        assert ear.heard() == []
    assert "waiting" not in space.everything()


def test_each_queue_is_left_by_itself(space: Space) -> None:
    """The one with work wakes somebody, the other does not; the message says which one it is."""
    space.pending("a", queue=space.r)
    for queue in (space.q, space.r):
        _stand(space, queue, s=9.0, t=7.0)
    with space.listen(CHANNEL + "t") as ear:
        _step_aside(space, space.q, space.r)
        assert ear.heard() == [(CHANNEL + "t", space.r.waiting)]
    found = space.everything()
    assert set(found["waiting"]) == {"t"}
    assert space.r.waiting not in found
    assert found[space.r.pending] == ["a"]

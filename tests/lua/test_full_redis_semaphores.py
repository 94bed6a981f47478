"""A full Redis goes on with semaphores: what needs a slot must be able to finish (ADR 9)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.calls import LEASE, STAND, Act
from tests.lua.fullness import assert_as_ever
from tests.lua.scenes import Arrange, at_rest
from tests.lua.space import CHANNEL, KEYS, Space


def _semaphore(script: str) -> Act:
    """Act on a semaphore with one slot held by `a:1`, for which `b:1` waits."""

    def act(space: Space) -> Any:
        s = KEYS.semaphore("s")
        keys = [s.holders, s.queue, s.standing, s.parked]
        if script == "acquire":
            reply = space.run("acquire", keys[:3], "c:1", 3, LEASE, STAND, CHANNEL, "")
        elif script == "wait":
            reply = space.run("acquire", keys[:3], "c:1", 1, LEASE, STAND, CHANNEL, "")
        elif script == "release":
            reply = [space.run("release", keys, CHANNEL, "", "a:1"), ""]
        elif script == "hold":
            reply = [space.run("hold", keys[:1], LEASE, "a:1", "x:1"), ""]
        else:
            reply = space.run("vacancy", keys, "srv", 3, STAND)
        return reply[0]

    return act


def _promote(space: Space) -> Any:
    q = space.q
    return space.run("promote", [q.scheduled, q.pending, q.waiting, q.task("a")], CHANNEL, "", "a", "s:1", 1)


def _taken(space: Space) -> None:
    s = KEYS.semaphore("s")
    space.client.zadd(s.holders, {"a:1": space.now() + LEASE})
    space.client.zadd(s.queue, {"b:1": space.now()})
    space.client.zadd(s.standing, {"b:1": space.now() + STAND})


def _put_back(space: Space) -> None:
    space.delayed("a", "scheduled", due_in=20, deliveries=1)


@pytest.mark.parametrize(
    ("arrange", "act"),
    [
        pytest.param(_taken, _semaphore("acquire"), id="acquire"),
        pytest.param(at_rest, _semaphore("acquire"), id="acquire-first"),
        pytest.param(_taken, _semaphore("wait"), id="acquire-wait"),
        pytest.param(_taken, _semaphore("release"), id="release"),
        pytest.param(_taken, _semaphore("hold"), id="hold"),
        pytest.param(_taken, _semaphore("vacancy"), id="vacancy"),
        pytest.param(_put_back, _promote, id="promote"),
    ],
)
def test_slots_come_and_go_as_ever(own_space: Space, arrange: Arrange, act: Act) -> None:
    """Same answer, same keyspace as with memory."""
    assert_as_ever(own_space, arrange, act)

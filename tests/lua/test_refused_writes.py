"""A Redis that refuses all writes: each script ends with that error, and nothing is taken for damage.

It does so while it is a replica after a fail-over, cannot save, or has too few replicas. The router
knows what to do about each; but only if it hears of it.
"""

# ruff: noqa: FBT003 - a detail is a row of values, booleans among them

from __future__ import annotations

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from asyncq._redis.failures import Remedy, ReplyError
from tests.lua import calls
from tests.lua.calls import Act
from tests.lua.grouping import ripe, taken
from tests.lua.scenes import Arrange, due, lost, over, running, waiting
from tests.lua.space import Space


def _demote(client: Redis) -> None:
    """Make it the replica of a primary that nobody reaches."""
    client.execute_command("REPLICAOF", "127.0.0.1", "1")


@pytest.mark.parametrize(
    ("arrange", "act"),
    [
        (running, calls.settle("plain")),
        (running, calls.settle("done", None, True)),
        (running, calls.settle("complete", "result", False, 60.0)),
        (running, calls.settle("retry", "why", 1.0, True)),
        (running, calls.settle("archive", "why", "exhausted", True)),
        (running, calls.settle("requeue")),
        (running, calls.settle("defer", 1.0)),
        (running, calls.settle("drop", "revoked", False)),
        (running, calls.extend),
        (running, calls.cancel("a")),
        (due, calls.forward),
        (lost, calls.recover),
        (over, calls.sweep),
        (waiting, calls.deliver),
        (due, calls.act("run", "a", "b")),
        (over, calls.act("delete", "a", "b")),
        (ripe, calls.gather),
        (taken, calls.set_aside),
        (taken, calls.aggregate),
        (taken, calls.ungather),
        (taken, calls.prolong),
    ],
)
def test_a_replica_is_taken_for_a_replica(own_space: Space, arrange: Arrange, act: Act) -> None:
    """The call is sent to the new primary then; what was taken for damage would have been dropped."""
    arrange(own_space)
    before = own_space.everything()
    _demote(own_space.client)
    assert _refusal(own_space, act).remedy is Remedy.REDISCOVER
    assert own_space.everything() == before


@pytest.mark.parametrize(
    "act",
    [calls.settle("requeue"), calls.forward, calls.recover, calls.sweep, calls.deliver, calls.gather],
    ids=lambda act: act.__name__,
)
def test_nothing_to_do_is_no_reason_to_overlook_it(own_space: Space, act: Act) -> None:
    """An idle server, too, is to notice that its Redis is no longer the primary."""
    _demote(own_space.client)
    assert _refusal(own_space, act).remedy is Remedy.REDISCOVER


def _refusal(space: Space, act: Act) -> ReplyError:
    """What the router would get to see."""
    with pytest.raises(ResponseError) as refused:
        act(space)
    # The library takes the first word away from the errors that it knows.
    text = str(refused.value)
    return ReplyError(f"{'ERR' if text.startswith('Error running') else 'READONLY'} {text}")

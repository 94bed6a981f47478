"""A Redis that refuses all writes: each script ends with that error, and nothing is taken for damage.

It does so while it is a replica after a fail-over, cannot save, or has too few replicas. The router
knows what to do about each; but only if it hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from asyncq._redis.failures import Remedy, ReplyError
from tests.lua.grouping import ripe, taken
from tests.lua.space import Space
from tests.lua.test_full_redis import (
    Act,
    Arrange,
    _cancel,
    _deliver,
    _due,
    _extend,
    _forward,
    _lost,
    _over,
    _recover,
    _running,
    _settle,
    _sweep,
    _waiting,
)
from tests.lua.test_full_redis_groups import _aggregate, _gather, _prolong, _set_aside, _ungather
from tests.lua.test_full_redis_operators import _act
from tests.support.servers import RedisOptions, RedisProcess, oldest_binary, system_binary


# Which words a script's errors come in has changed from version to version.
@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("system", marks=pytest.mark.system_redis), "oldest"],
)
def process(request: pytest.FixtureRequest) -> Iterator[RedisProcess]:
    """A server of these tests' own: nobody else shall be refused."""
    binary: Path | None = None
    if request.param != "embedded":
        request.getfixturevalue(f"{request.param}_redis")  # skips, or fails in CI, where there is none
        binary = system_binary() if request.param == "system" else oldest_binary()
    with RedisProcess(RedisOptions(binary=binary)) as process:
        yield process


@pytest.fixture
def space(process: RedisProcess) -> Iterator[Space]:
    """An empty keyspace of a server that takes writes; it does again afterwards."""
    with process.client() as client:
        client.flushall()
        yield Space(client)
        client.execute_command("REPLICAOF", "NO", "ONE")


def _demote(client: Redis) -> None:
    """Make it the replica of a primary that nobody reaches."""
    client.execute_command("REPLICAOF", "127.0.0.1", "1")


@pytest.mark.parametrize(
    ("arrange", "act"),
    [
        (_running, _settle("plain")),
        (_running, _settle("done", None, True)),  # noqa: FBT003 - a detail is a row of values
        (_running, _settle("complete", "result", False, 60.0)),  # noqa: FBT003 - as above
        (_running, _settle("retry", "why", 1.0, True)),  # noqa: FBT003 - as above
        (_running, _settle("archive", "why", "exhausted", True)),  # noqa: FBT003 - as above
        (_running, _settle("requeue")),
        (_running, _settle("defer", 1.0)),
        (_running, _settle("drop", "revoked", False)),  # noqa: FBT003 - as above
        (_running, _extend),
        (_running, _cancel),
        (_due, _forward),
        (_lost, _recover),
        (_over, _sweep),
        (_waiting, _deliver),
        (_due, _act("run")),
        (_over, _act("delete")),
        (ripe, _gather),
        (taken, _set_aside),
        (taken, _aggregate),
        (taken, _ungather),
        (taken, _prolong),
    ],
)
def test_a_replica_is_taken_for_a_replica(space: Space, arrange: Arrange, act: Act) -> None:
    """The call is sent to the new primary then; what was taken for damage would have been dropped."""
    arrange(space)
    before = space.everything()
    _demote(space.client)
    assert _refusal(space, act).remedy is Remedy.REDISCOVER
    assert space.everything() == before


@pytest.mark.parametrize(
    "act", [_settle("requeue"), _forward, _recover, _sweep, _deliver, _gather], ids=lambda act: act.__name__
)
def test_nothing_to_do_is_no_reason_to_overlook_it(space: Space, act: Act) -> None:
    """An idle server, too, is to notice that its Redis is no longer the primary."""
    _demote(space.client)
    assert _refusal(space, act).remedy is Remedy.REDISCOVER


def _refusal(space: Space, act: Callable[[Space], object]) -> ReplyError:
    """What the router would get to see."""
    with pytest.raises(ResponseError) as refused:
        act(space)
    # The library takes the first word away from the errors that it knows.
    text = str(refused.value)
    return ReplyError(f"{'ERR' if text.startswith('Error running') else 'READONLY'} {text}")

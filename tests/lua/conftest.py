"""The arrangements that tests of scripts start from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from tests.lua.space import Space
from tests.support.cluster import ClusterProcesses
from tests.support.servers import RedisOptions, RedisProcess, oldest_binary, system_binary

# What they assert is shown like what tests assert.
pytest.register_assert_rewrite("tests.lua.fullness", "tests.lua.moving")


@pytest.fixture
def space(redis_client: Redis) -> Space:
    """An empty keyspace."""
    return Space(redis_client)


@dataclass(frozen=True)
class Version:
    """One of the servers that differ in what a script may do when something is wrong, and in their words."""

    binary: Path | None
    bus_offset: int = 0


@pytest.fixture(
    scope="package",
    params=["embedded", pytest.param("system", marks=pytest.mark.system_redis), "oldest"],
)
def version(request: pytest.FixtureRequest) -> Version:
    """Each version in turn."""
    if request.param == "embedded":
        return Version(None)
    request.getfixturevalue(f"{request.param}_redis")  # skips, or fails in CI, where there is none
    return Version(system_binary()) if request.param == "system" else Version(oldest_binary(), 10_000)


@pytest.fixture(scope="package")
def own_process(version: Version) -> Iterator[RedisProcess]:
    """A server that tests may fill or demote: nobody else shall be refused."""
    with RedisProcess(RedisOptions(binary=version.binary)) as process:
        yield process


@pytest.fixture
def own_space(own_process: RedisProcess) -> Iterator[Space]:
    """An empty keyspace in a server that takes all writes, and does again afterwards."""
    with own_process.client() as client:
        client.flushall()
        try:
            yield Space(client)
        finally:
            client.config_set("maxmemory", 0)
            client.execute_command("REPLICAOF", "NO", "ONE")


@pytest.fixture(scope="package")
def nodes(version: Version) -> Iterator[ClusterProcesses]:
    """Two nodes of a cluster, between which slots move."""
    with ClusterProcesses(
        2, durable=False, binary=version.binary, bus_offset=version.bus_offset
    ) as processes:
        yield processes

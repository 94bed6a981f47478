"""The services for the tests of this folder. Without them, tests skip and say so."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.support.golang import GoMissingError, GoModule
from tests.support.kept import begin_for, kept_folder
from tests.support.lasting import LASTING
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.services.beanstalkd import BeanstalkdNode, beanstalkd_node
from tests.support.services.jars import begin_jars, kafka_jars
from tests.support.services.kafka_broker import KafkaBroker
from tests.support.services.missing import ServiceMissingError, not_tested
from tests.support.services.parts import Parts

_HERE = Path(__file__).parent
_GO = GoModule(_HERE / "go_queue", (".",))
_GO_CACHE, _JAR_CACHE = "services-go", "services-kafka"


# `tryfirst`: pytest-xdist looks for its groups in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is in this folder, and keep to one worker what shares a broker: starting one takes long."""
    for item in items:
        if not item.path.is_relative_to(_HERE):
            continue
        item.add_marker(pytest.mark.services)
        if item.get_closest_marker("timeout") is None:
            # For the test, and not for starting a JVM.
            item.add_marker(pytest.mark.timeout(180, func_only=True))
        if (broker := _broker_of(item)) is not None and config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group(broker))
    # Who has a broker has the most to do, so they begin; whoever is free takes the rest.
    items.sort(key=lambda item: _broker_of(item) is None)


def _broker_of(item: pytest.Item) -> str | None:
    wanted: list[str] = getattr(item, "fixturenames", [])
    return next((name for name in ("kafka", "own_kafka") if name in wanted), None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start to build Go's program and to fetch Kafka's jars, if they are not there from the last run."""
    config = session.config
    begin_for(
        "services",
        session,
        lambda: (_GO.begin(kept_folder(config, _GO_CACHE)), begin_jars(kept_folder(config, _JAR_CACHE))),
    )


@pytest.fixture(scope="session")
def go_queue(request: pytest.FixtureRequest) -> Path:
    """Go's program; see go_queue/main.go."""
    try:
        return _GO.build(kept_folder(request.config, _GO_CACHE)) / "go_queue"
    except GoMissingError as error:
        if "CI" in os.environ and shutil.which("go") is None:
            # Not even CI has to have Go; what it then has not tested is said in the summary.
            pytest.skip(f"NOT TESTED with go-queue: {error}")
        not_tested("go-queue", error)


@pytest.fixture
async def parts(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Parts]:
    """Starts producers and consumers of both languages."""
    made = Parts(lambda: request.getfixturevalue("go_queue"), tmp_path)
    yield made
    await made.close()


@pytest.fixture(scope="session")
def jars(request: pytest.FixtureRequest) -> Path:
    """The folder with Kafka's jars."""
    try:
        return kafka_jars(kept_folder(request.config, _JAR_CACHE))
    except ServiceMissingError as error:
        not_tested("Apache Kafka", error)


@pytest.fixture(scope="session")
def kafka(jars: Path) -> Iterator[KafkaBroker]:
    """The session's broker. Do not kill or freeze it; `own_kafka` is for that."""
    with KafkaBroker(jars) as broker:
        LASTING.append(broker)
        yield broker


@pytest.fixture(scope="session")
def mortal_kafka(jars: Path) -> Iterator[KafkaBroker]:
    """The broker behind `own_kafka`."""
    with KafkaBroker(jars) as broker:
        LASTING.append(broker)
        yield broker


@pytest.fixture
def own_kafka(mortal_kafka: KafkaBroker) -> Iterator[KafkaBroker]:
    """A broker to be killed and frozen; it runs again for the next test."""
    yield mortal_kafka
    if mortal_kafka.is_alive:
        mortal_kafka.resume()
    else:
        mortal_kafka.start()


@pytest.fixture
async def start_node() -> AsyncIterator[Callable[..., Awaitable[BeanstalkdNode]]]:
    """Starts beanstalkd nodes, with the arguments of `beanstalkd_node`, and ends them after the test."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> BeanstalkdNode:
            return await stack.enter_async_context(beanstalkd_node(**options))

        yield start


@pytest.fixture
async def nodes(start_node: Callable[..., Awaitable[BeanstalkdNode]]) -> list[BeanstalkdNode]:
    """Three nodes that keep their jobs in memory alone."""
    return [await start_node() for _ in range(3)]


@pytest.fixture
async def durable_nodes(
    start_node: Callable[..., Awaitable[BeanstalkdNode]], tmp_path: Path
) -> list[BeanstalkdNode]:
    """Three nodes that have their jobs again after a crash."""
    return [await start_node(binlog=tmp_path / f"binlog-{number}") for number in range(3)]


@pytest.fixture
def locks() -> Iterator[RedisProcess]:
    """The Redis for the locks of dq, this test's own. Go's client comes by TCP alone."""
    with RedisProcess(RedisOptions(transport="tcp")) as process:
        yield process


@pytest.fixture
def lock_client(locks: RedisProcess) -> Iterator[Redis]:
    """A blocking client to look at the locks with."""
    with locks.client() as client:
        yield client

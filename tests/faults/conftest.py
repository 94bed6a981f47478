"""What every test that breaks something needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import ClusterProcesses
from tests.support.gate import Gate
from tests.support.ledger import Ledger
from tests.support.servers import RedisProcess


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Where handlers note what they did."""
    made = Ledger(tmp_path / "ledger")
    yield made
    made.close()


@pytest.fixture
def own_redis() -> Iterator[RedisProcess]:
    """A server of the test's own, at a unix socket, that writes nothing to disk."""
    with RedisProcess() as process:
        yield process


@pytest.fixture
def own_cluster() -> Iterator[ClusterProcesses]:
    """A cluster of the test's own, of which the rest is served when a node is away."""
    with ClusterProcesses(full_coverage=False) as cluster:
        yield cluster


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """What handlers can wait for."""
    return Gate(tmp_path / "gate")

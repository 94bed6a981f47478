"""The same on a Redis Cluster: both languages put all that a queue is into one slot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import ClusterProcesses

from .driving import Go
from .go_side import GoSide
from .python_side import PythonSide
from .sides import Side, agreed, script

pytestmark = pytest.mark.cluster
Pair = tuple[Side, Side]


@pytest.fixture(params=["go to python", "python to go"])
async def pair(
    request: pytest.FixtureRequest, cluster: ClusterProcesses, go_programs: Path
) -> AsyncIterator[Pair]:
    """Both on an empty cluster."""
    cluster.flush()
    nodes = ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes)
    go = await Go.start(go_programs / "drive", f"cluster://{nodes}")
    try:
        async with PythonSide(cluster.url) as python:
            golang = GoSide(go)
            yield (golang, python) if request.param == "go to python" else (python, golang)
            report = await python.inspector.audit()
            assert report.is_clean, str(report)
    finally:
        await go.close()


async def test_tasks_of_queues_in_several_slots_are_run(pair: Pair) -> None:
    """Now, later, after a failure, and as a part of a group."""
    producer, worker = pair
    queues = [f"queue-{number}" for number in range(6)]
    tasks = {
        queue: await producer.enqueue("a", script(result="1"), queue=queue, retention=60) for queue in queues
    }
    failing = await producer.enqueue("a", script(act="fail", times=1), queue=queues[0], retention=60)
    later = await producer.enqueue("a", b"1", queue=queues[1], process_in=1, retention=60)
    unique = await producer.enqueue("a", b"2", queue=queues[2], unique=60)
    for number in range(2):
        await producer.enqueue("part", b"%d" % number, queue=queues[3], group="g")
    await worker.serve(queues=dict.fromkeys(queues, 1), group={"max_size": 2})
    for queue, task in tasks.items():
        await agreed(pair, task, queue, state="completed", result=b"1")
    await agreed(pair, failing, queues[0], state="completed", retried=1)
    await agreed(pair, later, queues[1], state="completed")
    await agreed(pair, unique, queues[2], state=None)
    assert sorted(await worker.parts("g")) == [b"0", b"1"]

"""A node of a cluster is away for a while: the queues of the other nodes do not notice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from asyncq import Client, Mux, Server, Task
from asyncq._wire.keys import Keys
from tests.support.cluster import ClusterProcesses
from tests.support.servers import RedisProcess

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.cluster]

_LONGEST = 3.0  # seconds; without the node, it is until the node is back


@pytest.fixture
def own_cluster() -> Iterator[ClusterProcesses]:
    """A cluster of which the rest is served when a node is away."""
    with ClusterProcesses() as cluster:
        for node in cluster.nodes:
            with node.client() as client:
                cast("Any", client).execute_command("CONFIG", "SET", "cluster-require-full-coverage", "no")
        yield cluster


def _queue_on(cluster: ClusterProcesses, node: RedisProcess) -> str:
    names = (f"queue-{number}" for number in range(1000))
    return next(name for name in names if cluster.owner_of(Keys().queue(name).pending) is node)


@pytest.mark.parametrize("how", ["killed", "frozen"])
@pytest.mark.parametrize("strict", [False, True])
async def test_the_queues_of_other_nodes_go_on(
    own_cluster: ClusterProcesses, how: str, *, strict: bool
) -> None:
    """What is ready, what becomes due, and what is enqueued."""
    _, away, there = own_cluster.nodes
    bad, good = _queue_on(own_cluster, away), _queue_on(own_cluster, there)
    ran: asyncio.Queue[str] = asyncio.Queue()
    mux = Mux()

    @mux.handle("t")
    async def work(task: Task) -> None:
        ran.put_nowait(task.payload)

    server = Server(own_cluster.url, concurrency=4, queues={bad: 2, good: 1}, strict_priority=strict)
    async with Client(own_cluster.url) as client, server.running(mux):
        for queue in (bad, good):
            await client.enqueue(Task("t", queue), queue=queue)
            assert await ran.get() == queue
        if how == "killed":
            away.kill()
        else:
            away.pause()
        inside = server._supervisor  # noqa: SLF001 - actors have no public name
        assert inside is not None
        assert inside.fetcher is not None
        inside.fetcher.wake()  # as its timer does now and then: it asks the node that is away, too
        await asyncio.sleep(0)
        for number in range(3):
            async with asyncio.timeout(_LONGEST):
                await client.enqueue(Task("t", f"due {number}"), queue=good, process_in=0.2)
                await client.enqueue(Task("t", f"now {number}"), queue=good)
                assert {await ran.get(), await ran.get()} == {f"due {number}", f"now {number}"}
        if how == "killed":
            away.start()
        else:
            away.resume()
        await client.enqueue(Task("t", "back"), queue=bad)
        async with asyncio.timeout(20.0):
            assert await ran.get() == "back"

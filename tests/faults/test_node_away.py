"""A node of a cluster is away for a while: the queues of the other nodes do not notice."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from asyncq import Client, ConnectionOptions, Inspector, Mux, Server, Task
from tests.support.cluster import ClusterProcesses, queue_on
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.cluster]

_LONGEST = 3.0  # seconds; without the node, it is until the node is back


@pytest.mark.parametrize("how", ["killed", "frozen"])
@pytest.mark.parametrize("strict", [False, True])
async def test_the_queues_of_other_nodes_go_on(
    own_cluster: ClusterProcesses, how: str, *, strict: bool
) -> None:
    """What is ready, what becomes due, and what is enqueued."""
    _, away, there = own_cluster.nodes
    bad, good = queue_on(own_cluster, away), queue_on(own_cluster, there)
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


@pytest.mark.parametrize("how", ["killed", "frozen"])
@pytest.mark.parametrize("which", [0, 2])
async def test_servers_start_while_a_node_is_away(
    own_cluster: ClusterProcesses, how: str, which: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever restarts its servers in the middle of trouble must not make it worse.

    The first node serves slot 0, which is nobody's in particular.
    """
    away, there = own_cluster.nodes[which], own_cluster.nodes[1]
    bad, good = queue_on(own_cluster, away), queue_on(own_cluster, there)
    ran: asyncio.Queue[str] = asyncio.Queue()
    mux = Mux()

    @mux.handle("t")
    async def work(task: Task) -> None:
        ran.put_nowait(task.payload)

    options = replace(ConnectionOptions.from_url(own_cluster.url), connect_timeout=1.0)
    server = Server(options, queues={bad: 1, good: 1})
    async with Client(options, patience=30.0) as client:
        (away.kill if how == "killed" else away.pause)()
        pong = await client.ping()
        missing = [text for text in pong.warnings if "does not answer" in text]
        assert len(missing) == 1
        assert str(away.port) in missing[0]
        async with asyncio.timeout(20.0), server.running(mux):
            await client.enqueue(Task("t", "there"), queue=good)
            assert await ran.get() == "there"
            assert any(
                str(away.port) in one.getMessage() and getattr(one, "event", "") == "redis_warning"
                for one in caplog.records
            )
            (away.start if how == "killed" else away.resume)()
            await client.enqueue(Task("t", "back"), queue=bad)
            assert await ran.get() == "back"


async def test_old_tasks_of_other_nodes_are_removed(own_cluster: ClusterProcesses) -> None:
    """What was kept for long enough goes, though the queue of another node comes first."""
    _, away, there = own_cluster.nodes
    bad, good = queue_on(own_cluster, away), queue_on(own_cluster, there)
    mux = Mux()

    @mux.handle("t")
    async def work(task: Task) -> None:
        """Nothing."""

    server = Server(own_cluster.url, queues={bad: 1, good: 1}, janitor_interval=0.5)
    async with (
        Client(own_cluster.url) as client,
        Inspector(own_cluster.url) as inspector,
        server.running(mux),
    ):
        away.kill()
        info = await client.enqueue(Task("t"), queue=good, retention=0.5)
        await client.result(info, 10.0)

        async def is_gone() -> bool:
            return not (await inspector.queues.get(good)).size

        await wait_until(is_gone, "the completed task to go", 20.0)
        away.start()

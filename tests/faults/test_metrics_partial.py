"""What Prometheus sees while a node of a cluster is away: what the others hold, in time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asyncq import Client, ConnectionOptions, Task
from asyncq.metrics import Exporter
from tests.support.cluster import ClusterProcesses, queue_on
from tests.support.listing import listed

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.cluster]

TIMEOUT = 9.0


@pytest.fixture
def nodes(lasting_cluster: ClusterProcesses) -> Iterator[ClusterProcesses]:
    """The cluster whose other nodes go on, with all of its nodes again afterwards."""
    lasting_cluster.flush()
    away = lasting_cluster.nodes[2]
    yield lasting_cluster
    away.resume()
    lasting_cluster.wait_ok()


async def test_what_the_others_hold_is_shown_in_time(nodes: ClusterProcesses) -> None:
    """A scrape is answered, however long the node stays away; what is missing is counted."""
    away, there = nodes.nodes[2], nodes.nodes[1]
    options = replace(ConnectionOptions.from_url(nodes.url), connect_timeout=0.5)
    bad, good = queue_on(nodes, away, "bad"), queue_on(nodes, there, "good")
    async with (
        Client(options) as client,
        Exporter(options, listen="127.0.0.1:0", interval=0, timeout=TIMEOUT) as exporter,
    ):
        for queue in (bad, good):
            await client.enqueue(Task("t"), queue=queue)
        await listed(client)
        await exporter.render()
        away.pause()
        for _ in range(2):
            async with asyncio.timeout(2 * TIMEOUT):
                page, _ = await exporter.render()
            found = {
                (sample.name, sample.labels.get("queue")): sample.value
                for family in text_string_to_metric_families(page.decode())
                for sample in family.samples
            }
            assert found["asyncq_up", None] == 1
            assert found["asyncq_queue_size", good] == 1
            assert ("asyncq_queue_size", bad) not in found
            assert found["asyncq_missing", None] > 0
        away.resume()

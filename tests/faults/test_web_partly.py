"""What the web UI shows while a node of a cluster is away: what the others hold, and that it is not all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncq import Client, ConnectionOptions, Inspector, Task
from asyncq.web import NoAuth
from tests.support.cluster import ClusterProcesses, queue_on
from tests.support.web import Made, visitor

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.cluster]

SOON = 0.5


async def test_pages_show_what_the_other_nodes_hold(lasting_cluster: ClusterProcesses, web: Made) -> None:
    """A queue on a node that is away must not take the list of all the others with it."""
    lasting_cluster.flush()
    away, here = lasting_cluster.nodes[0], lasting_cluster.nodes[1]
    lost, kept = queue_on(lasting_cluster, away), queue_on(lasting_cluster, here)
    options = replace(ConnectionOptions.from_url(lasting_cluster.url), connect_timeout=SOON)
    async with Client(options) as client, Inspector(options, patience=SOON) as inspector:
        assert not (await inspector.ping()).missing
        for name in (lost, kept):
            await client.enqueue(Task("greet"), queue=name)
        made = web(inspector, auth=NoAuth())
        async with visitor(made) as browser:
            assert (await browser.get(f"/queues/{lost}")).status_code == 200
            away.kill()
            try:
                for path in ("/", "/queues", "/queues?sort=pending", "/servers", "/redis", "/groups"):
                    made.site.samples.forget()
                    page = await browser.get(path)
                    assert page.status_code == 200, (path, page.text.partition("lead")[2][:300])
                    assert "A node of Redis is away" in page.text, path
                made.site.samples.forget()
                page = await browser.get("/queues")
                assert f"/queues/{kept}" in page.text
                page = await browser.get(f"/queues/{lost}")
                assert page.status_code == 503
                assert "Redis cannot be reached" in page.text
            finally:
                away.start()
                lasting_cluster.wait_ok()
            made.site.samples.forget()
            page = await browser.get("/queues")
            assert "A node of Redis is away" not in page.text
            assert f"/queues/{lost}" in page.text

"""What the web UI shows while a node of a cluster is away: what the others hold, and that it is not all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncq import Client, ConnectionOptions, Inspector, Task
from asyncq._wire.keys import Keys
from asyncq.web import NoAuth
from tests.support.cluster import ClusterProcesses, queue_on
from tests.support.servers import RedisProcess
from tests.support.web import Made, visitor

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.cluster]

SOON = 0.5

AWAY = "A node of Redis is away"


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
                pages = ("/", "/queues", "/queues?sort=pending", "/servers", "/redis", "/groups", "/tasks")
                for path in (*pages, "/failures", f"/groups?queue={lost}"):
                    made.site.samples.forget()
                    page = await browser.get(path)
                    assert page.status_code == 200, (path, page.text.partition("lead")[2][:300])
                    assert AWAY in page.text, path
                    assert "No task waits in a group" not in page.text
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
            assert AWAY not in page.text
            assert f"/queues/{lost}" in page.text


async def test_schedules_are_shown_while_a_node_is_away(lasting_cluster: ClusterProcesses, web: Made) -> None:
    """The entries lie on one node, what became of each on others; a page says what it cannot know."""
    lasting_cluster.flush()
    keys = Keys()
    home = lasting_cluster.owner_of(keys.entries.entries)
    away = next(node for node in lasting_cluster.nodes if node is not home)

    def named(beginning: str, history_on: RedisProcess) -> str:
        names = (f"{beginning}{number}" for number in range(99))
        return next(name for name in names if lasting_cluster.owner_of(keys.history(name)) is history_on)

    # What is due next lies with the queue, what became of times under a name of its own.
    lost, half, kept = named("lost", away), named("half", away), named("kept", home)
    queues = {lost: queue_on(lasting_cluster, away), half: queue_on(lasting_cluster, home)}
    options = replace(ConnectionOptions.from_url(lasting_cluster.url), connect_timeout=SOON)
    async with Client(options) as client, Inspector(options, patience=SOON) as inspector:
        assert not (await inspector.ping()).missing
        for name in (lost, half, kept):
            queue = queues.get(name, queues[half])
            await client.schedules.add("@every 1h", Task("greet"), entry_id=name, queue=queue)
            await inspector.schedules.run_now(name)
        made = web(inspector, auth=NoAuth())
        async with visitor(made) as browser:
            for name in (lost, half, kept):
                assert "by hand" in (await browser.get(f"/schedules/{name}")).text
            made.site.samples.forget()
            away.kill()
            try:
                page = await browser.get("/schedules")
                assert (page.status_code, AWAY in page.text) == (200, True)
                for name in (lost, half, kept):
                    assert f"/schedules/{name}" in page.text
                for name, is_whole in ((lost, False), (half, False), (kept, True)):
                    page = await browser.get(f"/schedules/{name}")
                    assert (page.status_code, AWAY in page.text) == (200, not is_whole), name
                    assert ("by hand" in page.text) == is_whole
                    assert "@every 1h" in page.text
                    assert "This entry is gone" not in page.text
            finally:
                away.start()
                lasting_cluster.wait_ok()
            made.site.samples.forget()
            assert AWAY not in (await browser.get("/schedules")).text
            home.kill()
            try:
                for path in ("/schedules", f"/schedules/{kept}"):
                    made.site.samples.forget()
                    page = await browser.get(path)
                    assert (page.status_code, "Redis cannot be reached" in page.text) == (503, True), path
            finally:
                home.start()
                lasting_cluster.wait_ok()

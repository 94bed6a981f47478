"""Looks at many places: what is found by walking keys, and how long a node is waited for."""

from __future__ import annotations

import asyncio

import pytest

from asyncq._broker import directory
from asyncq._broker.rounds import Question, Round
from asyncq.client import Client
from asyncq.inspector import Inspector
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.support.cluster import ClusterProcesses
from tests.support.listing import listed

PREFIX = "a*c[x]:"


@pytest.mark.cluster
async def test_names_are_found_on_all_nodes(cluster: ClusterProcesses) -> None:
    """Those of this prefix, and no other: what stands in a pattern for something is meant as it is."""
    cluster.flush()
    names = sorted(["plain", "with space", "a*b", "näme", "x:y"])
    async with (
        Client(cluster.url, prefix=PREFIX) as client,
        Client(cluster.url, prefix="abc[x]:") as other,
        Client(cluster.url, prefix="abcx:") as another,
        Inspector(cluster.url, prefix=PREFIX) as inspector,
    ):
        for name in names:
            await client.enqueue(Task("t", task_id="}:flow"), queue=name)
        for beside in (other, another):
            await beside.enqueue(Task("t"), queue="not this")
        await listed(client)
        basis = inspector._reach.broker().basis  # noqa: SLF001 - the walk is for bad times only
        key = basis.queue("").flow
        round_ = Round(basis, partial=True)
        assert sorted(await directory._walk(basis, round_, key)) == names  # noqa: SLF001 - the same
        assert round_.end() == ()
        assert await inspector.queues.names(partial=True) == names


@pytest.mark.cluster
async def test_a_walk_ends_when_its_time_is_over(cluster: ClusterProcesses) -> None:
    """Whoever asks is told of the node, and has waited long enough."""
    cluster.flush()
    async with Inspector(cluster.url) as inspector:
        basis = inspector._reach.broker().basis  # noqa: SLF001 - as above
        node = (await basis.router.holders())[0]
        found = await directory._walk_node(basis, node, "asyncq:{", "}:flow", 0.0, set())  # noqa: SLF001
        assert found == node


@pytest.mark.cluster
async def test_a_node_that_works_is_waited_for(cluster: ClusterProcesses) -> None:
    """However long the question takes: it is the node that must answer in time, and not the question."""
    async with Inspector(cluster.url) as inspector:
        basis = inspector._reach.broker().basis  # noqa: SLF001 - as above
        round_ = Round(basis, partial=False, within=0.2)

        async def ask() -> str:
            await asyncio.sleep(3 * round_.bound)
            return "at last"

        assert await round_.each([Question("queue", ["q"], 0, ask)]) == ["at last"]


async def test_a_part_is_the_whole_where_all_answer(any_redis: AnyRedis) -> None:
    """And says so."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        for queue in ("a", "b"):
            await client.enqueue(Task("t"), queue=queue)
        await listed(client)
        for partial in (False, True):
            names = await inspector.queues.names(partial=partial)
            assert names == ["a", "b"]
            assert [queue.pending for queue in await inspector.queues.list(partial=partial)] == [1, 1]
            nodes = await inspector.cluster.redis(partial=partial)
            assert len(nodes) == (3 if any_redis.kind == "cluster" else 1)
            report = await inspector.audit(partial=partial)
            assert report.is_clean
            assert set(report.counts) == {"a", "b"}
            lists = (names, nodes, await inspector.servers.list(partial=partial))
            assert {one.missing for one in lists} == {()}
            assert all(one.is_whole for one in lists)

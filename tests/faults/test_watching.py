"""What silent producers do is heard of wherever the queue is served: after a fail-over, and after a move."""

from __future__ import annotations

import asyncio

import pytest

from asyncq._engine import watcher as module
from tests.integration.serving import inside
from tests.integration.silent import Producer, Taken, watching
from tests.support.cluster import ClusterProcesses, SlotMove
from tests.support.sentinel import SentinelProcesses
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.mark.sentinel
async def test_the_primary_dies() -> None:
    """And another one takes over."""
    taken = Taken()
    with SentinelProcesses(sentinels=1) as redis, redis.client() as client:
        producer = Producer(client)
        async with watching(redis.url, taken.mux):
            await taken.of(producer.push())
            survivor = redis.kill_primary()
            await asyncio.to_thread(redis.wait_promoted, survivor)
            await wait_until(lambda: _hears_at(survivor), "the server to hear the new primary", 20.0)
            with survivor.client() as other:
                await taken.of(Producer(other).push())


@pytest.mark.cluster
async def test_an_empty_queue_moves_to_another_node(
    own_cluster: ClusterProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing changes on the node that it leaves, so nothing is told there: the next question is sent on."""
    monkeypatch.setattr(module, "CHECK_EVERY", 0.2)
    taken = Taken()
    with own_cluster.client() as client:
        producer = Producer(client)
        key = producer.keys().pending
        async with watching(own_cluster.url, taken.mux, queues=["default", "other"]) as server:
            await taken.of(producer.push())
            old = own_cluster.owner_of(key)
            target = next(node for node in own_cluster.nodes if node is not old)
            move = SlotMove(own_cluster, key, target)
            move.begin()
            move.end(unwatched=True)
            own_cluster.wait_agreed()
            await wait_until(lambda: _hears_at(target), "the server to hear the other node")
            await wait_until(lambda: all(one.hears for one in inside(server).watchers), "the server to hear")
            await taken.of(producer.push())


def _hears_at(node: RedisProcess) -> bool:
    with node.client() as client:
        return any(entry["name"].startswith("asyncq:watcher:") for entry in client.client_list())


async def test_redis_restarts(own_redis: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pushed as soon as it is there again is found."""
    monkeypatch.setattr(module, "POLL_EVERY", 0.1)
    taken = Taken()
    async with watching(own_redis.url, taken.mux) as server:
        (watcher,) = inside(server).watchers
        for _ in range(2):
            own_redis.kill()
            await wait_until(lambda: not watcher.hears, "the loss to be noticed")
            own_redis.start()
            with own_redis.client() as client:
                await taken.of(Producer(client).push())
                await wait_until(lambda: watcher.hears, "the server to hear")

"""The slot of a queue is moved to another node of a cluster while the queue is in use.

Key by key, as `redis-cli --cluster reshard` does it. Its keys are on two nodes meanwhile, and calls that
need more than one of them wait until it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from asyncq import Client, Task
from asyncq._broker.leases import RECOVER
from asyncq._wire.keys import Keys
from asyncq.options import TaskOptions
from tests.support.cluster import ClusterProcesses, SlotMove
from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.ledger import Ledger
from tests.support.remains import assert_drained, assert_sound, unfinished
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(60)]

QUEUE = Keys().queue("default")


@pytest.fixture
def redis() -> Iterator[ClusterProcesses]:
    """A cluster of the test's own: where its slots are is nobody else's business."""
    with ClusterProcesses() as processes:
        yield processes


@asynccontextmanager
async def _load(client: Client) -> AsyncIterator[list[str]]:
    """Enqueue all kinds of tasks, for the length of a block."""
    enqueued: list[str] = []
    stop = asyncio.Event()

    async def go_on(producer: int) -> None:
        number = producer
        while not stop.is_set():
            number += 1
            plan: dict[str, Any] = {"wait": 0.1 if number % 10 == 0 else 0.005, "fails": int(number % 7 == 0)}
            delay = 0.2 if number % 5 == 0 else 0
            plan["number"] = f"{producer} {number}"  # else they would not be unique
            lock: TaskOptions = {"unique": 60} if number % 3 == 0 else {}
            info = await client.enqueue(Task("work", plan), process_in=delay, **lock)
            enqueued.append(info.id)
            await asyncio.sleep(0.02)  # no more than two servers can do

    producers = [asyncio.create_task(go_on(producer)) for producer in range(4)]
    try:
        yield enqueued
    finally:
        stop.set()
        await asyncio.gather(*producers)


@pytest.mark.parametrize("tasks_first", [True, False])
async def test_a_queue_may_move_to_another_node_under_load(
    redis: ClusterProcesses, ledger: Ledger, *, tasks_first: bool
) -> None:
    """Clusters grow and shrink: nobody stops for that, and nothing is lost or run again."""
    source = redis.owner_of(QUEUE.pending)
    target = next(node for node in redis.nodes if node is not source)
    with Fleet(redis.url, ledger, lease=10.0) as fleet:
        for _ in range(2):
            fleet.start()
        async with Client(redis.url, patience=30) as client:
            async with _load(client) as enqueued:
                await wait_until(lambda: len(ledger.ended()) > 50, "tasks to be done")
                move = SlotMove(redis, QUEUE.pending, target)
                move.begin()
                half = [key for key in move.left() if key.startswith(QUEUE.task_prefix) == tasks_first]
                move.carry(*half)
                assert half
                # Everybody is to come upon it half-way: four producers, and two servers.
                told = _told_to_try_again(redis)
                await wait_until(lambda: _told_to_try_again(redis) > told + 50, "calls that must wait")
                assert move.left()
                move.end()
                done = len(ledger.ended())
                await wait_until(lambda: len(ledger.ended()) > done + 50, "work to go on", 20.0)
            await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done", 20.0)
        await assert_drained(redis, "default")
    assert redis.owner_of(QUEUE.pending) is target
    account = ledger.account(enqueued)
    account.assert_complete()
    for runs in account.runs.values():
        assert len(runs) == 1 + sum(run.outcome == "failed" for run in runs)


async def test_a_lost_task_that_is_on_its_way_is_taken_back_when_it_has_arrived(
    redis: ClusterProcesses, ledger: Ledger, gate: Gate
) -> None:
    """Its lease is on one node, and it on the other: it has not vanished."""
    source = redis.owner_of(QUEUE.pending)
    target = next(node for node in redis.nodes if node is not source)
    with Fleet(redis.url, ledger, lease=1.0) as fleet, redis.client() as raw:
        victim = fleet.start()
        async with Client(redis.url, patience=30) as client:
            # All that recovery declares is to be there, or Redis would not even begin: an archived task,
            # one that is pending, a server that idles.
            await client.enqueue(Task("work", {"fails": 1}), max_retry=0)
            await wait_until(lambda: unfinished(raw, "default") == {"archived": 1}, "one archived task")
            held = [(await client.enqueue(Task("work", {"until": gate.path}))).id for _ in range(3)]
            await wait_until(lambda: ledger.running(victim.pid) == len(held), "the tasks to run")
            raw.set(QUEUE.paused, "1")
            held.append((await client.enqueue(Task("work", {}))).id)
            fleet.start()
            fleet.kill(victim)
            await wait_until(lambda: raw.exists(QUEUE.waiting), "a server that idles")

            move = SlotMove(redis, QUEUE.pending, target)
            move.begin()
            move.carry(*[key for key in move.left() if not key.startswith(QUEUE.task_prefix)])
            assert len(move.left()) == 5
            await wait_until(lambda: _all_leases_ended(target), "the leases to end")
            with target.client() as direct:
                direct.config_set("slowlog-max-len", 100_000)
                direct.config_set("slowlog-log-slower-than", 0)
            # The first of them may only look, since it has been held up.
            await wait_until(lambda: _runs_of_recover(target) >= 5, "tries to take them back", 15.0)
            move.end()

            raw.delete(QUEUE.paused)
            gate.open()
            await wait_until(lambda: ledger.ended() >= set(held), "every task to be done", 20.0)
            await wait_until(lambda: unfinished(raw, "default") == {"archived": 1}, "all outcomes")
        await assert_sound(redis)
    ledger.account(held, killed=fleet.killed).assert_complete()


def _told_to_try_again(redis: ClusterProcesses) -> int:
    """Return how often a node has answered that the keys of a call are in two places."""
    total = 0
    for node in redis.nodes:
        with node.client() as client:
            found = cast("dict[str, Any]", client.info("errorstats"))
            total += int(found.get("errorstat_TRYAGAIN", {"count": 0})["count"])
    return total


def _all_leases_ended(node: RedisProcess) -> bool:
    """Tell whether nobody holds what a node holds leases of; it need not be the owner of the slot yet."""
    with node.client() as client:
        now = cast("tuple[int, int]", client.time())[0]
        client.execute_command("ASKING")
        return int(cast("Any", client.zcount(QUEUE.lease, now, "+inf"))) == 0


def _runs_of_recover(node: RedisProcess) -> int:
    """Return how often a node has run `recover`, of all that its log of commands holds."""
    with node.client() as client:
        lines = [entry["command"] for entry in cast("Any", client.slowlog_get(100_000))]
    return sum(RECOVER.texts["native"].sha.encode() in line for line in lines)

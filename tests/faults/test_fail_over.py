"""A primary dies under load, and its replica takes over.

Redis replicates asynchronously: what the dead primary had acknowledged in its last moments may
not be on the replica. So an enqueue of that time may be lost, and an outcome, in which case its
task runs again. What was replicated, as `WAIT` says, is there; and so is everything that was
acknowledged after the crash, since only the new primary can have done that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from asyncq import Client, Task
from tests.support.cluster import ClusterProcesses
from tests.support.fleet import Fleet
from tests.support.ledger import Ledger
from tests.support.remains import assert_drained
from tests.support.sentinel import SentinelProcesses
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(120)]

LEASE = 2.0
QUEUES = ("high", "default", "low")
WEIGHTS = "high=3,default=2,low=1"
# What the dead primary had answered may be read a moment later.
_READING = 0.2


@dataclass
class _Load:
    """Tasks that are enqueued without a pause."""

    acknowledged: list[tuple[float, str, str]] = field(default_factory=list)
    """When, in which queue, and the id."""

    def of(self, queue: str) -> list[str]:
        """Return the ids of a queue."""
        return [task_id for _, where, task_id in self.acknowledged if where == queue]

    def sure(self, replicated_at: float, killed_at: float, exposed: Sequence[str] = QUEUES) -> set[str]:
        """Return the ids of what must not be lost."""
        return {
            task_id
            for at, queue, task_id in self.acknowledged
            if queue not in exposed or at < replicated_at or at > killed_at
        }


@asynccontextmanager
async def _load(client: Client) -> AsyncIterator[_Load]:
    """Enqueue into each queue, without a pause, for the length of a block."""
    load, stop = _Load(), asyncio.Event()

    async def go_on(queue: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            # Some of them run while the primary dies, some fail and are to be retried then.
            task = Task("work", {"wait": 1.5 if number % 10 == 0 else 0.01, "fails": int(number % 7 == 0)})
            info = await client.enqueue(task, queue=queue, process_in=0.5 if number % 5 == 0 else 0)
            load.acknowledged.append((time.monotonic(), queue, info.id))
            await asyncio.sleep(0.02)

    producers = [asyncio.create_task(go_on(queue)) for queue in QUEUES]
    try:
        yield load
    finally:
        stop.set()
        await asyncio.gather(*producers)


def _replicated(primary: RedisProcess, key: str) -> float:
    """Return a time before which everything that was acknowledged is on a replica."""
    with primary.client() as raw:
        now = time.monotonic()
        raw.set(key, "written so that there is something to wait for", ex=60)
        assert raw.execute_command("WAIT", 1, 5000) >= 1
    return now


@pytest.mark.sentinel
async def test_a_sentinels_primary_may_die_under_load(ledger: Ledger) -> None:
    """The way most people run Redis for what must not stop."""
    with SentinelProcesses(sentinels=1) as redis, Fleet(redis.url, ledger, WEIGHTS, lease=LEASE) as fleet:
        for _ in range(2):
            fleet.start()
        async with Client(redis.url, patience=30) as client:
            async with _load(client) as load:
                await wait_until(lambda: len(ledger.ended()) > 50, "tasks to be done")
                replicated_at = _replicated(redis.primary(), "sync")
                heir = redis.kill_primary()
                killed_at = time.monotonic() + _READING
                await asyncio.to_thread(redis.wait_promoted, heir)
                done = len(ledger.ended())
                await wait_until(lambda: len(ledger.ended()) > done + 50, "work to go on", 20.0)
            sure = load.sure(replicated_at, killed_at)
            assert len(sure) > 20
            await wait_until(lambda: ledger.ended() >= sure, "every task to be done", 30.0)
        await assert_drained(redis, *QUEUES)
    account = ledger.account(sure, excused=lambda run: run.began_at < killed_at)
    account.assert_complete()


@pytest.mark.cluster
async def test_a_node_of_a_cluster_may_die_under_load(ledger: Ledger) -> None:
    """What lives on the other nodes does not even notice."""
    with (
        ClusterProcesses(replicas=1) as redis,
        Fleet(redis.url, ledger, WEIGHTS, lease=LEASE, concurrency=8) as fleet,
    ):
        for _ in range(2):
            fleet.start()
        owners = {queue: redis.owner_of(f"asyncq:{{{queue}}}:pending") for queue in QUEUES}
        dying = owners["high"]
        hit = [queue for queue in QUEUES if owners[queue] is dying]
        spared = [queue for queue in QUEUES if owners[queue] is not dying]
        assert spared
        async with Client(redis.url, patience=30) as client:
            async with _load(client) as load:
                await wait_until(lambda: len(ledger.ended()) > 50, "tasks to be done")
                replicated_at = _replicated(dying, f"{{{hit[0]}}}")
                heir = redis.replica_of(dying)
                dying.kill()
                killed_at = time.monotonic() + _READING
                began = set(load.of(spared[0]))
                await wait_until(
                    lambda: len(ledger.ended() & (set(load.of(spared[0])) - began)) >= 10,
                    "tasks on another node to be enqueued and done meanwhile",
                    2.0,
                )
                await asyncio.to_thread(redis.wait_promoted, heir)
                done = len(ledger.ended() & set(load.of("high")))
                await wait_until(
                    lambda: len(ledger.ended() & set(load.of("high"))) > done + 20, "work to go on", 20.0
                )
            sure = load.sure(replicated_at, killed_at, exposed=hit)
            assert len(sure) > 20
            await wait_until(lambda: ledger.ended() >= sure, "every task to be done", 30.0)
        await assert_drained(redis, *QUEUES)
    account = ledger.account(sure, excused=lambda run: run.began_at < killed_at)
    account.assert_complete()
    for task_id in load.of(spared[0]):
        runs = account.runs[task_id]
        assert len(runs) == 1 + sum(run.outcome == "failed" for run in runs)

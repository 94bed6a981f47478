"""Servers are killed while they hold tasks, and no task is lost by that."""

from __future__ import annotations

import random
import time
from functools import partial

import pytest

from asyncq import Client, Task
from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.ledger import Ledger
from tests.support.remains import assert_drained
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

ROUNDS = 120
LEASE = 1.0
QUEUES = ("high", "default", "low")


@pytest.mark.timeout(300)
async def test_every_task_is_accounted_for_after_more_than_a_hundred_kills(
    own_redis: RedisProcess, ledger: Ledger
) -> None:
    """The promise on which all others rest: at least once, whatever happens to servers."""
    draw = random.Random(2)
    enqueued: list[str] = []
    with Fleet(own_redis.url, ledger, "high=6,default=3,low=1", lease=LEASE) as fleet:
        async with Client(own_redis.url) as client:
            for _ in range(3):
                fleet.start(wait=False)
            for number in range(1, ROUNDS + 1):
                victim = draw.choice(fleet.members)

                async def holds_tasks() -> bool:
                    if ledger.running(victim.pid):  # noqa: B023 - awaited in this very round
                        return True
                    # Long and short ones, so that kills hit every step of a task's way.
                    for queue in QUEUES:
                        wait, fails = draw.choice((0.0, 0.0, 0.02, 0.1)), draw.choice((0, 0, 0, 1))
                        task = Task("work", {"wait": wait, "fails": fails})
                        delay = draw.choice((0.0, 0.0, 0.05))
                        enqueued.append((await client.enqueue(task, queue=queue, process_in=delay)).id)
                    return False

                await wait_until(holds_tasks, "a server to hold tasks", 20.0)
                fleet.kill(victim)
                fleet.start(wait=False)
                if number % 10 == 0:
                    # Kills while tasks are taken back are wanted as well as kills before that.
                    await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done", 30.0)
        await assert_drained(own_redis, *QUEUES)
        account = ledger.account(enqueued, killed=fleet.killed)
        account.assert_complete()
        # Otherwise the kills came at moments when there was nothing to lose.
        assert account.repeated >= ROUNDS / 2


@pytest.mark.parametrize("lease", [1.0, 2.0])
@pytest.mark.timeout(60)
async def test_a_killed_servers_task_runs_again_within_a_lease_and_a_second(
    own_redis: RedisProcess, ledger: Ledger, gate: Gate, lease: float
) -> None:
    """How long a crash delays a task is promised, so that one can plan with it."""
    delays: list[float] = []
    with Fleet(own_redis.url, ledger, lease=lease, concurrency=1) as fleet:
        async with Client(own_redis.url) as client:
            holder = fleet.start()
            task = await client.enqueue(Task("work", {"until": gate.path}))
            for sample in range(1, 5):
                await wait_until(partial(ledger.running, holder.pid), "the task to run")
                heir = fleet.start()
                fleet.kill(holder)
                killed_at = time.monotonic()
                await wait_until(partial(ledger.running, heir.pid), "the task to run again")
                delays.append(ledger.runs()[task.id][sample].began_at - killed_at)
                holder = heir
            gate.open()
            await wait_until(ledger.ended, "the task to be done")
        await assert_drained(own_redis, "default")
        ledger.account([task.id], killed=fleet.killed).assert_complete()
    assert max(delays) <= lease + 1.0, delays
    # Earlier would mean that leases are taken from the living, too.
    assert min(delays) >= lease / 2, delays

"""Servers are killed while they make one task of many: none is lost by that, and none is in two."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from asyncq import Client, Task
from tests.support.fleet import Fleet, Member
from tests.support.ledger import Ledger
from tests.support.remains import assert_drained, assert_sound
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

ROUNDS = 25
LEASE = 1.0
QUEUES = ("high", "low")
NEVER = 3600.0


def _began(ledger: Ledger, member: Member) -> int:
    return sum(entry.phase == "aggregating" and entry.pid == member.pid for entry in ledger.entries())


@pytest.mark.timeout(180)
async def test_every_grouped_task_is_in_one_other_whoever_is_killed(
    own_redis: RedisProcess, ledger: Ledger
) -> None:
    """Grouped, some of them unique, some delayed; the auditor looks while sets lie about."""
    draw = random.Random(7)
    enqueued: list[str] = []
    options = {"lease": LEASE, "aggregate": True, "group_grace_period": 0.05, "group_max_size": 5}
    with own_redis.client() as redis, Fleet(own_redis.url, ledger, "high=2,low=1", **options) as fleet:
        async with Client(own_redis.url) as client:
            for _ in range(3):
                fleet.start(wait=False)
            for number in range(ROUNDS):
                victim = draw.choice(fleet.members)
                before = _began(ledger, victim)

                async def is_aggregating() -> bool:
                    if _began(ledger, victim) > before:  # noqa: B023 - awaited in this very round
                        return True
                    # Kills shall hit the reading, the waiting and the writing.
                    task = Task("work", {"hold": draw.choice((0.0, 0.0, 0.01, 0.2)), "number": len(enqueued)})
                    group, queue = f"g{draw.randrange(4)}", draw.choice(QUEUES)
                    if draw.random() < 0.3:
                        placed = await client.enqueue(task, queue=queue, group=group, unique=NEVER)
                    else:
                        delay = draw.choice((0.0, 0.05))
                        placed = await client.enqueue(task, queue=queue, group=group, process_in=delay)
                    enqueued.append(placed.id)
                    return False

                await wait_until(is_aggregating, "a server to aggregate", 20.0)
                fleet.kill(victim)
                fleet.start(wait=False)
                if number % 8 == 0:
                    await assert_sound(own_redis)
            await assert_drained(own_redis, *QUEUES, timeout=40.0)
        assert not list(redis.scan_iter("asyncq:{*}:unique:*", count=1000))
    inside: defaultdict[str, set[str]] = defaultdict(set)
    for entry in ledger.entries():
        if entry.phase == "part":
            inside[entry.id].add(entry.detail)
    assert set(inside) == set(enqueued), "lost, or out of nowhere"
    assert [task_id for task_id, tasks in inside.items() if len(tasks) != 1] == []


async def test_what_a_killed_server_aggregated_is_taken_up_within_a_lease(
    own_redis: RedisProcess, ledger: Ledger
) -> None:
    """Nobody has to put another task into the group for that."""
    with Fleet(own_redis.url, ledger, lease=LEASE, aggregate=True, group_grace_period=0.05) as fleet:
        async with Client(own_redis.url) as client:
            victim = fleet.start()
            await client.enqueue(Task("work", {"hold": 60.0}), group="g", unique=NEVER)
            await wait_until(lambda: _began(ledger, victim), "it to aggregate")
            heir = fleet.start()
            fleet.kill(victim)
            await wait_until(lambda: _began(ledger, heir), "the other one to", LEASE + 5.0)
            await assert_sound(own_redis)

"""What a crash costs the numbers: some seconds of them, and never a task that was not."""

from __future__ import annotations

import pytest

from asyncq import Client, Inspector, Task
from asyncq.measures import MeasuredPoint
from tests.support.fleet import Fleet
from tests.support.ledger import Ledger
from tests.support.remains import assert_drained
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

TASKS = 40


async def _points(inspector: Inspector) -> list[MeasuredPoint]:
    return await inspector.measures.history("default", since=7200)


async def test_a_killed_server_takes_its_last_seconds_with_it(
    own_redis: RedisProcess, ledger: Ledger
) -> None:
    """The counters of the queue lack nothing; what the server had written stays; nothing counts twice."""
    with Fleet(own_redis.url, ledger, lease=1.0) as fleet:
        async with Client(own_redis.url) as client, Inspector(own_redis.url) as inspector:
            first = fleet.start()
            await client.enqueue(Task("work", {}))

            async def is_written() -> bool:
                return sum(one.done for one in await _points(inspector)) == 1

            await wait_until(is_written, "the first server to write its numbers")
            for _ in range(TASKS):
                await client.enqueue(Task("work", {}))

            async def is_done() -> bool:
                return (await inspector.queues.get("default")).processed_total == TASKS + 1

            await wait_until(is_done, "all to be done")
            fleet.kill(first)
            assert 1 <= sum(one.done for one in await _points(inspector)) <= TASKS + 1

            second = fleet.start()
            await client.enqueue(Task("work", {}))
            before = sum(one.done for one in await _points(inspector))
            await wait_until(lambda: len(ledger.ended()) == TASKS + 2, "the last one to be done")
            second.terminate()
            second.wait()
            # The second one left in order.
            assert sum(one.done for one in await _points(inspector)) == before + 1
            assert (await inspector.queues.get("default")).processed_total == TASKS + 2
    await assert_drained(own_redis, "default")

"""Schedulers are killed while they enqueue: no time of an entry is missed or had twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from itertools import pairwise

import pytest

from asyncq import Inspector, Mux, Server, Task
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

ENTRIES = 20
KILLS = 12

_PROGRAM = f"""
import sys
from asyncq import Scheduler, Task
scheduler = Scheduler(sys.argv[1])
for number in range({ENTRIES}):
    scheduler.register("@every 1s", Task("work"), entry_id=f"entry {{number}}")
scheduler.run()
"""


def _start(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _PROGRAM, url])


@pytest.mark.timeout(120)
async def test_three_schedulers_that_are_killed_enqueue_each_time_once(own_redis: RedisProcess) -> None:
    """No leader, nothing to take over: whoever is there goes on, and what was done stays done."""
    draw = random.Random(4)
    ran: list[str] = []
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        ran.append(task.id)

    members = [_start(own_redis.url) for _ in range(3)]
    try:
        async with (
            Inspector(own_redis.url) as inspector,
            Server(own_redis.url, concurrency=20).running(mux),
        ):

            async def are_there() -> bool:
                return len({info.pid for info in await inspector.schedulers.list()} & _pids(members)) == 3

            await wait_until(are_there, "three schedulers", 20)
            for _ in range(KILLS):
                seen = len(ran)
                # In the middle of a burst: twenty entries are due at about the same moment.
                await wait_until(lambda: len(ran) > seen, "something to run")  # noqa: B023 - awaited here
                victim = members.pop(draw.randrange(3))
                victim.send_signal(signal.SIGKILL)
                victim.wait()
                members.append(_start(own_redis.url))
                await wait_until(are_there, "three schedulers again", 20)
            seen = len(ran)
            await wait_until(lambda: len(ran) >= seen + 2 * ENTRIES, "everything to go on")
            for member in members:
                member.send_signal(signal.SIGTERM)
            for member in members:
                assert member.wait(20) == 0
            until = time.time()
            assert (await inspector.audit()).is_clean
    finally:
        for member in members:
            member.kill()
            member.wait()

    assert len(set(ran)) == len(ran), "a time was had twice"
    times: dict[str, list[float]] = defaultdict(list)
    for task_id in ran:
        entry, _, nominal = task_id.partition("-")
        times[entry].append(float(nominal))
    assert len(times) == ENTRIES
    for nominals in times.values():
        row = sorted(nominals)
        gaps = [later - earlier for earlier, later in pairwise(row)]
        # Two of three are alive at each moment; a machine that is busy may be late for a second.
        assert min(gaps) > 0.99
        assert max(gaps) < 5
        assert until - row[-1] < 10


def _pids(members: list[subprocess.Popen[bytes]]) -> set[int]:
    return {member.pid for member in members}

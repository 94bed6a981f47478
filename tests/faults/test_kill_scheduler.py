"""Schedulers are killed while they enqueue: no time of an entry is missed or had twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from itertools import pairwise
from typing import Any

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
    scheduler.register("@every 1s", Task("work"), entry_id=f"entry {{number}}", catch_up=sys.argv[2])
scheduler.run()
"""


def _start(url: str, catch_up: str = "skip") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _PROGRAM, url, catch_up])


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


@pytest.mark.timeout(120)
async def test_no_time_is_missed_or_had_twice_whenever_schedulers_are_killed(own_redis: RedisProcess) -> None:
    """Some of them, and all of them at once: with `catch_up="all"` the row of each entry has no gap."""
    draw = random.Random(7)
    members: list[subprocess.Popen[bytes]] = []

    def kill(count: int) -> None:
        for _ in range(count):
            member = members.pop(draw.randrange(len(members)))
            member.kill()
            member.wait()

    with own_redis.client() as client:

        def rows() -> dict[str, list[float]]:
            found: dict[str, list[float]] = defaultdict(list)
            ids: Any = client.lrange("asyncq:{default}:pending", 0, -1)
            for raw in reversed(ids):
                entry, _, nominal = raw.decode().partition("-")
                found[entry].append(float(nominal))
            return found

        def count() -> int:
            return sum(map(len, rows().values()))

        try:
            for killed in (3, 1, 2, 3, 2, 3):
                while len(members) < 3:
                    members.append(_start(own_redis.url, "all"))
                seen = count()
                # In the middle of what is due now and what is made up for.
                await wait_until(lambda: count() > seen + draw.randrange(40), "something", 20)  # noqa: B023
                kill(killed)
            members.append(_start(own_redis.url, "all"))
            now = time.time()

            def is_up_to_date() -> bool:
                found = rows()
                return len(found) == ENTRIES and all(row[-1] > now for row in found.values())

            await wait_until(is_up_to_date, "all to be made up for", 20)
            async with Inspector(own_redis.url) as inspector:
                assert (await inspector.audit()).is_clean
        finally:
            kill(len(members))

        for row in rows().values():
            # In order, too: the list is as they were put in.
            assert row == [pytest.approx(row[0] + number, abs=0.002) for number in range(len(row))]


def _pids(members: list[subprocess.Popen[bytes]]) -> set[int]:
    return {member.pid for member in members}

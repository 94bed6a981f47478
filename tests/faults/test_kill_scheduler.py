"""Schedulers are killed while they enqueue: no time of an entry is missed or had twice."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from typing import Any

import pytest

from asyncq import Inspector, Mux, Server, Task
from asyncq._scheduling.crowds import LEAST
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

ENTRIES = 20
CROWD = 4 * LEAST + 40
"""A quarter of them come at full seconds and are not made up for: more than are needed for a crowd."""

SECONDS = float(os.environ.get("ASYNCQ_KILL_SECONDS", "2"))
"""For how long schedulers are killed. Minutes find more: see CONTRIBUTING.md."""

_PROGRAM = """
import sys
from asyncq import Scheduler, Task
scheduler = Scheduler(sys.argv[1])
specs = ["@every 1s"] if sys.argv[2] == "all" else ["@every 1s", "* * * * * *"]
for number in range(int(sys.argv[3])):
    catch_up = "all" if number % 4 < 2 else sys.argv[2]
    spec, entry_id = specs[number % len(specs)], f"entry {number}"
    scheduler.register(spec, Task("work"), entry_id=entry_id, catch_up=catch_up)
scheduler.run()
"""


def _start(url: str, catch_up: str = "skip", entries: int = ENTRIES) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _PROGRAM, url, catch_up, f"{entries}"])


async def _left_out(inspector: Inspector, entry_id: str) -> list[float]:
    """The times that the history of an entry says were left out."""
    left_out: list[float] = []
    for event in await inspector.schedulers.events(entry_id, limit=1000):
        if event.outcome == "skipped":
            left_out += [event.nominal_at.timestamp() + number for number in range(event.count)]
    return left_out


@pytest.mark.timeout(60 + 4 * SECONDS)
@pytest.mark.parametrize(("count", "entries"), [(2, ENTRIES), (5, ENTRIES), (10, ENTRIES), (3, CROWD)])
async def test_each_time_is_had_once_by_schedulers_that_are_killed(
    own_redis: RedisProcess, count: int, entries: int, request: pytest.FixtureRequest
) -> None:
    """At random, up to all of them. What is not to be made up for and was left out is in the history."""
    seed = request.config.getoption("randomly_seed", None) or count
    draw = random.Random(f"{seed}")
    ran: list[str] = []
    early: list[str] = []
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        ran.append(task.id)
        if time.time() < float(task.id.partition("-")[2]):
            early.append(task.id)

    members: list[subprocess.Popen[bytes]] = []
    try:
        async with (
            Inspector(own_redis.url) as inspector,
            Server(own_redis.url, concurrency=20).running(mux),
        ):

            async def are_there() -> bool:
                there = {info.pid for info in await inspector.schedulers.list()}
                return _pids(members) <= there

            until = time.monotonic() + SECONDS
            while not members or time.monotonic() < until:
                members += [_start(own_redis.url, entries=entries) for _ in range(count - len(members))]
                # In the middle of a burst: many entries are due at about the same moment.
                goal = len(ran) + 1 + draw.randrange(entries)
                await wait_until(lambda: len(ran) >= goal, "something to run", 30)  # noqa: B023
                _kill(members, draw.randint(1, count), draw)
            members += [_start(own_redis.url, entries=entries) for _ in range(2)]
            await wait_until(are_there, "schedulers", 30)
            goal = len(ran) + 2 * entries
            with own_redis.client() as client:
                await wait_until(lambda: len(ran) >= goal and not _notes(client, entries), "all to go on", 30)
            for member in members:
                member.terminate()
            for member in members:
                assert member.wait(20) == 0
            await wait_until(lambda: _is_idle(inspector), "all to have run")
            left_out = {n: await _left_out(inspector, f"entry {n}") for n in range(entries)}
            assert (await inspector.audit()).is_clean
    finally:
        _kill(members, len(members), draw)

    assert early == []
    assert len(set(ran)) == len(ran), f"a time was had twice (seed {seed})"
    for number in range(entries):
        # Only what is not made up for may be left out.
        missing = _missing(f"entry {number}", ran, left_out[number] if number % 4 > 1 else [])
        assert not missing, f"entry {number} (seed {seed})"


def _missing(entry_id: str, ran: list[str], left_out: list[float]) -> set[int]:
    """The seconds, from the first time of an entry to the last one that was had, of which nothing is said."""
    mark = hashlib.blake2s(entry_id.encode(), digest_size=6).hexdigest()
    row = sorted(float(task_id.partition("-")[2]) for task_id in ran if task_id.startswith(mark))
    told = {round(at - row[0], 2) for at in (*row, *left_out)}
    return {second for second in range(round(row[-1] - row[0]) + 1) if second not in told}


def _notes(client: Any, entries: int = ENTRIES) -> list[bytes]:
    """What schedulers have still to write into histories."""
    names = [f"asyncq:{{default}}:tick:entry {number}" for number in range(entries)]
    return [field for name in names for field in client.hkeys(name) if field.startswith(b"note:")]


async def _is_idle(inspector: Inspector) -> bool:
    info = await inspector.queues.get("default")
    return not info.pending and not info.active


@pytest.mark.timeout(120)
async def test_no_time_is_missed_or_had_twice_whenever_schedulers_are_killed(own_redis: RedisProcess) -> None:
    """Some of them, and all of them at once: with `catch_up="all"` the row of each entry has no gap."""
    draw = random.Random(7)
    members: list[subprocess.Popen[bytes]] = []

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
                _kill(members, killed, draw)
            members.append(_start(own_redis.url, "all"))
            now = time.time()

            def is_up_to_date() -> bool:
                found = rows()
                return len(found) == ENTRIES and all(row[-1] > now for row in found.values())

            await wait_until(is_up_to_date, "all to be made up for", 20)
            async with Inspector(own_redis.url) as inspector:
                assert (await inspector.audit()).is_clean
        finally:
            _kill(members, len(members), draw)

        for row in rows().values():
            # In order, too: the list is as they were put in.
            assert row == [pytest.approx(row[0] + number, abs=0.002) for number in range(len(row))]


def _kill(members: list[subprocess.Popen[bytes]], count: int, draw: random.Random) -> None:
    for _ in range(count):
        member = members.pop(draw.randrange(len(members)))
        member.kill()
        member.wait()


def _pids(members: list[subprocess.Popen[bytes]]) -> set[int]:
    return {member.pid for member in members}

"""Servers are told to leave under load: what they hold is handed back at once, and nothing is counted."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from asyncq import Client, Task
from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.ledger import Ledger
from tests.support.remains import assert_drained
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

# So long that nothing in here can have been saved by a lease that ran out.
LEASE = 60.0
BASE = "asyncq:{default}:"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_that_leaves_hands_its_tasks_back(
    own_redis: RedisProcess, ledger: Ledger, gate: Gate, number: signal.Signals
) -> None:
    """A deployment must not cost a lease of delay, nor one of a task's retries."""
    with Fleet(own_redis.url, ledger, lease=LEASE) as fleet, own_redis.client() as raw:
        leaver = fleet.start(shutdown_timeout=0.5)
        async with Client(own_redis.url) as client:
            brief = Task("work", {"wait": 0.2})
            held = [(await client.enqueue(Task("work", {"until": gate.path}))).id for _ in range(3)]
            finished = (await client.enqueue(brief)).id
            await wait_until(lambda: ledger.running(leaver.pid) == 4, "the server to be busy")
            waiting = [(await client.enqueue(brief)).id for _ in range(3)]
            asked_at = time.monotonic()
            os.kill(leaver.pid, number)
            leaver.wait()
            assert time.monotonic() - asked_at < 6.0
        # What could end in time did. The rest stands in front of what came later.
        assert ledger.ended() == {finished}
        order = [task_id.decode() for task_id in raw.lrange(f"{BASE}pending", 0, -1)]
        assert set(order[-3:]) == set(held)
        assert order[:-3] == waiting[::-1]
        for task_id in held:
            kept = raw.hgetall(f"{BASE}t:{task_id}")
            assert not {b"retried", b"lost", b"state", b"delivery"} & set(kept)
        assert raw.zcard(f"{BASE}lease") == 0
        assert [entry.detail for entry in ledger.entries() if entry.phase == "exit"] == [""]
        gate.open()
        fleet.start()
        await wait_until(lambda: ledger.ended() >= {*held, *waiting}, "every task to be done")
        await assert_drained(own_redis, "default")
        assert raw.get(f"{BASE}failed") is None
    account = ledger.account([*held, finished, *waiting])
    account.assert_complete()
    assert account.repeated == len(held)


async def test_a_second_signal_hurries(own_redis: RedisProcess, ledger: Ledger, gate: Gate) -> None:
    """Whoever presses the keys twice has no time for the grace period."""
    with Fleet(own_redis.url, ledger, lease=LEASE, shutdown_timeout=60.0) as fleet:
        leaver = fleet.start()
        async with Client(own_redis.url) as client:
            held = [(await client.enqueue(Task("work", {"until": gate.path}))).id for _ in range(4)]
            await wait_until(lambda: ledger.running(leaver.pid) == 4, "the server to be busy")
            leaver.terminate()
            await wait_until(lambda: fleet.has_logged(leaver, "signal"), "the signal to be seen")
            # It takes nothing more, and lets what runs go on.
            late = (await client.enqueue(Task("work", {}))).id
            heir = fleet.start()
            await wait_until(lambda: late in ledger.ended(), "another server to take what is new")
            assert ledger.running(leaver.pid) == 4
            leaver.terminate()
            leaver.wait(3.0)
            await wait_until(lambda: ledger.running(heir.pid) == 4, "the tasks to run elsewhere")
            gate.open()
            await wait_until(lambda: ledger.ended() >= {*held, late}, "every task to be done")
        await assert_drained(own_redis, "default")
    ledger.account([*held, late]).assert_complete()


async def test_a_handler_in_a_thread_does_not_keep_a_server_from_leaving(
    own_redis: RedisProcess, ledger: Ledger, gate: Gate
) -> None:
    """Threads cannot be stopped; the server goes without them, and the task goes to another."""
    options = {"lease": LEASE, "shutdown_timeout": 0.2, "cancel_grace": 0.3}
    with Fleet(own_redis.url, ledger, **options) as fleet:
        leaver = fleet.start()
        async with Client(own_redis.url) as client:
            held = (await client.enqueue(Task("work:thread", {"until": gate.path}))).id
        await wait_until(partial(ledger.running, leaver.pid), "the task to run")
        leaver.terminate()
        await wait_until(lambda: fleet.has_logged(leaver, "left") or not leaver.is_alive, "it to leave", 10.0)
        heir = fleet.start()
        await wait_until(partial(ledger.running, heir.pid), "the task to run elsewhere")
        gate.open()
        await wait_until(lambda: not ledger.running(heir.pid), "the task to be done")
        await assert_drained(own_redis, "default")
        leaver.wait(5.0)
    ledger.account([held], excused=lambda run: run.pid == leaver.pid).assert_complete()


@pytest.mark.timeout(90)
async def test_servers_may_be_replaced_one_by_one_under_load(own_redis: RedisProcess, ledger: Ledger) -> None:
    """A rolling deployment, over and over: no task is lost, fails, or waits for a lease."""
    enqueued: list[str] = []
    stop = asyncio.Event()

    async def produce(client: Client) -> None:
        while not stop.is_set():
            number = len(enqueued)
            work = Task("work", {"wait": 0.5 if number % 10 == 0 else 0.01})
            delay = 0.2 if number % 4 == 0 else 0.0
            enqueued.append((await client.enqueue(work, process_in=delay)).id)
            await asyncio.sleep(0.005)

    with Fleet(own_redis.url, ledger, lease=LEASE, shutdown_timeout=0.1) as fleet, own_redis.client() as raw:
        async with Client(own_redis.url) as client:
            for _ in range(3):
                fleet.start()
            producing = asyncio.create_task(produce(client))
            for _ in range(20):
                leaver = fleet.members.pop(0)
                await wait_until(partial(ledger.running, leaver.pid), "the server to be busy")
                await asyncio.to_thread(fleet.start)
                leaver.terminate()
                await asyncio.to_thread(leaver.wait)
            stop.set()
            await producing
        await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done")
        await assert_drained(own_redis, "default")
        assert raw.get(f"{BASE}failed") is None
        assert raw.get(f"{BASE}processed") == str(len(enqueued)).encode()
    account = ledger.account(enqueued)
    account.assert_complete()
    assert not ledger.count("log", "recovered")


async def test_a_server_that_still_waits_for_redis_can_be_told_to_leave(ledger: Ledger) -> None:
    """Stopping a deployment that cannot start is the commonest reason to send a signal."""
    with RedisProcess() as redis, Fleet(redis.url, ledger, lease=LEASE) as fleet:
        redis.kill()
        member = fleet.start(wait=False, start_patience=60)
        await wait_until(partial(_is_connecting, member.pid), "the server to try")
        member.terminate()
        member.wait(3.0)


def _is_connecting(pid: int) -> bool:
    """Tell whether a process has its signal handlers in place, as `run` installs them before it connects."""
    with Path(f"/proc/{pid}/status").open(encoding="ascii") as status:
        caught = next(line for line in status if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)

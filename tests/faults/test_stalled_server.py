"""Servers that hang, freeze, or have the wrong time, and what their neighbours make of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import pytest
from redis import Redis

from asyncq import Client, Task
from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.ledger import Ledger
from tests.support.remains import assert_drained, assert_sound
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

LEASE = 1.0
HOUR = 3600.0


async def test_a_handler_that_blocks_the_loop_for_three_leases_keeps_its_task(
    own_redis: RedisProcess, ledger: Ledger
) -> None:
    """A slow library call in an `async def` is a common mistake; it must not run tasks twice."""
    with Fleet(own_redis.url, ledger, lease=LEASE) as fleet:
        blocked, idle = fleet.start(), fleet.start()
        blocked.pause()
        idle.pause()
        async with Client(own_redis.url) as client:
            # Both wait in the same server, one of them innocent.
            tasks = [
                await client.enqueue(Task("work", {"wait": 0.5})),
                await client.enqueue(Task("work", {"block": 3 * LEASE})),
            ]
        blocked.resume()
        await wait_until(lambda: ledger.running(blocked.pid) == len(tasks), "both tasks to run")
        idle.resume()
        await wait_until(lambda: len(ledger.ended()) == len(tasks), "both tasks to be done")
        await assert_drained(own_redis, "default")
        assert fleet.has_logged(blocked, "loop_blocked")
    account = ledger.account([task.id for task in tasks])
    account.assert_complete()
    assert account.repeated == 0
    assert not ledger.count("log", "lease_lost")


async def test_a_server_that_always_holds_up_its_loop_takes_back_what_others_lost(
    own_redis: RedisProcess, ledger: Ledger, gate: Gate
) -> None:
    """It may be the last one that is left, and bad as it is, better than none."""
    with Fleet(own_redis.url, ledger, lease=LEASE) as fleet:
        victim = fleet.start(concurrency=1)
        async with Client(own_redis.url) as client:
            lost = await client.enqueue(Task("work", {"until": gate.path}))
            await wait_until(partial(ledger.running, victim.pid), "the task to run")
            slow = fleet.start(concurrency=4)
            held_up = {(await client.enqueue(Task("work", {"block": 1.3 * LEASE}))).id for _ in range(5)}
        await wait_until(partial(ledger.running, slow.pid), "the loop to be held up")
        fleet.kill(victim)
        await wait_until(lambda: fleet.has_logged(slow, "recovered"), "the task to be taken back")
        gate.open()
        await wait_until(lambda: ledger.ended() >= {lost.id, *held_up}, "every task to be done")
        await assert_drained(own_redis, "default")
    taken_back = min(entry.at for entry in ledger.entries() if entry.detail == "recovered")
    ends = [entry.at for entry in ledger.entries() if entry.phase == "end" and entry.id in held_up]
    assert taken_back < max(ends), "it was not taken back before the loop was free"
    ledger.account([lost.id, *held_up], killed=fleet.killed).assert_complete()


async def test_the_outcome_of_a_thawed_server_changes_nothing(
    own_redis: RedisProcess, ledger: Ledger
) -> None:
    """A virtual machine that is moved, or a laptop that sleeps, comes back with old outcomes."""
    with Fleet(own_redis.url, ledger, lease=LEASE, concurrency=1) as fleet, own_redis.client() as raw:
        frozen = fleet.start()
        async with Client(own_redis.url) as client:
            # It holds up the loop, so after the thaw it ends before it can be told to stop.
            task = await client.enqueue(Task("work", {"block": LEASE / 2}), retention=60)
        await wait_until(partial(ledger.running, frozen.pid), "the task to run")
        frozen.pause()
        heir = fleet.start()
        await wait_until(partial(raw.zcard, "asyncq:{default}:completed"), "the task to be done elsewhere")
        settled = _contents(raw)
        frozen.resume()
        await wait_until(lambda: fleet.has_logged(frozen, "not_owner"), "the old outcome to be refused")
        assert _contents(raw) == settled
        await assert_sound(own_redis)
        first, second = ledger.runs()[task.id]
        assert (first.pid, first.outcome) == (frozen.pid, "end")
        assert (second.pid, second.outcome) == (heir.pid, "end")
        ledger.account([task.id]).assert_complete()


@pytest.mark.parametrize("kind", ["work", "work:thread"])
async def test_a_thawed_server_stops_work_that_runs_elsewhere_by_now(
    own_redis: RedisProcess, ledger: Ledger, gate: Gate, kind: str
) -> None:
    """Two servers on one task is the price of freezing; it ends as soon as it is noticed."""
    with Fleet(own_redis.url, ledger, lease=LEASE, concurrency=1, cancel_grace=0.2) as fleet:
        frozen = fleet.start()
        async with Client(own_redis.url) as client:
            task = await client.enqueue(Task(kind, {"until": gate.path}))
        await wait_until(partial(ledger.running, frozen.pid), "the task to run")
        frozen.pause()
        heir = fleet.start()
        await wait_until(partial(ledger.running, heir.pid), "the task to run elsewhere")
        frozen.resume()
        await wait_until(lambda: fleet.has_logged(frozen, "lease_lost"), "the loss to be noticed")
        if kind == "work":
            await wait_until(lambda: not ledger.running(frozen.pid), "the handler to be stopped")
        gate.open()
        await wait_until(lambda: not ledger.running(heir.pid), "the task to be done")
        await assert_drained(own_redis, "default")
        with own_redis.client() as raw:
            assert raw.get("asyncq:{default}:processed") == b"1"
        first, second = ledger.runs()[task.id]
        assert first.pid == frozen.pid
        assert (second.pid, second.outcome) == (heir.pid, "end")
        ledger.account([task.id]).assert_complete()


async def test_servers_with_clocks_hours_apart_respect_each_others_leases(
    own_redis: RedisProcess, ledger: Ledger
) -> None:
    """Clocks drift and are set wrong; only that of Redis may decide whose a task is."""
    with Fleet(own_redis.url, ledger, lease=LEASE, concurrency=3) as fleet:
        early, late = fleet.start(skew=-HOUR), fleet.start(skew=HOUR)
        async with Client(own_redis.url) as client:
            work = Task("work", {"wait": 3 * LEASE})
            ids = [(await client.enqueue(work, timeout=30)).id for _ in range(6)]
        await wait_until(
            lambda: ledger.running(early.pid) == ledger.running(late.pid) == 3, "both to be busy"
        )
        await wait_until(lambda: ledger.ended() == set(ids), "every task to be done")
        await assert_drained(own_redis, "default")
        account = ledger.account(ids)
        account.assert_complete()
        assert account.repeated == 0
        assert not ledger.count("log", "lease_lost")


@pytest.mark.parametrize("skew", [-HOUR, HOUR])
async def test_a_server_with_a_wrong_clock_is_on_time(
    own_redis: RedisProcess, ledger: Ledger, skew: float
) -> None:
    """Delays, retries and time limits are counted by Redis, whatever this machine believes."""
    with Fleet(own_redis.url, ledger, lease=LEASE) as fleet:
        fleet.start(skew=skew)
        async with Client(own_redis.url) as client:
            asked_at = time.monotonic()
            delayed = await client.enqueue(Task("work", {}), process_in=1.0, timeout=30)
            failing = await client.enqueue(Task("work", {"fails": 1}), timeout=30)
        await wait_until(lambda: ledger.ended() == {delayed.id, failing.id}, "both tasks to be done")
        await assert_drained(own_redis, "default")
        runs = ledger.runs()
        assert 1.0 <= runs[delayed.id][0].began_at - asked_at <= 1.25
        first, second = runs[failing.id]
        assert 0.2 <= second.began_at - first.began_at <= 0.45  # the fleet's retry policy: 0.2 s


async def test_a_server_with_a_wrong_clock_recovers_on_time(
    own_redis: RedisProcess, ledger: Ledger, gate: Gate
) -> None:
    """One that is ahead must not steal early, one that is behind must not wait for an hour."""
    with Fleet(own_redis.url, ledger, lease=LEASE, concurrency=1) as fleet:
        holder = fleet.start(skew=HOUR)
        async with Client(own_redis.url) as client:
            task = await client.enqueue(Task("work", {"until": gate.path}))
        await wait_until(partial(ledger.running, holder.pid), "the task to run")
        heir = fleet.start(skew=-HOUR)
        fleet.kill(holder)
        killed_at = time.monotonic()
        await wait_until(partial(ledger.running, heir.pid), "the task to run again")
        assert LEASE / 2 <= time.monotonic() - killed_at <= LEASE + 1.0
        gate.open()
        await wait_until(ledger.ended, "the task to be done")
        await assert_drained(own_redis, "default")
        ledger.account([task.id], killed=fleet.killed).assert_complete()


def _contents(client: Redis) -> Mapping[bytes, object]:
    """Return everything that says something about tasks."""
    found: dict[bytes, object] = {}
    for key in cast("list[bytes]", client.keys("asyncq:{default}:*")):
        reader: Any = {
            b"hash": client.hgetall,
            b"zset": partial(client.zrange, start=0, end=-1, withscores=True),
        }
        kind = cast("bytes", client.type(key))
        if b":receipt:" not in key and b":waiting" not in key and kind in reader:
            found[key] = reader[kind](key)
    return found

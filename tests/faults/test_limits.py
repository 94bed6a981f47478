"""Holders of slots are killed, frozen and cut off: never too many of them, and none blocked for ever."""

from __future__ import annotations

import random
import time
from contextlib import aclosing
from functools import partial

import pytest

from asyncq import Client, Semaphore, Server, Task
from asyncq._broker import basis
from tests.support.fault_server import make_mux, recorded
from tests.support.fleet import Fleet, Member
from tests.support.gate import Gate
from tests.support.ledger import Ledger
from tests.support.proxy import Proxy
from tests.support.remains import assert_drained
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

LEASE = 1.0
SLOTS = 2  # of the handler `limited`
KEY = "asyncq:sema:{bank}"


@pytest.mark.timeout(120)
async def test_never_more_than_the_limit_while_servers_are_killed(
    own_redis: RedisProcess, ledger: Ledger
) -> None:
    """What the limit protects must not suffer from our crashes; and each task has its turn."""
    draw = random.Random(5)
    killed_at: dict[int, float] = {}
    with Fleet(own_redis.url, ledger, lease=LEASE, concurrency=6) as fleet:
        for _ in range(3):
            fleet.start(wait=False)
        async with Client(own_redis.url) as client:
            task = Task("limited", {"wait": 0.1})
            ids = [(await client.enqueue(task)).id for _ in range(60)]

        def holders() -> list[Member]:
            return [member for member in fleet.members if ledger.running(member.pid)]

        for _ in range(6):
            await wait_until(holders, "a server to hold a slot", 20.0)
            victim = draw.choice(holders() or fleet.members)
            fleet.kill(victim)
            killed_at[victim.pid] = time.monotonic()
            fleet.start(wait=False)
        await wait_until(lambda: ledger.ended() >= set(ids), "every task to be done", 60.0)
        await assert_drained(own_redis, "default")
    account = ledger.account(ids, killed=fleet.killed)
    account.assert_complete()
    assert ledger.most_at_once(killed_at) == SLOTS


async def test_the_slots_of_a_killed_server_are_free_within_a_lease_and_a_second(
    own_redis: RedisProcess, ledger: Ledger, gate: Gate
) -> None:
    """So that one can plan with it."""
    with Fleet(own_redis.url, ledger, lease=LEASE) as fleet:
        # It has no place for the last task, and so does not take it into the grave.
        holder = fleet.start(concurrency=SLOTS)
        async with Client(own_redis.url) as client:
            first = [await client.enqueue(Task("limited", {"until": gate.path})) for _ in range(SLOTS)]
            await wait_until(lambda: ledger.running(holder.pid) == SLOTS, "all slots to be held")
            heir = fleet.start()
            last = await client.enqueue(Task("limited", {}))
            ids = {last.id, *(task.id for task in first)}
            async with aclosing(Semaphore(own_redis.url, "bank", SLOTS)) as semaphore:
                assert await semaphore.try_acquire() is None
                fleet.kill(holder)
                killed_at = time.monotonic()
                slot = await semaphore.acquire(timeout=10)
                assert LEASE / 2 <= time.monotonic() - killed_at <= LEASE + 1.0
                await slot.release()
            gate.open()
            await wait_until(lambda: ledger.ended() == ids, "all tasks to be done")
            assert ledger.runs()[last.id][0].pid == heir.pid
        await assert_drained(own_redis, "default")


async def test_a_handler_that_blocks_the_loop_keeps_its_slot(own_redis: RedisProcess, ledger: Ledger) -> None:
    """As it keeps its lease: from a thread of their own."""
    with Fleet(own_redis.url, ledger, lease=LEASE) as fleet:
        blocked, idle = fleet.start(), fleet.start()
        idle.pause()
        async with Client(own_redis.url) as client:
            ids = [(await client.enqueue(Task("limited", {"block": 2.5 * LEASE}))).id]
            await wait_until(partial(ledger.running, blocked.pid), "the task to hold up the loop")
            idle.resume()
            ids += [(await client.enqueue(Task("limited", {"wait": 0.2}))).id for _ in range(6)]
        await wait_until(lambda: ledger.ended() == set(ids), "all tasks to be done", 20.0)
        await assert_drained(own_redis, "default")
        assert fleet.has_logged(blocked, "loop_blocked")
    account = ledger.account(ids)
    account.assert_complete()
    assert account.repeated == 0
    assert ledger.most_at_once() == SLOTS
    assert not ledger.count("log", "semaphore_lost")


async def test_the_slots_of_a_frozen_server_go_to_others(
    own_redis: RedisProcess, ledger: Ledger, gate: Gate
) -> None:
    """And when it thaws it is told, and stops."""
    with Fleet(own_redis.url, ledger, lease=LEASE) as fleet:
        frozen = fleet.start()
        async with Client(own_redis.url) as client:
            ids = [(await client.enqueue(Task("limited", {"until": gate.path}))).id for _ in range(SLOTS)]
            await wait_until(lambda: ledger.running(frozen.pid) == SLOTS, "all slots to be held")
            frozen.pause()
            heir = fleet.start()
            await wait_until(lambda: ledger.running(heir.pid) == SLOTS, "the heir to have them")
            frozen.resume()
            await wait_until(lambda: not ledger.running(frozen.pid), "the old ones to be stopped")
            gate.open()
            await wait_until(lambda: ledger.ended() == set(ids), "all tasks to be done")
        await assert_drained(own_redis, "default")
    ledger.account(ids).assert_complete()


@pytest.mark.parametrize("lose", ["lose_reply", "lose_request"])
async def test_calls_that_get_lost_take_no_second_slot(own_redis: RedisProcess, lose: str) -> None:
    """They are sent again, and recognised."""
    with Proxy(own_redis) as proxy:
        async with aclosing(Semaphore(proxy.url, "bank", SLOTS)) as semaphore:
            await (await semaphore.acquire()).release()  # both scripts are known to Redis now
            for script in ("acquire", "release", "acquire"):
                getattr(proxy, lose)("EVALSHA", containing=basis.script(script).texts["native"].sha.encode())
                async with semaphore as slot:
                    assert [one.token for one in (await semaphore.held()).holders] == [slot.token]
                assert (await semaphore.held()).count == 0
            assert proxy.losses == 3


async def test_a_server_whose_calls_get_lost_respects_the_limit(
    own_redis: RedisProcess, ledger: Ledger
) -> None:
    """Nor does it lose a task, or run one twice."""
    scripts = ("acquire", "release", "vacancy", "promote", "settle")
    with Proxy(own_redis) as proxy, recorded(ledger):
        async with (
            Client(own_redis.url) as client,
            Server(proxy.url, lease=LEASE, concurrency=6).running(make_mux(ledger)),
        ):
            ids = [(await client.enqueue(Task("limited", {}))).id for _ in range(SLOTS + 1)]
            await wait_until(lambda: ledger.ended() == set(ids), "the scripts to be known to Redis")
            for script in scripts:
                proxy.lose_reply(
                    "EVALSHA", containing=basis.script(script).texts["native"].sha.encode(), times=2
                )
            ids += [(await client.enqueue(Task("limited", {"wait": 0.01}))).id for _ in range(40)]
            await wait_until(lambda: ledger.ended() == set(ids), "every task to be done", 30.0)
            await assert_drained(own_redis, "default")
            assert proxy.losses == 2 * len(scripts)
    account = ledger.account(ids)
    account.assert_complete()
    assert account.repeated == 0
    assert ledger.most_at_once() <= SLOTS


async def test_tasks_wait_while_redis_is_away(own_redis: RedisProcess, ledger: Ledger) -> None:
    """For longer than a lease: who runs goes on, and the limit holds when Redis is back."""
    with recorded(ledger), Proxy(own_redis) as proxy:
        async with (
            Client(own_redis.url) as client,
            Server(proxy.url, lease=LEASE, concurrency=6).running(make_mux(ledger)),
        ):
            ids = [(await client.enqueue(Task("limited", {"wait": 0.3}))).id for _ in range(6)]
            await wait_until(lambda: ledger.count("begin") >= SLOTS, "some to run")
            proxy.refuse()
            proxy.cut()
            await wait_until(lambda: ledger.count("end") >= SLOTS, "them to end")
            proxy.start()
            await wait_until(lambda: ledger.ended() == set(ids), "every task to be done", 30.0)
            await assert_drained(own_redis, "default")
    ledger.account(ids).assert_complete()
    assert ledger.most_at_once() <= SLOTS

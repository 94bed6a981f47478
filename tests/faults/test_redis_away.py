"""Redis dies, freezes, or is not there: clients and servers go on by themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest

from asyncq import Client, Task
from asyncq.errors import BrokerUnavailableError
from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.ledger import Ledger
from tests.support.proxy import Proxy
from tests.support.remains import assert_drained
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

LEASE = 1.0
QUEUES = ("high", "low")


@asynccontextmanager
async def _enqueueing(client: Client, work: Task) -> AsyncIterator[list[str]]:
    """Enqueue without a pause for the length of a block; the ids of what was acknowledged."""
    acknowledged: list[str] = []
    stop = asyncio.Event()

    async def go_on() -> None:
        while not stop.is_set():
            queue = QUEUES[len(acknowledged) % 2]
            acknowledged.append((await client.enqueue(work, queue=queue)).id)
            await asyncio.sleep(0.005)

    producers = [asyncio.create_task(go_on()) for _ in range(3)]
    try:
        yield acknowledged
    finally:
        stop.set()
        await asyncio.gather(*producers)


@pytest.mark.timeout(90)
async def test_redis_may_crash_under_load(ledger: Ledger) -> None:
    """With an append-only file that is written at once, a crash of Redis costs nothing but time."""
    with (
        RedisProcess(RedisOptions(appendonly=True)) as redis,
        Fleet(redis.url, ledger, "high=2,low=1", lease=LEASE) as fleet,
    ):
        for _ in range(2):
            fleet.start()
        async with Client(redis.url) as client:
            async with _enqueueing(client, Task("work", {"wait": 0.01})) as enqueued:
                for _ in range(5):
                    count = len(ledger.ended())
                    await wait_until(lambda: len(ledger.ended()) > count + 20, "tasks to be done")  # noqa: B023
                    await asyncio.to_thread(redis.restart)
            await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done", 30.0)
        await assert_drained(redis, *QUEUES)
        with redis.client() as raw:
            assert _processed(raw) == len(enqueued)
    account = ledger.account(enqueued)
    account.assert_complete()
    assert account.repeated == 0


@pytest.mark.parametrize("away", [2.5, 7.0])
@pytest.mark.timeout(60)
async def test_redis_may_be_gone_for_longer_than_a_lease(ledger: Ledger, away: float) -> None:
    """What the servers still hold when Redis is back is theirs: nothing runs twice."""
    with (
        RedisProcess(RedisOptions(appendonly=True)) as redis,
        Fleet(redis.url, ledger, "high=2,low=1", lease=LEASE) as fleet,
    ):
        members = [fleet.start() for _ in range(2)]
        async with Client(redis.url, patience=20.0) as client:
            enqueued = await _busy_with_long_and_short(client, ledger, [m.pid for m in members], away)
            redis.kill()
            asleep = asyncio.create_task(asyncio.sleep(away))
            late = [asyncio.create_task(client.enqueue(Task("work", {}), queue="high")) for _ in range(5)]
            await asleep
            await asyncio.to_thread(redis.start)
            enqueued += [(await task).id for task in late]
            await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done", 30.0)
        await assert_drained(redis, *QUEUES)
        with redis.client() as raw:
            assert _processed(raw) == len(enqueued)
    account = ledger.account(enqueued)
    account.assert_complete()
    assert account.repeated == 0, ledger.entries()
    assert not ledger.count("log", "not_owner")


# With an answer awaited for a second only, connections are given up while it is frozen.
@pytest.mark.parametrize(("frozen", "response_timeout"), [(2.5, 10.0), (2.5, 1.0), (7.0, 1.0)])
@pytest.mark.timeout(60)
async def test_redis_may_freeze_for_longer_than_a_lease(
    own_redis: RedisProcess, ledger: Ledger, frozen: float, response_timeout: float
) -> None:
    """A fork that writes a snapshot, a paused machine: all leases end, and nobody is dead."""
    url = f"{own_redis.url}&response_timeout={response_timeout}"
    with Fleet(url, ledger, "high=2,low=1", lease=LEASE) as fleet:
        members = [fleet.start() for _ in range(2)]
        async with Client(url, patience=20.0) as client:
            enqueued = await _busy_with_long_and_short(client, ledger, [m.pid for m in members], frozen)
            own_redis.pause()
            asleep = asyncio.create_task(asyncio.sleep(frozen))
            late = [asyncio.create_task(client.enqueue(Task("work", {}), queue="high")) for _ in range(5)]
            await asleep
            own_redis.resume()
            enqueued += [(await task).id for task in late]
            await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done", 30.0)
        await assert_drained(own_redis, *QUEUES)
        with own_redis.client() as raw:
            assert _processed(raw) == len(enqueued)
    account = ledger.account(enqueued)
    account.assert_complete()
    assert account.repeated == 0
    assert not ledger.count("log", "not_owner")


async def test_a_server_waits_for_a_redis_that_is_not_there_yet(ledger: Ledger) -> None:
    """Everything is often started at once; the order must not matter."""
    with (
        RedisProcess() as redis,
        Proxy(redis) as way_of_client,
        Proxy(redis) as way_of_server,
        Fleet(way_of_server.url, ledger, lease=LEASE) as fleet,
    ):
        redis.kill()
        member = fleet.start(wait=False, start_patience=30)
        async with Client(way_of_client.url) as client:
            enqueueing = asyncio.create_task(client.enqueue(Task("work", {})))
            await wait_until(
                lambda: way_of_client.accepted >= 3 and way_of_server.accepted >= 3,
                "both to have tried in vain",
            )
            assert not fleet.has_logged(member, "started")
            assert not enqueueing.done()
            await asyncio.to_thread(redis.start)
            await enqueueing
        await wait_until(ledger.ended, "the task to be done")
        await assert_drained(redis, "default")


async def test_a_server_gives_up_on_a_redis_that_does_not_come(ledger: Ledger) -> None:
    """A wrong address must end in an error that says so, within the time that was set."""
    with RedisProcess() as redis, Fleet(redis.url, ledger, lease=LEASE) as fleet:
        redis.kill()
        begun_at = time.monotonic()
        member = fleet.start(wait=False, start_patience=1.0)
        await wait_until(lambda: not member.is_alive, "the server to give up")
        assert 1.0 <= time.monotonic() - begun_at < 10.0  # what it has if nothing is said
        (told,) = [entry.detail for entry in ledger.entries() if entry.phase == "exit"]
        assert told.startswith("BrokerUnavailableError")
        assert "is Redis running there?" in told
        async with Client(redis.url, patience=0.5) as client:
            with pytest.raises(BrokerUnavailableError, match="is Redis running there"):
                await client.enqueue(Task("work", {}))


@pytest.mark.parametrize("how", ["killed", "frozen"])
@pytest.mark.timeout(60)
async def test_a_server_leaves_in_time_while_redis_is_away(ledger: Ledger, gate: Gate, how: str) -> None:
    """A process manager kills what does not leave; the tasks run again in either case."""
    with (
        RedisProcess(RedisOptions(appendonly=True)) as redis,
        Fleet(redis.url, ledger, lease=LEASE, concurrency=2) as fleet,
    ):
        leaver = fleet.start(shutdown_timeout=1.0)
        async with Client(redis.url) as client:
            enqueued = [(await client.enqueue(Task("work", {"until": gate.path}))).id for _ in range(4)]
        await wait_until(lambda: ledger.running(leaver.pid) == 2, "the server to be busy")
        redis.kill() if how == "killed" else redis.pause()
        asked_at = time.monotonic()
        leaver.terminate()
        await wait_until(lambda: not leaver.is_alive, "the server to leave", 29.0)
        # The grace period, or what it takes to see that no answer comes; then the last words.
        assert time.monotonic() - asked_at < 15.0
        redis.start() if how == "killed" else redis.resume()
        gate.open()
        fleet.start()
        await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done")
        await assert_drained(redis, "default")
    ledger.account(enqueued).assert_complete()


async def _busy_with_long_and_short(
    client: Client, ledger: Ledger, pids: Sequence[int], away: float
) -> list[str]:
    """Have all slots taken by tasks that end while Redis is away, and after it; and some that wait."""
    work = [Task("work", {"wait": away + 1.0 if number % 2 else 1.5}) for number in range(4 * len(pids))]
    work += [Task("work", {})] * 4
    ids = [(await client.enqueue(task, queue=QUEUES[n % 3 == 0])).id for n, task in enumerate(work)]
    for pid in pids:
        await wait_until(lambda: ledger.running(pid) == 4, "all slots to be taken")  # noqa: B023
    return ids


def _processed(client: object) -> int:
    get = partial(getattr, client)("get")
    return sum(int(get(f"asyncq:{{{queue}}}:processed") or 0) for queue in QUEUES)

"""The network between us and Redis cuts, delays and swallows; each task still runs once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asyncq import Client, Inspector, Server, Task
from asyncq._broker import basis
from asyncq.errors import AsyncqError, BrokerUnavailableError
from asyncq.retry import Fixed
from tests.support.fault_server import make_mux, recorded
from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.ledger import Ledger
from tests.support.proxy import Proxy
from tests.support.remains import assert_drained, unfinished
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

LEASE = 1.0


def _sha(script: str) -> bytes:
    return basis.script(script).texts["native"].sha.encode()


@pytest.fixture
def proxy(own_redis: RedisProcess) -> Iterator[Proxy]:
    """A network in front of the test's server."""
    with Proxy(own_redis) as made:
        yield made


@asynccontextmanager
async def _serving(url: str, ledger: Ledger, **options: Any) -> AsyncIterator[Server]:
    options = {"concurrency": 8, "lease": LEASE, "retry": Fixed(0.05), **options}
    with recorded(ledger):
        async with Server(url, **options).running(make_mux(ledger)) as server:
            yield server


async def _assert_ran_once(
    redis: RedisProcess, ledger: Ledger, enqueued: list[str], queue: str = "default"
) -> None:
    """Each task once, in the ledger and in the numbers that Redis keeps."""
    await assert_drained(redis, queue)
    with redis.client() as raw:
        assert int(raw.hget(f"asyncq:{{{queue}}}:flow", "created") or 0) == len(enqueued)  # type: ignore[arg-type]
        assert int(raw.get(f"asyncq:{{{queue}}}:processed") or 0) == len(enqueued)  # type: ignore[arg-type]
    account = ledger.account(enqueued)
    account.assert_complete()
    assert set(account.runs) == set(enqueued)
    assert account.repeated == 0


async def test_connections_may_be_cut_at_any_moment(
    own_redis: RedisProcess, ledger: Ledger, proxy: Proxy
) -> None:
    """Load balancers and firewalls do it; what was on its way is sent again, and not done again."""
    async with _serving(proxy.url, ledger), Client(proxy.url) as client:
        enough = asyncio.Event()
        producing = [
            asyncio.create_task(_enqueue_until(enough, client, Task("work", {"wait": 0.01})))
            for _ in range(4)
        ]
        for _ in range(12):
            seen = len(ledger.entries())
            await wait_until(lambda: len(ledger.entries()) > seen + 30, "some work to be done")  # noqa: B023
            await asyncio.to_thread(proxy.cut)
        enough.set()
        enqueued = [one for task in producing for one in await task]
        await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done", 30.0)
        await _assert_ran_once(own_redis, ledger, enqueued)


async def test_an_enqueue_whose_answer_was_lost_makes_no_second_task(
    own_redis: RedisProcess, ledger: Ledger, proxy: Proxy
) -> None:
    """Nobody can tell a lost answer from a lost question; sending again must be right in both cases."""
    clients = [Client(proxy.url, patience=60) for _ in range(10)]
    async with _serving(own_redis.url, ledger):
        enough = asyncio.Event()
        producing = [
            asyncio.create_task(_enqueue_until(enough, client, Task("work", {}))) for client in clients
        ]
        for number in range(15):
            done = len(ledger.ended())
            proxy.lose_reply("EVALSHA", containing=_sha("enqueue"), times=6)
            proxy.lose_request("EVALSHA", containing=_sha("enqueue"), times=1)
            await wait_until(
                lambda: proxy.losses == 7 * (number + 1) and len(ledger.ended()) >= done + 12,  # noqa: B023
                "answers to be lost, and others to come",
            )
        enough.set()
        enqueued = [one for task in producing for one in await task]
        for client in clients:
            await client.aclose()
        await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done")
        await _assert_ran_once(own_redis, ledger, enqueued)


async def test_an_enqueue_is_recognised_although_its_task_is_done_and_gone(
    own_redis: RedisProcess, ledger: Ledger, proxy: Proxy
) -> None:
    """The task itself cannot be the proof that it was enqueued: it may be over before the second try."""
    variants: list[dict[str, Any]] = [
        {},
        {"task_id": "chosen"},
        {"unique": 60},
        {"process_in": 0.01},
        {"task_id": "chosen-too", "unique": 60, "process_in": 0.01},
    ]
    enqueued: list[str] = []
    with own_redis.client() as raw:
        async with _serving(own_redis.url, ledger), Client(proxy.url, patience=30) as client:
            await client.enqueue(Task("work", {}), queue="warm-up")  # the script is known from here on
            for number in range(40):
                options = dict(variants[number % len(variants)])
                if "task_id" in options:
                    options["task_id"] += str(number)
                proxy.lose_reply("EVALSHA", containing=_sha("enqueue"))
                enqueueing = asyncio.create_task(client.enqueue(Task("work", {"number": number}), **options))
                await wait_until(lambda: proxy.losses > number, "the answer to be lost")  # noqa: B023
                await asyncio.to_thread(proxy.refuse)
                await wait_until(lambda: len(ledger.ended()) > number, "the task to be done")  # noqa: B023
                await wait_until(lambda: not unfinished(raw, "default"), "its outcome to be written")
                await asyncio.to_thread(proxy.start)
                enqueued.append((await enqueueing).id)
            await _assert_ran_once(own_redis, ledger, enqueued)


async def test_a_change_is_told_although_its_task_is_done_and_gone(
    own_redis: RedisProcess, ledger: Ledger, proxy: Proxy
) -> None:
    """Who changed a task must not hear that it is not there because it has run by then."""
    async with Client(own_redis.url) as client, Inspector(proxy.url, patience=30) as inspector:
        tasks = [
            await client.enqueue(Task("note", {"value": "old"}), process_in=later) for later in (0, 60, 60)
        ]
        await inspector.tasks.edit("default", tasks[0].id, payload={"value": "older"})  # the script is known
        for number, info in enumerate(tasks):
            proxy.lose_reply("EVALSHA", containing=_sha("edit"))
            if number < 2:
                change = inspector.tasks.edit("default", info.id, payload={"value": "new"})
            else:
                change = inspector.tasks.reschedule("default", info.id, delay=0.05)
            changing = asyncio.create_task(change)
            await wait_until(lambda: proxy.losses > number, "the answer to be lost")  # noqa: B023
            await asyncio.to_thread(proxy.refuse)
            async with _serving(own_redis.url, ledger), Inspector(own_redis.url) as other:
                if number == 1:
                    await other.tasks.run("default", info.id)
                await wait_until(lambda: info.id in ledger.ended(), "the task to be done")  # noqa: B023
            await asyncio.to_thread(proxy.start)
            changed = await changing
            assert changed.id == info.id
            assert changed.state == ("pending" if number == 0 else "scheduled")
            assert changed.payload == {"value": "new" if number < 2 else "old"}
        await assert_drained(own_redis, "default")


async def test_many_enqueued_at_once_survive_lost_answers(
    own_redis: RedisProcess, ledger: Ledger, proxy: Proxy
) -> None:
    """One lost answer concerns a whole batch: all of it is there, once, and each item is told so."""
    proxy.lose_reply("EVAL", containing=b"enqueue")  # the very first call carries the script's text
    proxy.lose_reply("EVALSHA", containing=_sha("enqueue"), times=5)
    async with _serving(own_redis.url, ledger), Client(proxy.url) as client:
        tasks = (Task("work", {"number": number}) for number in range(3000))
        outcomes = [outcome async for outcome in client.enqueue_many(tasks, chunk=400)]
        assert all(outcome.is_enqueued for outcome in outcomes)
        enqueued = [outcome.info.id for outcome in outcomes if outcome.info]
        await wait_until(lambda: len(ledger.ended()) == 3000, "every task to be done", 30.0)
        assert proxy.losses == 6
        await _assert_ran_once(own_redis, ledger, enqueued)


@pytest.mark.parametrize("loss", ["reply", "request"])
@pytest.mark.parametrize("script", ["deliver", "settle", "extend", "forward", "recover"])
async def test_a_server_may_lose_any_answer(
    own_redis: RedisProcess, ledger: Ledger, proxy: Proxy, script: str, loss: str
) -> None:
    """Tasks that were handed over, outcomes that were written: neither is done twice, nor forgotten."""
    async with Client(own_redis.url) as client:
        enqueued = [
            (await client.enqueue(Task("work", {"wait": 0.01, "fails": int(n % 7 == 0)}), queue="q")).id
            for n in range(200)
        ]
        enqueued += [(await client.enqueue(Task("work", {"wait": 1.0}), queue="q")).id for _ in range(4)]
        # So that every loop has something to do: one task is somebody else's, and he is dead.
        with Fleet(own_redis.url, ledger, "q=1", lease=LEASE, concurrency=1) as fleet:
            dead = fleet.start()
            await wait_until(lambda: ledger.running(dead.pid), "a task to be taken")
            fleet.kill(dead)
        lose = proxy.lose_reply if loss == "reply" else proxy.lose_request
        lose("EVALSHA", containing=_sha(script), times=8 if script in {"deliver", "settle"} else 2)
        async with _serving(proxy.url, ledger, queues={"q": 1}):
            await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done", 20.0)
            await wait_until(lambda: proxy.losses >= 2, "something to be lost")
            proxy.forgive()
    account = ledger.account(enqueued, killed=fleet.killed)
    account.assert_complete()
    await assert_drained(own_redis, "q")


async def test_a_slow_network_costs_no_lease(own_redis: RedisProcess, ledger: Ledger, proxy: Proxy) -> None:
    """With a tenth of a lease for each answer, everything is late and nothing is lost."""
    proxy.delay(LEASE / 10)
    async with _serving(proxy.url, ledger), Client(proxy.url) as client:
        tasks = [Task("work", {"wait": 2.5 * LEASE if number < 4 else 0.0}) for number in range(20)]
        enqueued = [info.id for info in await asyncio.gather(*(client.enqueue(task) for task in tasks))]
        await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done", 20.0)
        proxy.delay(0)
        await _assert_ran_once(own_redis, ledger, enqueued)
        assert not ledger.count("log", "lease_lost")


async def test_half_closed_connections_are_replaced(
    own_redis: RedisProcess, ledger: Ledger, proxy: Proxy
) -> None:
    """A peer that says it will send no more leaves a connection that looks open and answers nothing."""
    async with _serving(proxy.url, ledger), Client(proxy.url) as client:
        enqueued = [(await client.enqueue(Task("work", {"wait": 0.3}))).id for _ in range(8)]
        for _ in range(5):
            await asyncio.to_thread(proxy.half_close)
            async with asyncio.timeout(5.0):
                enqueued += [(await client.enqueue(Task("work", {"wait": 0.05}))).id for _ in range(4)]
        await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done")
        await _assert_ran_once(own_redis, ledger, enqueued)


@pytest.mark.timeout(90)
async def test_a_server_that_is_cut_off_loses_its_tasks_to_the_others(
    own_redis: RedisProcess, ledger: Ledger, proxy: Proxy, gate: Gate
) -> None:
    """A network that swallows packets looks like a slow one, until the leases are over."""
    with Fleet(own_redis.url, ledger, lease=LEASE) as fleet:
        cut_off = fleet.start(url=f"{proxy.url}?response_timeout=1&connect_timeout=1")
        async with Client(own_redis.url) as client:
            # Two end while nobody hears of it; the others would go on for ever.
            short = [(await client.enqueue(Task("work", {"wait": 0.5}))).id for _ in range(2)]
            long = [(await client.enqueue(Task("work", {"until": gate.path}))).id for _ in range(2)]
            await wait_until(lambda: ledger.running(cut_off.pid) == 4, "the tasks to run")
            await asyncio.to_thread(proxy.freeze)
            other = fleet.start()
            await wait_until(lambda: ledger.running(other.pid) >= 2, "the tasks to run elsewhere")
            await asyncio.to_thread(proxy.thaw)
            await wait_until(lambda: ledger.running(cut_off.pid) == 0, "the handlers to be stopped")
            gate.open()
            late = (await client.enqueue(Task("work", {}))).id
            enqueued = [*short, *long, late]
            await wait_until(lambda: ledger.ended() >= set(enqueued), "every task to be done")
        await assert_drained(own_redis, "default")
        with own_redis.client() as raw:
            assert raw.get("asyncq:{default}:processed") == b"5"
        # What it could not write in time was done by the other one, too.
        account = ledger.account(enqueued, excused=lambda run: run.pid == cut_off.pid)
        account.assert_complete()
        # It works again: it was never told to leave.
        assert cut_off.is_alive


async def test_an_enqueue_into_nowhere_ends_with_an_error(own_redis: RedisProcess, proxy: Proxy) -> None:
    """A caller must get an answer, also from a network that gives none."""
    url = f"{proxy.url}?response_timeout=0.5&connect_timeout=0.5"
    async with Client(url, patience=1.0) as client:
        await client.ping()
        await asyncio.to_thread(proxy.freeze)
        async with asyncio.timeout(10.0):
            with pytest.raises(BrokerUnavailableError):
                await client.enqueue(Task("work", {}))
            outcomes = [outcome async for outcome in client.enqueue_many([Task("work", {})] * 3)]
        assert [type(outcome.error) for outcome in outcomes] == [BrokerUnavailableError] * 3
        await asyncio.to_thread(proxy.thaw)
        assert (await client.enqueue(Task("work", {}))).state == "pending"


async def _enqueue_until(enough: asyncio.Event, client: Client, task: Task) -> list[str]:
    """One after the other, however fast this machine is today; none may fail."""
    ids: list[str] = []
    while not enough.is_set():
        try:
            ids.append((await client.enqueue(task)).id)
        except AsyncqError as error:
            raise AssertionError(f"enqueue {len(ids)} failed") from error
        await asyncio.sleep(0)
    return ids

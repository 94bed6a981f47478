"""The semaphore for blocking code: the same slots, from threads and from `def` handlers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing

import pytest
from redis import Redis

from asyncq import Context, Inspector, Mux, Task, _slots
from asyncq import Semaphore as AsyncSemaphore
from asyncq._loop_thread import Handover
from asyncq.errors import (
    BrokerUnavailableError,
    ClosedError,
    ConfigError,
    LifecycleError,
    NoSlotError,
    SlotLostError,
)
from asyncq.sync import Semaphore
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, settled
from tests.support.waiting import wait_until, wait_until_sync

KEY = "asyncq:sema:{bank}"


@pytest.fixture
def bank(redis_url: str) -> Iterator[Semaphore]:
    """Two slots, with the shortest lease there is."""
    with closing(Semaphore(redis_url, "bank", 2, lease=1.0)) as semaphore:
        yield semaphore


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "asyncq-semaphore"]


async def test_no_more_holders_than_slots_on_every_kind_of_redis(any_redis: AnyRedis) -> None:
    """Threads of two programs, and coroutines beside them."""
    inside = peak = done = 0
    lock = threading.Lock()

    def enter(step: int) -> None:
        nonlocal inside, peak, done
        with lock:
            inside += step
            peak = max(peak, inside)
            done += step < 0

    def work(semaphore: Semaphore) -> None:
        with semaphore:
            enter(1)
            time.sleep(0.02)
            enter(-1)

    async def work_too(semaphore: AsyncSemaphore) -> None:
        async with semaphore:
            enter(1)
            await asyncio.sleep(0.02)
            enter(-1)

    loop = asyncio.get_running_loop()
    with (
        ThreadPoolExecutor(8) as threads,
        closing(Semaphore(any_redis.url, "bank", 3)) as one,
        closing(Semaphore(any_redis.url, "bank", 3)) as other,
    ):
        async with aclosing(AsyncSemaphore(any_redis.url, "bank", 3)) as third, asyncio.timeout(20):
            blocking = [loop.run_in_executor(threads, work, (one, other)[number % 2]) for number in range(16)]
            await asyncio.gather(*blocking, *(work_too(third) for _ in range(8)))
        found = await loop.run_in_executor(threads, one.held)
    assert (done, peak, found.count, found.waiting) == (24, 3, 0, 0)
    assert not _threads()


def test_a_slot_is_released_at_the_end_of_a_block(bank: Semaphore) -> None:
    """In each of the forms; a thread may enter several times."""
    with bank as first, bank.slot(timeout=1) as second:
        found = bank.held()
        assert {one.token for one in found.holders} == {first.token, second.token}
        assert bank.try_acquire() is None
        with pytest.raises(NoSlotError, match=r"'bank' became free within 0.05 s"):
            bank.acquire(timeout=0.05)
    with bank, bank, pytest.raises(NoSlotError), bank.slot(timeout=0):
        pass
    with bank.acquire(timeout=1) as slot:
        assert bank.held().count == 1
        slot.release()
        slot.release()
        assert bank.held().count == 0
    with pytest.raises(ValueError, match="in the block"), bank:
        raise ValueError("in the block")
    assert bank.held().count == 0
    assert (bank.scope, bank.maximum) == ("bank", 2)
    assert repr(bank) == "<Semaphore 'bank' maximum=2>"


def test_who_waits_is_served_at_once(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a message, long before anybody would have asked again."""
    for name in ("POLL", "STAND"):
        monkeypatch.setattr(_slots, name, 120.0)
    with closing(Semaphore(redis_url, "bank", 1)) as bank, ThreadPoolExecutor(1) as threads:
        slot = bank.acquire()
        waiting = threads.submit(bank.acquire)
        wait_until_sync(lambda: bank.held().waiting == 1, "a thread to wait")
        slot.release()
        with waiting.result(20.0) as taken:
            assert [one.token for one in bank.held().holders] == [taken.token]


def test_closing_gives_everything_back_and_ends_every_wait(redis_url: str, redis_client: Redis) -> None:
    """Also for a thread that would wait for ever. What was held may still be released."""
    bank = Semaphore(redis_url, "bank", 1)
    slot = bank.acquire()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(bank.acquire)
        wait_until_sync(lambda: bank.held().waiting == 1, "a thread to wait")
        bank.close()
        bank.close()
        with pytest.raises(ClosedError, match="the semaphore is closed"):
            waiting.result(5.0)
    assert not redis_client.exists(KEY, KEY + ":queue")
    slot.release()
    for call in (bank.acquire, bank.try_acquire, bank.held):
        with pytest.raises(ClosedError):
            call()
    assert not _threads()


async def test_it_does_not_block_an_event_loop(redis_url: str, redis_client: Redis) -> None:
    """Whoever holds the slot might need that very loop to give it back."""
    with closing(Semaphore(redis_url, "bank", 1)) as bank:
        for call in (bank.acquire, bank.try_acquire):
            with pytest.raises(LifecycleError, match=r"use asyncq\.Semaphore"):
                call()
    assert not redis_client.exists(KEY)
    assert not _threads()


def test_what_is_wrong_is_refused_before_anything_is_started(redis_url: str) -> None:
    """As by the asynchronous one."""
    with pytest.raises(ConfigError):
        Semaphore(redis_url, "bank", 0)
    with pytest.raises(ConfigError):
        Semaphore(redis_url, "bank", 1, lease=0.5)
    assert not _threads()


def test_a_redis_that_is_away_is_an_error() -> None:
    """Not a slot, and not an endless wait."""
    with (
        closing(Semaphore("redis://127.0.0.1:1", "bank", 1, patience=0.05)) as bank,
        pytest.raises(BrokerUnavailableError),
    ):
        bank.acquire()


def test_a_block_whose_slot_is_lost_goes_on_and_can_see_it(bank: Semaphore, redis_client: Redis) -> None:
    """A thread cannot be interrupted."""
    with bank as slot:
        redis_client.delete(KEY)
        redis_client.zadd(KEY, {"x:1": 1e12, "x:2": 1e12})
        wait_until_sync(lambda: slot.is_lost, "the slot to be lost")
    with pytest.raises(SlotLostError), slot:
        pass
    assert redis_client.zcard(KEY) == 2


async def test_in_a_handler_a_slot_belongs_to_the_delivery(redis_url: str, redis_client: Redis) -> None:
    """It is the server's, and what a handler forgot is given back for it."""
    mux, tokens = Mux(), list[tuple[str, str]]()
    bank = Semaphore(redis_url, "bank", 2)

    @mux.handle("pay")
    def pay(_: Task, ctx: Context) -> None:
        with bank as slot:
            tokens.append((ctx.server_id, slot.token))
        bank.acquire()

    async with at_work(redis_url, mux, lease=2.0) as (client, server):
        await client.enqueue(Task("pay"))
        await settled(redis_client, done=1)
        assert not _threads()
        await wait_until(lambda: not redis_client.exists(KEY), "the forgotten slot to be free", 5.0)
        assert tokens[0][0] == server.id
        assert tokens[0][1].startswith(f"{server.id}:")
    bank.close()


async def test_a_handler_that_is_cancelled_waits_no_longer(redis_url: str, redis_client: Redis) -> None:
    """Its thread, and the place of its task, would be held up for as long as others hold the slots."""
    mux, waits, ended = Mux(), asyncio.Event(), list[BaseException]()
    loop = asyncio.get_running_loop()
    bank = Semaphore(redis_url, "bank", 1)

    @mux.handle("pay")
    def pay(_: Task) -> None:
        loop.call_soon_threadsafe(waits.set)
        try:
            bank.acquire()
        except BaseException as error:
            ended.append(error)
            raise

    async with aclosing(AsyncSemaphore(redis_url, "bank", 1)) as other, Inspector(redis_url) as inspector:
        async with other, at_work(redis_url, mux) as (client, _):
            info = await client.enqueue(Task("pay"))
            await waits.wait()
            await wait_until(lambda: redis_client.zcard(KEY + ":queue") == 1, "the handler to wait")
            await inspector.tasks.cancel("default", info.id)
            await settled(redis_client, archived=1)
            await wait_until(lambda: redis_client.zcard(KEY + ":queue") == 0, "it to have left")
        assert isinstance(ended[0], NoSlotError)
    bank.close()


async def test_who_gives_up_at_the_last_moment_leaves_no_slot_behind() -> None:
    """A Ctrl-C may come when the slot is there and nobody has seen it."""
    given_back: list[str] = []

    async def take() -> str:
        return "slot"

    async def give_back(item: str) -> None:
        given_back.append(item)

    first, second = Handover[str](), Handover[str]()
    await first.take(take, give_back)
    assert first.give_up() == "slot"
    assert not given_back
    assert second.give_up() is None
    await second.take(take, give_back)
    assert given_back == ["slot"]
    assert second.item is None

"""`Semaphore`: slots that all processes share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from redis import Redis

from asyncq import Connection, Semaphore, Slot, _slots
from asyncq.errors import (
    BrokerReplyError,
    BrokerUnavailableError,
    ClosedError,
    NoSlotError,
    SlotLostError,
)
from tests.conftest import AnyRedis
from tests.support.waiting import wait_until

KEY = "asyncq:sema:{bank}"


@pytest.fixture
async def bank(redis_url: str) -> AsyncIterator[Semaphore]:
    """Two slots, with the shortest lease there is."""
    semaphore = Semaphore(redis_url, "bank", 2, lease=1.0)
    yield semaphore
    await semaphore.aclose()


async def test_no_more_holders_than_slots_on_every_kind_of_redis(any_redis: AnyRedis) -> None:
    """Whoever holds them: here tasks of three semaphores, which might be three programs."""
    inside = peak = done = 0

    async def work(semaphore: Semaphore) -> None:
        nonlocal inside, peak, done
        async with semaphore:
            inside += 1
            peak = max(peak, inside)
            await asyncio.sleep(0.02)
            inside -= 1
            done += 1

    semaphores = [Semaphore(any_redis.url, "bank", 3) for _ in range(3)]
    async with AsyncExitStack() as stack:
        for semaphore in semaphores:
            stack.push_async_callback(semaphore.aclose)
        async with asyncio.timeout(20):
            await asyncio.gather(*(work(semaphores[number % 3]) for number in range(30)))
        held = await semaphores[0].held()
    assert (done, peak) == (30, 3)
    assert (held.count, held.waiting, held.holders) == (0, 0, ())


async def test_a_slot_is_released_at_the_end_of_a_block(bank: Semaphore) -> None:
    """In each of the forms."""
    async with bank as first, bank.slot(timeout=1) as second:
        found = await bank.held()
        assert {one.token for one in found.holders} == {first.token, second.token}
        assert all(0.0 < one.expires_in <= 1.0 for one in found.holders)
        assert found.count == 2
        assert await bank.try_acquire() is None
    async with await bank.acquire(timeout=1) as slot:
        assert (await bank.held()).count == 1
        await slot.release()
        await slot.release()
        assert (await bank.held()).count == 0
    with pytest.raises(ValueError, match="in the block"):
        async with bank:
            raise ValueError("in the block")
    assert (await bank.held()).count == 0


async def test_one_task_may_enter_several_times(bank: Semaphore) -> None:
    """Each time with a slot of its own; the inner block ends first."""
    async with bank as outer:
        async with bank as inner:
            assert outer.token != inner.token
        assert [one.token for one in (await bank.held()).holders] == [outer.token]


async def test_who_waits_is_served_in_order_and_at_once(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a message: long before anybody would have asked again."""
    for name in ("POLL", "STAND"):
        monkeypatch.setattr(_slots, name, 120.0)
    order: list[int] = []
    semaphore, other = Semaphore(redis_url, "bank", 1), Semaphore(redis_url, "bank", 1)

    async def wait_for_it(number: int) -> None:
        async with (semaphore, other)[number % 2]:
            order.append(number)

    holder = await semaphore.acquire()
    waiting: list[asyncio.Task[None]] = []
    for number in range(6):
        waiting.append(asyncio.create_task(wait_for_it(number)))

        async def stands() -> bool:
            return (await semaphore.held()).waiting == len(waiting)

        await wait_until(stands, "it to stand among those who wait")
    await holder.release()
    async with asyncio.timeout(20):
        await asyncio.gather(*waiting)
    assert order == list(range(6))
    await semaphore.aclose()
    await other.aclose()


async def test_who_waited_in_vain_leaves_nothing(bank: Semaphore, redis_client: Redis) -> None:
    """Out of time, or cancelled: nobody stands in the way of others."""
    slots = [await bank.acquire() for _ in range(2)]
    with pytest.raises(NoSlotError, match=r"no slot of semaphore 'bank' became free within 0.05 s"):
        await bank.acquire(timeout=0.05)
    waiting = asyncio.create_task(bank.acquire())
    await wait_until(lambda: redis_client.zcard(KEY + ":queue") == 1, "it to wait")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wait_until(lambda: redis_client.zcard(KEY + ":queue") == 0, "it to have left")
    for slot in slots:
        await slot.release()
    assert await bank.try_acquire() is not None


async def test_a_call_that_was_cancelled_half_way_holds_nothing(redis_url: str) -> None:
    """It may have arrived; nobody would ever give the slot back."""
    bank = Semaphore(redis_url, "bank", 2, lease=3600.0)
    await (await bank.acquire()).release()
    for _ in range(20):
        asking = asyncio.create_task(bank.acquire())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        try:
            slot: Slot | None = await asking
        except asyncio.CancelledError:
            slot = None
        if slot is not None:
            await slot.release()

    async def is_free() -> bool:
        return (await bank.held()).count == 0

    await wait_until(is_free, "all slots to be free")
    await bank.aclose()


async def test_a_slot_is_kept_for_longer_than_its_lease(bank: Semaphore) -> None:
    """As long as its holder lives."""
    async with bank as slot:
        first = (await bank.held()).holders[0].expires_in
        await asyncio.sleep(1.5)  # longer than the lease: that is what this is about
        found = await bank.held()
        assert [one.token for one in found.holders] == [slot.token]
        assert 0.0 < found.holders[0].expires_in <= first <= 1.0
        assert not slot.is_lost


async def test_a_lost_slot_stops_its_block(bank: Semaphore, redis_client: Redis) -> None:
    """Somebody else may be doing the same thing now."""

    async def hold() -> None:
        async with bank as slot:
            redis_client.delete(KEY)
            redis_client.zadd(KEY, {"x:1": 1e12, "x:2": 1e12})
            try:
                await asyncio.Event().wait()
            finally:
                assert slot.is_lost

    with pytest.raises(SlotLostError, match="'bank'"):
        await hold()
    current = asyncio.current_task()
    assert current is not None
    assert not current.cancelling()
    assert redis_client.zcard(KEY) == 2


async def test_a_slot_that_was_cleared_away_is_taken_again_if_there_is_room(
    bank: Semaphore, redis_client: Redis
) -> None:
    """Nobody else has it: there is no reason to stop."""
    async with bank as slot:
        redis_client.delete(KEY)
        await wait_until(lambda: redis_client.zscore(KEY, slot.token), "the slot to be taken again")
        assert not slot.is_lost


async def test_a_cancellation_is_not_taken_for_a_lost_slot(bank: Semaphore) -> None:
    """Whoever cancels wants to see a cancellation."""

    async def hold() -> None:
        async with bank:
            await asyncio.Event().wait()

    holding = asyncio.create_task(hold())

    async def is_held() -> bool:
        return (await bank.held()).count == 1

    await wait_until(is_held, "the slot to be held")
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert (await bank.held()).count == 0


async def test_closing_gives_everything_back(redis_url: str, redis_client: Redis) -> None:
    """A program that ends should not block others for a lease."""
    semaphore = Semaphore(redis_url, "bank", 2)
    await semaphore.acquire()
    await semaphore.aclose()
    await semaphore.aclose()
    assert not redis_client.exists(KEY)
    with pytest.raises(ClosedError):
        await semaphore.acquire()
    with pytest.raises(ClosedError):
        await semaphore.held()


async def test_closing_ends_every_wait(redis_url: str, redis_client: Redis) -> None:
    """Who waited gets an error, and not the slot that was given back a moment before."""
    semaphore = Semaphore(redis_url, "bank", 1)
    await semaphore.acquire()
    waiting = [asyncio.create_task(semaphore.acquire()) for _ in range(3)]
    await wait_until(lambda: redis_client.zcard(KEY + ":queue") == 3, "all to wait")
    await semaphore.aclose()
    for one in waiting:
        with pytest.raises(ClosedError, match="the semaphore is closed"):
            await one
    assert not redis_client.exists(KEY, KEY + ":queue")


async def test_a_connection_may_be_shared(redis_url: str) -> None:
    """And is left open then."""
    async with Connection(redis_url) as connection:
        one, other = Semaphore(connection, "bank", 1), Semaphore(connection, "shop", 1)
        async with one, other:
            assert (await one.held()).count == 1
        await one.aclose()
        assert await other.try_acquire() is not None
        await other.aclose()


async def test_prefixes_and_scopes_do_not_see_each_other(redis_url: str) -> None:
    """Two programs on one Redis."""
    semaphores = [
        Semaphore(redis_url, "bank", 1),
        Semaphore(redis_url, "shop", 1),
        Semaphore(redis_url, "bank", 1, prefix="other:"),
    ]
    assert all([await semaphore.try_acquire() for semaphore in semaphores])
    for semaphore in semaphores:
        await semaphore.aclose()


async def test_a_redis_that_is_away_is_an_error() -> None:
    """Not a slot, and not an endless wait."""
    semaphore = Semaphore("redis://127.0.0.1:1", "bank", 1, patience=0.05)
    with pytest.raises(BrokerUnavailableError):
        await semaphore.acquire()
    await semaphore.aclose()


async def test_a_key_that_is_something_else_is_told(bank: Semaphore, redis_client: Redis) -> None:
    """Somebody wrote there by hand."""
    redis_client.set(KEY, "what")
    with pytest.raises(BrokerReplyError, match="WRONGTYPE"):
        await bank.acquire()

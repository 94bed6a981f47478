"""dq under load while something is killed: nothing is lost, and what ran twice has its reason."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from redis import Redis

from tests.support.driving import CallError, Driven
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.services.beanstalkd import BeanstalkdNode
from tests.support.services.parts import SIDES, Parts, Side
from tests.support.waiting import wait_until

from .dq import TUBE, beanstalks, consumer, emptied, handled, stamped

SECOND = 10**9
COUNT = 240
CONCURRENCY = 4


@asynccontextmanager
async def load(producers: Sequence[Driven]) -> AsyncIterator[list[bytes]]:
    """Put messages for the length of the block and some more; the list has those that were acknowledged."""
    put: list[bytes] = []

    async def put_all(producer: Driven, name: int) -> None:
        for number in range(COUNT // len(producers)):
            body = f"{name}-{number} sleep 20ms".encode()
            try:
                await producer("delay", payload=body, ns=number % 2 * SECOND)
            except CallError:
                # Nobody was promised anything. What was written all the same may run, too.
                continue
            put.append(body)
            await asyncio.sleep(0.005)  # the load of some seconds, and not of a moment

    work = [asyncio.create_task(put_all(one, name)) for name, one in enumerate(producers)]
    try:
        yield put
    finally:
        await asyncio.gather(*work)


def finished(consumers: Sequence[Driven]) -> Counter[bytes]:
    """Return how often each message was handled to its end."""
    return Counter(
        event["payload"] for one in consumers for event in one.seen("end") if event["outcome"] == "ok"
    )


async def all_finished(put: Sequence[bytes], consumers: Sequence[Driven], timeout: float = 90) -> None:
    """Wait until everything that was acknowledged has been handled."""

    def are_done() -> bool:
        return not set(put) - set(finished(consumers))

    await wait_until(are_done, "every acknowledged message to be handled", timeout)


def twice(consumers: Sequence[Driven]) -> set[bytes]:
    """Return what was handled to its end more than once."""
    return {payload for payload, times in finished(consumers).items() if times > 1}


async def pair(parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess) -> list[Driven]:
    """Start two consumers of ours."""
    conf = consumer(nodes, locks)
    return [await parts("python", "dq-consume", **conf, Options={"concurrency": CONCURRENCY}) for _ in "ab"]


@pytest.mark.parametrize("survivor", SIDES)
async def test_a_consumer_is_killed(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, survivor: Side
) -> None:
    """What it had in hand is handled by whoever is left, be it Go; nothing else is handled again."""
    doomed, _ = await pair(parts, nodes, locks)
    survivors = [_, await parts(survivor, "dq-consume", **consumer(nodes, locks))]
    producers = [await parts(side, "dq-produce", beanstalks=beanstalks(nodes)) for side in SIDES]
    async with load(producers) as put:
        await doomed.until(lambda: len(doomed.seen("end")) >= 20, "the load to run")
        await doomed.kill()
    everybody = [doomed, *survivors]
    await all_finished(put, everybody)
    await emptied(nodes)
    # It may have been about to say so of each that it had just handled.
    last = [event["payload"] for event in doomed.seen("begin")][-2 * CONCURRENCY * len(nodes) :]
    assert twice(everybody) <= set(last)


async def test_a_node_is_killed_and_does_not_come_back(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess
) -> None:
    """Without a binlog all its copies are gone; the others have theirs."""
    consumers = await pair(parts, nodes, locks)
    producers = [await parts(side, "dq-produce", beanstalks=beanstalks(nodes)) for side in SIDES]
    async with load(producers) as put:
        await consumers[0].until(lambda: len(consumers[0].seen("end")) >= 20, "the load to run")
        running = set(handled(*consumers)) - set(finished(consumers))
        await nodes[0].kill()
    await all_finished(put, consumers)
    await emptied(nodes[1:])
    assert len(put) > COUNT // 2
    assert len(twice(consumers)) <= len(running) + CONCURRENCY * 2


async def test_every_node_is_killed_in_turn_and_comes_back(
    parts: Parts, durable_nodes: list[BeanstalkdNode], locks: RedisProcess
) -> None:
    """With a binlog, not even the crash of all of them loses a message."""
    consumers = await pair(parts, durable_nodes, locks)
    producers = [await parts(side, "dq-produce", beanstalks=beanstalks(durable_nodes)) for side in SIDES]
    async with load(producers) as put:
        for number, node in enumerate(durable_nodes, 1):
            await wait_until(lambda number=number: len(finished(consumers)) >= 20 * number, "the load to run")
            await node.kill()
            await node.start()
    await all_finished(put, consumers)
    await emptied(durable_nodes)


@pytest.mark.parametrize("durable", [True, False])
async def test_redis_is_killed(parts: Parts, nodes: list[BeanstalkdNode], *, durable: bool) -> None:
    """While it is away nothing is handled and nothing thrown away. What it forgot may run again."""
    with RedisProcess(RedisOptions(transport="tcp", appendonly=durable)) as locks:
        consumers = await pair(parts, nodes, locks)
        producers = [await parts(side, "dq-produce", beanstalks=beanstalks(nodes)) for side in SIDES]
        async with load(producers) as put:
            await wait_until(lambda: len(finished(consumers)) >= 40, "the load to run")
            await asyncio.to_thread(locks.kill)
            before = set(handled(*consumers))
            await asyncio.to_thread(locks.start)
        await all_finished(put, consumers)
        await emptied(nodes)
        # With its data, only what was in hand; without, whatever had a copy left somewhere.
        again = twice(consumers)
        assert again <= before
        if durable:
            assert len(again) <= 2 * CONCURRENCY * len(nodes)


async def test_without_redis_ours_gives_messages_back(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, lock_client: Redis
) -> None:
    """Go throws them away then."""
    await asyncio.to_thread(locks.kill)
    program = await parts("python", "dq-consume", **consumer(nodes, locks))
    for node in nodes:
        await node.put(TUBE, body := b"%d/x" % (time.time_ns() // SECOND * SECOND))
        assert body
    await nodes[0].put(TUBE, stamped(b"y"))

    async def was_looked_at() -> bool:
        listed = await nodes[0].ask(f"use {TUBE}", "stats-tube " + TUBE)
        return b"current-jobs-ready: 0" in listed[1]

    await wait_until(was_looked_at, "the messages to be taken and given back")
    assert await nodes[0].left(TUBE) == 2
    await asyncio.to_thread(locks.start)
    await program.event("end", payload=b"x", timeout=60)
    await program.event("end", payload=b"y", timeout=60)
    await emptied(nodes, timeout=60)


async def test_a_panic_of_ours_loses_nothing(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, tmp_path: object
) -> None:
    """The next process handles what this one had begun."""
    await nodes[0].put(TUBE, stamped(b"x panic"))
    program = await parts.begin("python", "dq-consume", **consumer(nodes[:1], locks))
    assert await program.wait(40) == 2
    again = await parts.begin("python", "dq-consume", **consumer(nodes[:1], locks))
    assert await again.wait(60) == 2
    assert handled(program, again) == {b"x panic": 2}

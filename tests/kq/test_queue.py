"""Handling: what a handler gets, how many at a time, starting and stopping."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from asyncq.errors import AlreadyRunningError, ClosedError
from asyncq.kq import Message, Queue
from tests.kq.handling import NotingHandler, conf, until_committed
from tests.support.kafka_double import FakeCluster
from tests.support.waiting import wait_until


async def test_a_handler_gets_the_message_whole(broker: FakeCluster) -> None:
    """With its place, its key, its headers, its time, and an id that is the same everywhere."""
    broker.put("12 €", partition=1, key=b"k", traceparent="x", other="y")
    got: list[Message] = []

    async def handle(message: Message) -> None:
        got.append(message)

    async with Queue(conf(), handle).running():
        await wait_until(lambda: got, "the message")
    (message,) = got
    assert message.text == "12 €"
    assert message.id == "t-1-0"
    assert (message.key, message.attempt) == (b"k", 1)
    assert message.headers == {"traceparent": b"x", "other": b"y"}
    assert message.timestamp.isoformat() == "2023-11-14T22:13:20+00:00"


async def test_so_many_at_a_time(broker: FakeCluster) -> None:
    """`processors` are the real concurrency; `consumers` wait behind them, and no more are taken."""
    values = [f"m{number}" for number in range(20)]
    handler = NotingHandler(*values)
    broker.put(*values)
    queue = Queue(conf(processors=3, consumers=2), handler)
    async with queue.running():
        await wait_until(lambda: queue.stats.received == 5, "those that fit")
        await asyncio.sleep(0.05)
        assert (queue.stats.received, queue.stats.running) == (5, 3)
        handler.release()
        await handler.until(*values)
        assert queue.stats.handled == 20


async def test_readers_are_members_of_their_own(broker: FakeCluster) -> None:
    """`conns=2`: two members, each with its share of the partitions."""
    handler = NotingHandler()
    broker.put("a", partition=0)
    broker.put("b", partition=1)
    queue = Queue(conf(conns=2), handler)
    async with queue.running():
        await handler.until("a", "b")
        await wait_until(lambda: queue.partitions == (0, 1), "both partitions")
        assert len(broker.members) == 2
        assert all(len(member.positions) == 1 for member in broker.members)


async def test_a_stop_waits_for_what_runs_and_commits_it(broker: FakeCluster) -> None:
    """Go-queue closes its reader first, so those commits fail and the messages come again."""
    handler = NotingHandler("slow", "next")
    broker.put("slow", "next")
    queue = Queue(conf(processors=1), handler)
    async with queue.running():
        await wait_until(lambda: handler.begun == ["slow"], "it to begin")
        stopping = asyncio.ensure_future(queue.stop())
        await asyncio.sleep(0.05)
        assert not stopping.done()
        handler.release("slow")
        await stopping
    assert handler.ended == ["slow"]
    assert broker.committed[0] == 1
    assert broker.members == []
    assert queue.stats.dropped == 1


async def test_a_stop_cancels_what_takes_too_long(broker: FakeCluster) -> None:
    """Its message comes again."""
    handler = NotingHandler("slow")
    broker.put("slow", "quick")
    queue = Queue(conf(shutdown_timeout=0.05), handler)
    async with queue.running():
        await handler.until("quick")
    assert handler.ended == ["quick"]
    assert broker.committed[0] == 0
    again = NotingHandler()
    async with Queue(conf(), again).running():
        await again.until("slow", "quick")


async def test_start_returns_after_stop_and_not_before(broker: FakeCluster) -> None:
    """The protocol of services: `stop` at any time, any number of times."""
    queue = Queue(conf(), NotingHandler())
    life = asyncio.ensure_future(queue.start())
    await queue.wait_until_joined()
    assert not life.done()
    with pytest.raises(AlreadyRunningError):
        await queue.start()
    await asyncio.gather(queue.stop(), queue.stop())
    await life
    await queue.stop()
    with pytest.raises(ClosedError):
        await queue.start()


async def test_a_queue_that_was_stopped_before_it_began_does_not_begin(broker: FakeCluster) -> None:
    """A group that fails while it starts stops all of its services."""
    queue = Queue(conf(), NotingHandler())
    await queue.stop()
    await queue.start()
    assert not broker.made


async def test_cancelling_leaves_in_order(broker: FakeCluster) -> None:
    """As a stop does, and then the cancellation goes on."""
    handler = NotingHandler("slow")
    broker.put("slow")
    queue = Queue(conf(), handler)
    life = asyncio.ensure_future(queue.start())
    await wait_until(lambda: handler.begun, "it to begin")
    life.cancel()
    await asyncio.sleep(0.05)
    assert not life.done()
    handler.release()
    await asyncio.wait([life])
    assert life.cancelled()
    assert broker.committed[0] == 1


async def test_cancelling_twice_leaves_at_once(broker: FakeCluster) -> None:
    """And leaves nothing behind: no handler, no member."""
    handler = NotingHandler("slow")
    broker.put("slow")
    queue = Queue(conf(shutdown_timeout=3600), handler)
    life = asyncio.ensure_future(queue.start())
    await wait_until(lambda: handler.begun, "it to begin")
    for _ in range(2):
        life.cancel()
        await asyncio.sleep(0.02)
    await asyncio.wait([life], timeout=20)
    assert life.cancelled()
    assert broker.members == []
    assert broker.committed[0] == 0
    await wait_until(lambda: queue.stats.running == 0, "the handler to be cancelled")


async def test_a_handler_begins_with_nothing_of_the_one_before(broker: FakeCluster) -> None:
    """What a handler leaves in context variables is not seen by the message that gets its processor."""
    noted: contextvars.ContextVar[str] = contextvars.ContextVar("noted", default="")
    seen: list[str] = []

    async def handle(message: Message) -> None:
        seen.append(noted.get())
        noted.set(message.text)

    broker.put("a", "b", "c")
    async with Queue(conf(processors=1), handle).running():
        await until_committed(broker, 0, 3)
    assert seen == ["", "", ""]

"""What is committed, and when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import CommitFailedError, RequestTimedOutError

from asyncq.kq import Queue
from tests.kq.handling import NotingHandler, conf, until_committed
from tests.support.kafka_double import FakeCluster
from tests.support.waiting import wait_until


async def test_an_unfinished_message_is_not_passed(broker: FakeCluster) -> None:
    """A process that dies now gives the first one to somebody else; go-queue would have committed 3."""
    handler = NotingHandler("slow")
    broker.put("slow", "quick", "quicker")
    async with Queue(conf(), handler).running():
        await handler.until("quick", "quicker")
        await asyncio.sleep(0.05)
        assert broker.committed[0] == 0
        handler.release()
        await until_committed(broker, 0, 3)


async def test_the_rule_of_go_queue_on_request(broker: FakeCluster) -> None:
    """`commit="max"`: the highest finished one."""
    handler = NotingHandler("slow")
    broker.put("slow", "quick")
    async with Queue(conf(commit="max"), handler).running():
        await until_committed(broker, 0, 2)
        handler.release()


async def test_where_reading_begins_is_committed_at_once(broker: FakeCluster) -> None:
    """Offset `last`: what comes while nobody of the group is there is not skipped the second time."""
    broker.put("before")
    handler = NotingHandler()
    async with Queue(conf(offset="last"), handler).running():
        await until_committed(broker, 0, 1)
        await until_committed(broker, 1, 0)
    broker.put("meanwhile")
    async with Queue(conf(offset="last"), handler).running():
        await handler.until("meanwhile")
    assert handler.begun == ["meanwhile"]


async def test_commits_are_gathered(broker: FakeCluster) -> None:
    """Not one for each message."""
    handler = NotingHandler()
    broker.put(*map(str, range(50)))
    async with Queue(conf(commit_interval=60), handler).running():
        await handler.until(*map(str, range(50)))
        assert broker.committed[0] == 0
    assert broker.commits[-1] == {0: 50}


async def test_a_commit_that_failed_is_made_again(
    broker: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """And it is said."""
    handler = NotingHandler()
    queue = Queue(conf(), handler)
    async with queue.running():
        await until_committed(broker, 1, 0)
        broker.refusals += [RequestTimedOutError(), CommitFailedError()]
        broker.put("a")
        await until_committed(broker, 0, 1)
    assert queue.stats.commit_failures == 2
    assert "kq_commit_failed" in {getattr(record, "event", "") for record in caplog.records}


async def test_a_partition_that_stalls_does_not_stall_the_others(broker: FakeCluster) -> None:
    """No more than `queue_capacity` beyond the first unfinished one; memory and repetition are bounded."""
    handler = NotingHandler("slow")
    broker.put("slow", *(f"behind{number}" for number in range(20)))
    queue = Queue(conf(queue_capacity=5), handler)
    async with queue.running():
        await wait_until(lambda: queue.stats.received >= 5, "the window to fill")
        broker.put("other", partition=1)
        await handler.until("other")
        assert len(handler.begun) < 21
        handler.release()
        await until_committed(broker, 0, 21)


@pytest.mark.parametrize("order", ["key", "partition"])
async def test_messages_wait_for_each_other(broker: FakeCluster, order: Any) -> None:
    """Of one key, or of one partition, one after the other; a failed one is tried again before the next."""
    handler = NotingHandler("a1")
    broker.put("a1", "a2", key=b"a")
    broker.put("b1", key=b"b")
    broker.put("c1", partition=1, key=b"a")
    async with Queue(conf(order=order), handler).running():
        await handler.until("c1", *(["b1"] if order == "key" else []))
        assert "a2" not in handler.begun
        assert ("b1" in handler.begun) == (order == "key")
        handler.release()
        await handler.until("a2", "b1")


async def test_messages_that_come_before_their_partition_is_known_are_read_again(broker: FakeCluster) -> None:
    """A partition may be assigned while somebody waits for messages; its beginning comes first."""
    broker.put("old", "older")
    handler = NotingHandler()
    queue = Queue(conf(offset="last"), handler)
    async with queue.running():
        await until_committed(broker, 0, 2)
        broker.put("new")
        await handler.until("new")
        await broker.rebalance()
        broker.put("newer")
        await handler.until("newer")
    assert handler.begun == ["new", "newer"]
    assert broker.committed[0] == 4

"""`ack="late"`: each message is handled once, as far as that can be, and none is lost."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from redis import Redis

from asyncq import beanstalk
from asyncq.dq import Discarded, Message
from asyncq.dq.stamp import key_of, wrap
from tests.dq.consuming import TUBE, Record, all_jobs, consuming, events, gone, put, put_one
from tests.support.fake_beanstalkd import FakeBeanstalkd
from tests.support.waiting import wait_until

GO_LOCK = "a1B2c3D4e5F6g7H8"


async def test_of_three_copies_one_is_handled(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """All others are deleted when their message is done."""
    bodies = [b"%d" % number for number in range(20)]
    record = Record()
    async with consuming(fakes, redis_url, record.handler) as consumer:
        await put(fakes, *bodies)
        await gone(fakes)
    stats = consumer.stats
    assert sorted(record.bodies) == sorted(bodies)
    assert (stats.handled, stats.duplicates, stats.failed, stats.running) == (20, 40, 0, 0)
    assert {message.attempt for message in record.messages} == {1}


async def test_a_handler_learns_what_came(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """Body, time, and by what its copies are known."""
    record = Record()
    async with consuming(fakes[:1], redis_url, record.handler):
        before = time.time_ns()
        await put_one(fakes[0], b"a/b/c")
        await gone(fakes[:1])
    (message,) = record.messages
    assert message.body == b"a/b/c"
    assert before <= message.due_ns <= time.time_ns()
    assert message.due.timestamp() == pytest.approx(message.due_ns / 1e9, abs=1e-5)
    assert message.key == key_of(wrap(b"a/b/c", message.due_ns))
    assert message.id == f"{fakes[0].endpoint}/{TUBE}/1"


async def test_what_is_handled_is_hidden_and_leased_and_then_done(
    fakes: list[FakeBeanstalkd], redis_url: str, redis_client: Redis
) -> None:
    """The lease is over before the copy can be seen; the mark stays as long as the lock of go-queue."""
    record = Record()
    fake = fakes[0]
    async with consuming([fake], redis_url, record.handler, hold=10):
        key = await put_one(fake, b"wait")
        await wait_until(lambda: record.messages, "the message")
        (job,) = fake.jobs.values()
        assert (job.state, job.delay, job.pri) == ("delayed", 10, 2)
        lock: bytes = redis_client.get(key)  # type: ignore[assignment]
        assert lock.startswith(b"asyncq:lease:")
        left: int = redis_client.pttl(key)  # type: ignore[assignment]
        assert left / 1000 < job.until - fake.now() - 0.9
        assert redis_client.hgetall(f"asyncq:claim:{{{key}}}")
        record.go.set()
        await gone([fake])
        assert redis_client.get(key).startswith(b"asyncq:done:")  # type: ignore[union-attr]
        assert 3_590_000 < redis_client.pttl(key) <= 3_600_500  # type: ignore[operator]
        assert not redis_client.exists(f"asyncq:claim:{{{key}}}")


async def test_what_takes_long_is_kept(
    fakes: list[FakeBeanstalkd], redis_url: str, redis_client: Redis
) -> None:
    """The hiding and the lease are prolonged, and no other copy is handled meanwhile."""
    record = Record()
    async with consuming(fakes, redis_url, record.handler, hold=3) as consumer:
        await put(fakes, b"wait")
        await wait_until(lambda: record.messages, "the message")
        key = record.messages[0].key
        own = next(fake for fake in fakes if fake.endpoint == record.messages[0].endpoint)
        started = time.monotonic()
        while time.monotonic() - started < 3.5:  # longer than a lease
            for fake in fakes:
                if fake is not own:
                    fake.advance(1)
            assert redis_client.exists(key)
            await asyncio.sleep(0.1)
        assert [line for line in own.seen if line.startswith("reserve-job")]
        assert len(record.messages) == 1
        assert consumer.stats.backups > 2
        record.go.set()
        await gone(fakes)
    assert len(record.messages) == 1


async def test_what_fails_is_tried_again(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """On whichever node a copy comes next; the attempts are counted for all together."""
    record, told = Record(), []

    def on_error(message: Message, error: Exception) -> None:
        told.append((message.attempt, str(error)))

    async with consuming(fakes, redis_url, record.handler, on_error=on_error) as consumer:
        await put(fakes, b"fail 2")
        await gone(fakes)
        assert (consumer.stats.failed, consumer.stats.handled) == (2, 1)
    assert [message.attempt for message in record.messages] == [1, 2, 3]
    assert told == [(1, "1"), (2, "2")]


async def test_it_waits_between_attempts(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """As long as `backoff` says, whole seconds, rounded up."""
    record = Record()
    fake = fakes[0]
    async with consuming([fake], redis_url, record.handler, backoff=lambda failures: 60.5 * failures):
        await put_one(fake, b"fail 1")
        await wait_until(lambda: [job for job in fake.jobs.values() if job.delay == 61], "the pause")
        fake.advance(60)
        assert fake.in_tube(TUBE, "delayed")
        fake.advance(1.1)
        await wait_until(lambda: not fake.jobs, "the second attempt")
    assert len(record.messages) == 2


async def test_a_backoff_that_fails_is_logged(
    fakes: list[FakeBeanstalkd], redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The message waits as long as it was hidden."""

    def backoff(_: int) -> float:
        raise KeyError("no")

    record = Record()
    async with consuming(fakes[:1], redis_url, record.handler, backoff=backoff):
        await put_one(fakes[0], b"fail 1")
        await gone(fakes[:1])
    assert len(record.messages) == 2
    assert "callback_failed" in events(caplog)


async def test_what_fails_too_often_is_buried(
    fakes: list[FakeBeanstalkd], redis_url: str, redis_client: Redis
) -> None:
    """In every node; nothing of it is lost, and it begins anew when it is kicked."""
    record = Record()
    async with consuming(fakes, redis_url, record.handler, max_attempts=3) as consumer:
        await put(fakes, b"fail 3")

        def all_buried() -> bool:
            for fake in fakes:
                fake.advance(1)
            return [job.state for job in all_jobs(fakes)] == ["buried"] * 3

        await wait_until(all_buried, "the copies to be buried")
        await wait_until(lambda: consumer.stats.buried == 3, "the last one to be answered and counted")
        assert len(record.messages) == 3
        assert not redis_client.exists(record.messages[0].key)
        record.messages.clear()
        fakes[1].give_back(next(iter(fakes[1].jobs.values())))  # kicked
        await wait_until(lambda: len(record.messages) == 3, "three more attempts")
        await wait_until(all_buried, "the copy to be buried again")


async def test_what_was_buried_succeeds_when_it_is_kicked(
    fakes: list[FakeBeanstalkd], redis_url: str
) -> None:
    """Its other copies are deleted when they are kicked, too."""
    record = Record()

    async def handler(message: Message) -> None:
        await record.handler(message)
        if len(record.messages) <= 2:
            raise ValueError

    async with consuming(fakes[:2], redis_url, handler, max_attempts=2):
        await put(fakes[:2], b"x")

        def both_buried() -> bool:
            for fake in fakes[:2]:
                fake.advance(1)
            return [job.state for job in all_jobs(fakes[:2])] == ["buried"] * 2

        await wait_until(both_buried, "the copies to be buried")
        for fake in fakes[:2]:
            fake.give_back(next(iter(fake.jobs.values())))
        await gone(fakes[:2])
    assert len(record.messages) == 3


@pytest.mark.parametrize("lock", [GO_LOCK, "asyncq:done:x"])
async def test_what_is_done_is_deleted(
    fakes: list[FakeBeanstalkd], redis_url: str, redis_client: Redis, lock: str
) -> None:
    """By us, or by a consumer in Go, whose lock does not say whether it is."""
    record = Record()
    key = await put_one(fakes[0], b"x")
    redis_client.set(key, lock, px=60_000)
    async with consuming(fakes[:1], redis_url, record.handler) as consumer:
        await wait_until(lambda: not fakes[0].jobs, "the copy to be deleted")
        assert consumer.stats.duplicates == 1
    assert not record.messages
    assert redis_client.get(key) == lock.encode()


async def test_a_copy_of_what_somebody_handles_is_kept(
    fakes: list[FakeBeanstalkd], redis_url: str, redis_client: Redis
) -> None:
    """It is needed when that one dies."""
    record = Record()
    key = await put_one(fakes[0], b"x")
    redis_client.set(key, "asyncq:lease:somebody", px=60_000)
    async with consuming(fakes[:1], redis_url, record.handler) as consumer:
        await wait_until(lambda: consumer.stats.backups == 1, "the copy to be put off")
        assert fakes[0].in_tube(TUBE, "delayed")
        redis_client.delete(key)
        await gone(fakes[:1])
    assert len(record.messages) == 1


async def test_what_is_overdue_is_discarded(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """After 30 minutes, as in go-queue; it is told, and counted once for all copies."""
    told: list[Discarded] = []
    record = Record()
    minute = 60 * 1_000_000_000
    now = time.time_ns()
    async with consuming(fakes[:2], redis_url, record.handler, on_discard=told.append) as consumer:
        for fake in fakes[:2]:
            await put_one(fake, b"late", due_ns=now - 31 * minute)
            await put_one(fake, b"good", due_ns=now - 29 * minute)
        await gone(fakes[:2])
        assert (consumer.stats.discarded, consumer.stats.handled) == (1, 1)
    assert record.bodies == [b"good"]
    assert [(one.reason, one.message.body if one.message else None) for one in told] == [("late", b"late")]


@pytest.mark.parametrize("raw", [b"notime", b"/x", b"abc/x", b"1" * 24 + b"/x", b""])
async def test_what_no_producer_has_put_is_discarded(
    fakes: list[FakeBeanstalkd], redis_url: str, raw: bytes
) -> None:
    """As in go-queue; its bytes are told."""
    told: list[Discarded] = []
    record = Record()
    async with consuming(fakes[:1], redis_url, record.handler, on_discard=told.append):
        await put_one(fakes[0], b"", raw=raw)
        await gone(fakes[:1])
    assert not record.messages
    assert [(one.reason, one.raw, one.message) for one in told] == [("unreadable", raw, None)]


async def test_a_discard_that_is_not_taken_is_tried_again(
    fakes: list[FakeBeanstalkd], redis_url: str
) -> None:
    """What hears of it may fail, as a handler may."""
    told: list[Discarded] = []

    async def on_discard(found: Discarded) -> None:
        told.append(found)
        if len(told) == 1:
            raise OSError

    async with consuming(fakes[:1], redis_url, Record().handler, on_discard=on_discard) as consumer:
        await put_one(fakes[0], b"late", due_ns=1)
        await wait_until(lambda: told, "the discard")
        await gone(fakes[:1])
        assert consumer.stats.failed == 1
    assert len(told) == 2


async def test_no_guard_keeps_what_is_overdue(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """After an outage of hours."""
    record = Record()
    async with consuming(fakes[:1], redis_url, record.handler, guard=None):
        await put_one(fakes[0], b"x", due_ns=1)
        await gone(fakes[:1])
    assert record.bodies == [b"x"]


async def test_what_somebody_had_begun_is_not_too_late(
    fakes: list[FakeBeanstalkd], redis_url: str, redis_client: Redis
) -> None:
    """Its consumer died, and by that time 30 minutes are over."""
    record = Record()
    key = await put_one(fakes[0], b"x", due_ns=1)
    redis_client.hset(f"asyncq:claim:{{{key}}}", "begun_by", "asyncq:lease:dead")
    async with consuming(fakes[:1], redis_url, record.handler):
        await gone(fakes[:1])
    assert record.bodies == [b"x"]


async def test_plain_functions_run_in_threads(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """And the event loop goes on."""
    seen: list[str] = []

    def handler(_: Message) -> None:
        seen.append(threading.current_thread().name)

    async with consuming(fakes[:1], redis_url, handler):
        await put_one(fakes[0], b"x")
        await gone(fakes[:1])
    assert len(seen) == 1
    assert seen[0] != threading.main_thread().name


async def test_the_tube_default_is_left_alone(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """go-queue watches it, too."""
    record = Record()
    async with consuming(fakes[:1], redis_url, record.handler):
        async with beanstalk.Client(fakes[0].endpoint) as client:
            await client.put(wrap(b"not mine", time.time_ns()))
        await put_one(fakes[0], b"mine")
        await wait_until(lambda: record.messages, "the message")
        await wait_until(lambda: not fakes[0].in_tube(TUBE), "the copy to be deleted")
    assert record.bodies == [b"mine"]
    assert len(fakes[0].in_tube("default")) == 1

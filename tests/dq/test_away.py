"""Nodes that are away, Redis that is away, connections that break: nothing is lost."""

from __future__ import annotations

import asyncio
import logging

import pytest

from asyncq.dq import Producer
from tests.dq.consuming import TUBE, Record, all_jobs, confs, consuming, events, gone, put, put_one
from tests.support.fake_beanstalkd import FakeBeanstalkd
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.waiting import wait_until


async def test_while_redis_is_away_nothing_is_lost(
    fakes: list[FakeBeanstalkd], caplog: pytest.LogCaptureFixture
) -> None:
    """Copies wait, hidden; it is logged once, and once more when it is back."""
    caplog.set_level(logging.INFO)
    record = Record()
    with RedisProcess(RedisOptions(appendonly=True)) as redis:
        redis.kill()
        async with consuming(fakes, redis.url, record.handler) as consumer:
            await put(fakes, b"a", b"b")
            await wait_until(lambda: consumer.stats.postponed >= 3, "copies to be put off")
            assert not record.messages
            assert len(all_jobs(fakes)) == 6
            redis.start()
            await gone(fakes)
    assert sorted(record.bodies) == [b"a", b"b"]
    assert events(caplog).count("dq_away") == events(caplog).count("dq_back") == 1


async def test_what_was_handled_while_redis_went_away_is_done_when_it_is_back(
    fakes: list[FakeBeanstalkd],
) -> None:
    """Its copy is hidden until that could be written."""
    record = Record()
    with RedisProcess(RedisOptions(appendonly=True)) as redis:
        async with consuming(fakes[:1], redis.url, record.handler) as consumer:
            await put_one(fakes[0], b"wait")
            await wait_until(lambda: record.messages, "the message")
            redis.kill()
            record.go.set()
            await wait_until(lambda: consumer.stats.handled == 1, "the handler to end")
            await asyncio.sleep(0.2)
            assert fakes[0].in_tube(TUBE, "delayed")
            redis.start()
            await wait_until(lambda: not fakes[0].jobs, "the copy to be deleted")
    assert len(record.messages) == 1


async def test_a_node_that_is_away_does_not_hold_up_the_others(
    fakes: list[FakeBeanstalkd], redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its copies come when it is back, and are thrown away."""
    caplog.set_level(logging.INFO)
    record = Record()
    await put(fakes, b"a", b"b", b"c")
    await fakes[0].kill()
    async with consuming(fakes, redis_url, record.handler) as consumer:
        await gone(fakes[1:])
        assert sorted(record.bodies) == [b"a", b"b", b"c"]
        await fakes[0].start()
        await wait_until(lambda: not fakes[0].jobs, "its copies to be thrown away")
        assert consumer.stats.handled == 3
    assert [event for event in events(caplog) if event.startswith("dq_")] == ["dq_away", "dq_back"]


async def test_a_node_that_is_lost_for_good_costs_nothing(
    fakes: list[FakeBeanstalkd], redis_url: str
) -> None:
    """Also in the middle of a handler, whose copy it had."""
    record = Record()
    async with consuming(fakes, redis_url, record.handler):
        await put(fakes, b"wait")
        await wait_until(lambda: record.messages, "the message")
        own = next(fake for fake in fakes if fake.endpoint == record.messages[0].endpoint)
        await own.kill()
        own.jobs.clear()
        record.go.set()
        await gone(fakes)
    assert len({message.key for message in record.messages}) == 1


@pytest.mark.parametrize("name", ["release", "delete", "reserve-with-timeout"])
@pytest.mark.parametrize("fault", ["cut", "cut after"])
async def test_connections_that_break_lose_nothing(
    fakes: list[FakeBeanstalkd], redis_url: str, name: str, fault: str
) -> None:
    """At whichever command, carried out or not."""
    record = Record()
    fakes[0].faults[name] = fault  # type: ignore[assignment]
    async with consuming(fakes[:2], redis_url, record.handler):
        await put(fakes[:2], b"a", b"b", b"c")
        await wait_until(lambda: [line for line in fakes[0].seen if line.startswith(name)], "the fault")
        fakes[0].faults.clear()
        await gone(fakes[:2])
    assert sorted(record.bodies) == [b"a", b"b", b"c"]


async def test_a_node_that_is_too_old_does_what_it_can(
    fakes: list[FakeBeanstalkd], redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Before 1.12 nothing can be put off that is not reserved: what fails comes again after `hold`."""
    record = Record()
    fakes[0].faults["reserve-job"] = "UNKNOWN_COMMAND"
    async with consuming(fakes[:1], redis_url, record.handler):
        await put_one(fakes[0], b"fail 1")
        await put_one(fakes[0], b"x")
        await gone(fakes[:1])
    assert sorted(record.bodies) == [b"fail 1", b"fail 1", b"x"]
    assert events(caplog).count("node_too_old") == 1


@pytest.mark.parametrize("word", ["INTERNAL_ERROR", "OUT_OF_MEMORY"])
async def test_a_node_that_refuses_to_hide_a_copy_has_it_again(
    fakes: list[FakeBeanstalkd], redis_url: str, caplog: pytest.LogCaptureFixture, word: str
) -> None:
    """Its disk is full, say. It is not handled without being hidden."""
    record = Record()
    fakes[0].faults["release"] = word
    async with consuming(fakes[:1], redis_url, record.handler):
        await put_one(fakes[0], b"x")
        await wait_until(lambda: "node_refused" in events(caplog), "the refusal")
        assert not record.messages
        fakes[0].faults.clear()
        await gone(fakes[:1])
    assert record.bodies == [b"x"]


async def test_a_node_that_buries_what_it_cannot_put_back_loses_nothing(
    fakes: list[FakeBeanstalkd], redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The message is handled, and its copy deleted where it lies."""
    record = Record()
    fakes[0].faults["release"] = "BURIED"
    async with consuming(fakes[:1], redis_url, record.handler):
        await put_one(fakes[0], b"x")
        await wait_until(lambda: not fakes[0].jobs, "the copy to be deleted")
    assert record.bodies == [b"x"]
    assert "buried_by_node" in events(caplog)


async def test_producers_and_consumers_together_under_load(
    fakes: list[FakeBeanstalkd], redis_url: str
) -> None:
    """Two consumers, messages that fail, a node that crashes again and again: the union is complete."""
    one, other = Record(), Record()
    async with (
        consuming(fakes, redis_url, one.handler, concurrency=4),
        consuming(fakes, redis_url, other.handler, concurrency=4),
        Producer(confs(fakes)) as producer,
    ):
        for number in range(60):
            await producer.delay(b"fail 1" if number % 7 == 0 else b"%d" % number, 0)
            if number % 20 == 19:
                await fakes[number % 3].restart()
        await gone(fakes)
    handled = one.bodies + other.bodies
    assert {b"%d" % number for number in range(60) if number % 7} <= set(handled)

"""Consumers in a group, with settings from a file, on each kind of Redis, and cancelled anywhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from asyncq.app import RedisConf as AppRedisConf
from asyncq.app import ServiceConf, ServiceGroup, load
from asyncq.connection import ConnectionOptions
from asyncq.dq import Beanstalk, Consumer, DqConf, RedisConf
from tests.conftest import TOPOLOGIES, AnyRedis
from tests.dq.consuming import Record, confs, consuming, gone, put, put_one
from tests.support.fake_beanstalkd import FakeBeanstalkd
from tests.support.waiting import wait_until


@pytest.mark.parametrize("any_redis", TOPOLOGIES, indirect=True)
@pytest.mark.parametrize("ack", ["late", "early"])
async def test_messages_on_each_kind_of_redis(
    fakes: list[FakeBeanstalkd], any_redis: AnyRedis, ack: str
) -> None:
    """The locks of a cluster lie on all its nodes."""
    record = Record()
    bodies = [b"%d" % number for number in range(12)]
    async with consuming(fakes, any_redis.url, record.handler, ack=ack):
        await put(fakes, *bodies)
        await gone(fakes)
        await wait_until(lambda: len(record.bodies) == 12, "all of them")
    assert sorted(record.bodies) == sorted(bodies)


async def test_a_consumer_is_a_service(fakes: list[FakeBeanstalkd], redis_url: str) -> None:
    """It begins and leaves with its group."""
    record = Record()
    consumer = Consumer(DqConf(tuple(confs(fakes)), redis_url), record.handler, hold=3, name="orders")
    group = ServiceGroup()
    group.add(consumer)
    running = asyncio.ensure_future(group.start())
    await put(fakes, b"x")
    await wait_until(lambda: record.bodies, "the message")
    await group.stop()
    await running
    assert consumer.stats.handled == 1
    assert (consumer.name, consumer.shutdown_timeout) == ("orders", 8.0)


@dataclass(frozen=True)
class Settings(ServiceConf):
    """As in go-zero's job application."""

    dq_conf: DqConf


def test_settings_of_go_zero_are_read_unchanged(tmp_path: Path) -> None:
    """The tutorial's file."""
    file = tmp_path / "job.yaml"
    file.write_text("""
Name: job
Log:
  ServiceName: job
  Level: info
DqConf:
  Beanstalks:
    - Endpoint: 127.0.0.1:7771
      Tube: tube1
    - Endpoint: 127.0.0.1:7772
      Tube: tube2
  Redis:
    Host: 127.0.0.1:6379
    Type: node
    PingTimeout: 3s
""")
    conf = load(file, Settings, unknown="ignore").dq_conf
    assert conf.beanstalks == (Beanstalk("127.0.0.1:7771", "tube1"), Beanstalk("127.0.0.1:7772", "tube2"))
    assert conf.redis == RedisConf("127.0.0.1:6379", ping_timeout=timedelta(seconds=3))


def test_the_redis_of_a_group_will_do() -> None:
    """Whatever can say where it is."""
    conf = DqConf((Beanstalk("a:1", "t"),), AppRedisConf(host="127.0.0.1:6380"))
    place = conf.redis_place()
    assert isinstance(place, ConnectionOptions)
    assert place.describe() == "127.0.0.1:6380"


@pytest.mark.parametrize("part", range(4))
async def test_a_consumer_that_is_cancelled_anywhere_loses_nothing(
    fakes: list[FakeBeanstalkd], redis_url: str, part: int
) -> None:
    """After so many turns of the event loop: at every await of a delivery, one time or another."""
    record = Record()
    fakes = fakes[:1]
    count = 0
    for turns in range(20 + part, 140, 12):
        await put_one(fakes[0], b"%d" % count)
        count += 1
        consumer = Consumer(DqConf(tuple(confs(fakes)), redis_url), record.handler, hold=3, concurrency=1)
        task = asyncio.ensure_future(consumer.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with consuming(fakes, redis_url, record.handler):
        await gone(fakes)
    assert set(record.bodies) == {b"%d" % number for number in range(count)}

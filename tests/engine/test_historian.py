"""The historian brings what was counted to Redis: each number once, whatever becomes of calls."""

from __future__ import annotations

import time

import pytest

from asyncq import Connection
from asyncq._broker.broker import Broker
from asyncq._broker.measures import ALL, MEASURE, MINUTE, Batch
from asyncq._broker.rounds import Round
from asyncq._engine.historian import Historian
from asyncq._engine.measures import Recorder
from asyncq.errors import BrokerUnavailableError
from tests.conftest import AnyRedis
from tests.support.proxy import Proxy
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until


async def _minutes(connection: Connection, queue: str) -> dict[int, int]:
    """How many were done in which minute, counted from the present one."""
    broker = Broker(connection.router(), connection.wire, owner="reader", patience=5.0)
    round_ = Round(broker.basis, partial=False)
    now = await broker.measures.now(queue, round_)
    assert now is not None
    first = int(now // MINUTE) - 5
    found = await broker.measures.read(queue, MINUTE, first, first + 15, round_) or {}
    counts = {
        number - first - 5: sum(one.get("d", 0) for one in update.values())
        for number, update in found.items()
    }
    return {number: count for number, count in counts.items() if count}


async def test_a_batch_is_added_once_however_often_it_is_sent(any_redis: AnyRedis) -> None:
    """To the numbers of a queue, and to those of all."""
    async with Connection(any_redis.url) as connection:
        broker = Broker(connection.router(), connection.wire, owner="s", patience=5.0)
        recorder = Recorder(["default"], most=10)
        historian = Historian(broker.measures, recorder)
        recorder.of("default", "mail").done.count += 3
        await historian.tick()
        await historian.tick()
        recorder.of("default", "mail").done.count += 4
        await historian.leave()
        for queue in ("default", ALL):
            for _ in range(2):
                await broker.measures.add(Batch([queue], 1, time.time(), {queue: {"mail": {"d": 9}}}))
            assert sum((await _minutes(connection, queue)).values()) == 7


async def test_an_answer_that_was_lost_does_not_double_anything(
    redis_process: RedisProcess, redis_url: str
) -> None:
    """The call was carried out, and is sent again."""
    recorder = Recorder(["default"], most=10)
    script = MEASURE.texts["native"]
    async with Connection(redis_url) as direct:
        await direct.router().command("SCRIPT", "LOAD", script.source, patience=5.0)
        with Proxy(redis_process) as proxy:
            async with Connection(proxy.url, prefix="asyncq:", wire="native") as connection:
                broker = Broker(connection.router(), connection.wire, owner="s", patience=20.0)
                historian = Historian(broker.measures, recorder)
                await historian.tick()
                recorder.of("default", "mail").done.count += 5
                proxy.lose_reply("EVALSHA", containing=script.sha.encode(), times=3)
                await historian.tick()
                assert proxy.losses == 3
                for queue in ("default", ALL):
                    assert sum((await _minutes(connection, queue)).values()) == 5


async def test_what_redis_missed_comes_later(redis_process: RedisProcess, redis_url: str) -> None:
    """Into the minutes in which it was counted."""
    clock = [1000.0]
    recorder = Recorder(["default"], most=10)
    with Proxy(redis_process) as proxy:
        async with Connection(proxy.url) as connection:
            broker = Broker(connection.router(), connection.wire, owner="s", patience=0.05)
            historian = Historian(broker.measures, recorder, lambda: clock[0])
            await wait_until(lambda: _ticks(historian), "the first tick")
            proxy.refuse()
            for _ in range(3):
                clock[0] += 60
                recorder.of("default", "mail").done.count += 1
                with pytest.raises(BrokerUnavailableError):
                    await historian.tick()
            proxy.start()
            recorder.of("default", "mail").done.count += 5
            await wait_until(lambda: _ticks(historian), "Redis to be back")
            for queue in ("default", ALL):
                found = await _minutes(connection, queue)
                assert list(found.values()) == [1, 1, 6]
                assert [number - min(found) for number in found] == [0, 1, 2]
    del redis_url


async def _ticks(historian: Historian) -> bool:
    try:
        await historian.tick()
    except BrokerUnavailableError:
        return False
    return True

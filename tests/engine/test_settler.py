"""The settler gathers outcomes, writes them in few calls, and never gives one up while there is hope."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, cast

import pytest
from redis import Redis

from asyncq._broker import settle
from asyncq._broker.broker import Broker
from asyncq._broker.deliver import Delivery
from asyncq._broker.settle import Settlement
from asyncq._clock import now
from asyncq._engine.held import HeldDeliveries
from asyncq._engine.measures import Recorder
from asyncq._engine.settler import Settler
from asyncq._redis.router import Router
from asyncq._wire.wire import NativeWire
from asyncq.connection import ConnectionOptions
from asyncq.errors import AsyncqError, ClosedError
from tests.support.keyspace import snapshot
from tests.support.servers import RedisProcess


@pytest.fixture
async def broker(redis_process: RedisProcess, redis_client: Redis) -> AsyncGenerator[Broker]:
    """The areas over a real server."""
    router = Router(ConnectionOptions.from_url(redis_process.url), name="asyncq:test")
    yield Broker(router, NativeWire(), owner="s", patience=5.0)
    await router.aclose()


def _active(client: Redis, *ids: str) -> None:
    for number, task_id in enumerate(ids):
        mapping = {"msg": "m", "state": "active", "delivery": f"s:{number}", "deliveries": "1"}
        client.hset(f"asyncq:{{q}}:t:{task_id}", mapping=mapping)
        client.zadd("asyncq:{q}:lease", {task_id: 1e10})


def _held(*ids: str) -> HeldDeliveries:
    held = HeldDeliveries()
    for number, task_id in enumerate(ids):
        held.add([Delivery("q", task_id, f"s:{number}", 0, 0, 0, 0.0)])
    return held


async def test_outcomes_of_one_turn_go_in_one_call(broker: Broker, redis_client: Redis) -> None:
    """And what is written is held no more."""
    ids = [f"t{number}" for number in range(100)]
    _active(redis_client, *ids)
    held = _held(*ids)
    settler = Settler(broker.settle, held, Recorder(["a", "b", "q"], most=10), now=now)
    before = _calls(redis_client)
    for number, task_id in enumerate(ids):
        settler.put(settle.done("q", task_id, f"s:{number}"))
    await settler.drain()
    assert (settler.written, settler.outstanding, len(held)) == (100, 0, 0)
    assert _calls(redis_client) - before <= 2  # the second with the text of the script
    assert snapshot(redis_client)["asyncq:{q}:flow"] == {"done": "100"}


def _calls(client: Redis) -> int:
    stats = cast("dict[str, Any]", client.info("commandstats"))
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha"))


async def test_what_comes_meanwhile_goes_with_the_next_call(broker: Broker, redis_client: Redis) -> None:
    """Nothing waits for a timer, and nothing is forgotten at the seams."""
    ids = [f"t{number}" for number in range(1200)]
    _active(redis_client, *ids)
    held = _held(*ids)
    settler = Settler(broker.settle, held, Recorder(["a", "b", "q"], most=10), now=now)
    for number, task_id in enumerate(ids):
        settler.put(settle.done("q", task_id, f"s:{number}"))
        if number % 7 == 0:
            await asyncio.sleep(0)
    await settler.drain()
    assert (settler.written, len(held)) == (1200, 0)
    assert snapshot(redis_client)["asyncq:{q}:flow"] == {"done": "1200"}


async def test_an_outcome_that_comes_too_late_is_reported_and_changes_nothing(
    broker: Broker, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Each by its name, also between others of the same call."""
    _active(redis_client, "a", "b", "c")
    redis_client.hset("asyncq:{q}:t:b", "delivery", "other:7")
    held = _held("a", "b", "c")
    settler = Settler(broker.settle, held, Recorder(["a", "b", "q"], most=10), now=now)
    settler.put(settle.retry("q", "a", "s:0", error="e", delay=60, counts=True))
    settler.put(settle.done("q", "b", "s:1"))
    settler.put(settle.done("q", "c", "s:2"))
    with caplog.at_level(logging.WARNING):
        await settler.drain()
    assert (settler.written, settler.refused, len(held)) == (2, 1, 0)
    refused = [record for record in caplog.records if getattr(record, "event", "") == "not_owner"]
    assert [getattr(record, "task_id", "") for record in refused] == ["b"]
    assert redis_client.hget("asyncq:{q}:t:b", "delivery") == b"other:7"


@pytest.mark.parametrize("step", range(1, 8))
async def test_cancelling_whoever_drains_stops_nothing(
    broker: Broker, redis_client: Redis, step: int
) -> None:
    """The outcomes are data, and their way to Redis is no coroutine that could be cancelled."""
    _active(redis_client, "a", "b")
    settler = Settler(broker.settle, _held("a", "b"), Recorder(["a", "b", "q"], most=10), now=now)
    settler.put(settle.done("q", "a", "s:0"))
    draining = asyncio.ensure_future(settler.drain())
    for _ in range(step):
        await asyncio.sleep(0)
    settler.put(settle.done("q", "b", "s:1"))
    draining.cancel()
    await asyncio.wait([draining])
    await settler.drain()
    assert settler.written == 2


class _Away:
    """A settle area whose calls are answered by the test."""

    def __init__(self) -> None:
        self.calls: list[
            tuple[list[Settlement], Callable[[dict[int, str]], None], Callable[[AsyncqError], None]]
        ] = []

    def slot(self, queue: str) -> int:
        return ord(queue[0])

    def write(
        self,
        settlements: Sequence[Settlement],
        *,
        now: float,
        on_written: Callable[[dict[int, str]], None],
        on_failure: Callable[[AsyncqError], None],
    ) -> None:
        assert len({self.slot(one.queue) for one in settlements}) == 1
        self.calls.append((list(settlements), on_written, on_failure))


async def test_each_slot_has_one_call_on_its_way() -> None:
    """Of a cluster: one that is slow does not hold up the others."""
    away = _Away()
    settler = Settler(cast("Any", away), HeldDeliveries(), Recorder(["a", "b", "q"], most=10), now=now)
    for number in range(3):
        for queue in ("a", "b"):
            settler.put(settle.done(queue, f"{queue}{number}", "s:1"))
        await asyncio.sleep(0)
    assert [[one.id for one in call[0]] for call in away.calls] == [["a0"], ["b0"]]
    away.calls[1][1]({})
    assert [one.id for one in away.calls[2][0]] == ["b1", "b2"]
    away.calls[2][1]({})
    draining = asyncio.ensure_future(settler.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    assert settler.outstanding == 3
    away.calls[0][1]({})
    away.calls[3][1]({})
    await draining
    assert (settler.written, len(away.calls)) == (6, 4)


async def test_a_call_that_cannot_succeed_lets_the_leases_run_out(caplog: pytest.LogCaptureFixture) -> None:
    """Its tasks run again. What gathered behind it is still tried."""
    away = _Away()
    held = _held("a", "b")
    settler = Settler(cast("Any", away), held, Recorder(["a", "b", "q"], most=10), now=now)
    settler.put(settle.done("q", "a", "s:0"))
    await asyncio.sleep(0)
    settler.put(settle.done("q", "b", "s:1"))
    away.calls[0][2](ClosedError("the connection"))
    assert len(held) == 1
    assert [one.id for one in away.calls[1][0]] == ["b"]
    away.calls[1][1]({})
    await settler.drain()
    assert settler.written == 1
    assert [getattr(record, "event", "") for record in caplog.records] == ["settle_failed"]

"""An idle server hears of what silent producers do, whatever happens meanwhile; a busy one does not ask."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import statistics
import time
from typing import Any, cast

import pytest
from redis import Redis

from asyncq._engine import aggregator as aggregating
from asyncq._engine import watcher as module
from asyncq.client import Client
from asyncq.mux import Mux
from asyncq.server import Server
from asyncq.task import Task
from tests.conftest import TOPOLOGIES, AnyRedis
from tests.integration.serving import at_work, inside
from tests.integration.silent import NEVER, Producer, Taken, watching
from tests.support.proxy import Proxy
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.waiting import wait_until


def _watchers(client: Redis) -> list[dict[str, str]]:
    """The connections on which servers hear of changes."""
    entries = cast("list[dict[str, str]]", cast("Any", client).client_list())
    return [entry for entry in entries if entry["name"].startswith("asyncq:watcher:")]


async def test_a_push_is_heard(any_redis: AnyRedis) -> None:
    """Long before anybody looks by himself."""
    taken, producer = Taken(), Producer(any_redis.client)
    late = []
    async with watching(any_redis, taken.mux, queues=["default", "other"]):
        for number in range(10):
            began = time.perf_counter()
            task_id = producer.push(("default", "other")[number % 2])
            await taken.of(task_id)
            late.append(taken.at[task_id] - began)
    # Measured by benchmarks/silent.py. Here the machine may be busy; but who looks now and then is later.
    assert statistics.median(late) < 0.1


@pytest.mark.parametrize("any_redis", TOPOLOGIES, indirect=True)
async def test_what_is_scheduled_is_heard(any_redis: AnyRedis) -> None:
    """A later one first, so that the forwarder sleeps until then."""
    taken, producer = Taken(), Producer(any_redis.client)
    async with watching(any_redis, taken.mux):
        producer.schedule(NEVER)
        soon = producer.schedule(0.01)
        due = producer.client.zscore(producer.keys().scheduled, soon)
        await taken.of(soon)
        assert time.time() >= due
        assert len(taken.at) == 1


@pytest.mark.parametrize("any_redis", TOPOLOGIES, indirect=True)
async def test_groups_are_heard(any_redis: AnyRedis) -> None:
    """That a first task waits in a group; while some do, the aggregator looks for full ones."""
    producer = Producer(any_redis.client)

    async def aggregate(group: str, tasks: list[Task]) -> Task:
        raise AssertionError(f"{group} was not to be full: {tasks}")

    async with watching(any_redis, Mux(), group_aggregator=aggregate) as server:
        (aggregator,) = inside(server).aggregators
        looks = aggregator.looks
        producer.client.sadd(producer.keys().groups, "some")
        await wait_until(lambda: aggregator.looks > looks, "a look at the groups")


async def test_a_full_group_is_found(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says that it is full, so the aggregator looks while tasks gather."""
    monkeypatch.setattr(aggregating, "LOOK_FOR_FULL", 0.1)
    taken, producer = Taken(), Producer(redis_client)

    async def aggregate(group: str, tasks: list[Task]) -> Task:
        return Task("work", task_id="made of " + group)

    options = {"group_aggregator": aggregate, "group_max_size": 3, "group_grace_period": NEVER}
    async with watching(redis_url, taken.mux, **options), Client(redis_url, wire="asynq") as client:
        for _ in range(2):
            await client.enqueue(Task("work"), group="some")
        third = producer.store(state="aggregating", group="some")
        redis_client.zadd(producer.keys().group("some"), {third: time.time()})
        await taken.of("made of some")


async def test_a_paused_queue_costs_nothing(redis_url: str, redis_client: Redis) -> None:
    """However much comes in meanwhile; and that it goes on is heard."""
    taken, producer = Taken(), Producer(redis_client)
    redis_client.set(producer.keys().paused, "1")
    async with watching(redis_url, taken.mux, queues=["default", "other"]) as server:
        ids = [producer.push() for _ in range(20)]
        await taken.of(producer.push("other"))  # that one works meanwhile
        fetcher = inside(server).fetcher
        assert fetcher is not None
        asked = fetcher.last_answer_at
        ids += [producer.push() for _ in range(20)]
        await asyncio.to_thread(redis_client.ping)
        assert fetcher.last_answer_at == asked
        redis_client.delete(producer.keys().paused)
        await taken.of(*ids)


async def test_a_pause_that_was_not_seen_does_no_harm(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came and went between two readings, and the server had looked in vain meanwhile."""
    monkeypatch.setattr(module, "PAUSED_GAP", 0.5)
    taken, producer = Taken(), Producer(redis_client)
    async with watching(redis_url, taken.mux) as server:
        fetcher = inside(server).fetcher
        assert fetcher is not None
        redis_client.set(producer.keys().paused, "1")
        asked = fetcher.last_answer_at
        task_id = producer.push()
        await wait_until(lambda: fetcher.last_answer_at > asked, "the server to look")
        assert not taken.at
        redis_client.delete(producer.keys().paused)
        await taken.of(task_id)


async def test_a_server_that_was_busy_hears_what_came_meanwhile(redis_url: str, redis_client: Redis) -> None:
    """It does not listen while all its slots are taken, and reads what is there when one is free."""
    begun: list[str] = []
    gate, producer, mux = asyncio.Event(), Producer(redis_client), Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        begun.append(task.id)
        await gate.wait()

    async with watching(redis_url, mux, concurrency=2):
        ids = [producer.push() for _ in range(5)]
        await wait_until(lambda: len(begun) == 2, "both slots to be taken")
        ids += [producer.push() for _ in range(5)]
        gate.set()
        await wait_until(lambda: sorted(begun) == sorted(ids), "all to run")
        gate.clear()
        last = producer.push()
        await wait_until(lambda: last in begun, "the next one")
        gate.set()


async def test_nothing_is_missed_between_a_look_and_the_waiting(any_redis: AnyRedis) -> None:
    """Several producers, two servers, and nothing that would find later what was missed."""
    taken = Taken()

    def produce() -> list[str]:
        producer = Producer(any_redis.client)
        return [producer.push(f"queue-{number % 3}") for number in range(300)]

    queues = [f"queue-{number}" for number in range(3)]
    async with watching(any_redis, taken.mux, queues=queues), watching(any_redis, taken.mux, queues=queues):
        ids = await asyncio.to_thread(produce)
        await taken.of(*ids)


async def test_a_connection_that_is_lost_is_made_again(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was pushed meanwhile is found by the first reading."""
    monkeypatch.setattr(module, "POLL_EVERY", 0.1)
    taken, producer = Taken(), Producer(redis_client)
    async with watching(redis_url, taken.mux) as server:
        for _ in range(2):
            (entry,) = _watchers(redis_client)
            cast("Any", redis_client).client_kill_filter(_id=entry["id"])
            await taken.of(producer.push())
            await wait_until(lambda: inside(server).watchers[0].hears, "the connection")
            await taken.of(producer.push())
            assert [one["id"] for one in _watchers(redis_client)] != [entry["id"]]


async def test_an_emptied_redis_is_heard_again(redis_url: str, redis_client: Redis) -> None:
    """Whoever flushes says that all keys have changed, and the keys are to be read again."""
    taken, producer = Taken(), Producer(redis_client)
    async with watching(redis_url, taken.mux):
        redis_client.flushall()
        await taken.of(producer.push())
        redis_client.flushall()
        await taken.of(producer.schedule(0.05))


async def test_odd_keys_do_not_spoil_the_others(redis_url: str, redis_client: Redis) -> None:
    """As everywhere else."""
    taken, producer = Taken(), Producer(redis_client)
    redis_client.set(producer.keys("odd").scheduled, "no zset")
    redis_client.set(producer.keys("odd").pending, "no list")
    async with watching(redis_url, taken.mux, queues=["odd", "default"]):
        await taken.of(producer.push(), producer.schedule(0.05))


async def test_who_may_not_listen_looks_every_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And says so once. Given the right, it listens."""
    monkeypatch.setattr(module, "POLL_EVERY", 0.1)
    monkeypatch.setattr(module, "REFUSED_FOR", 0.3)
    caplog.set_level(logging.INFO, "asyncq.server")
    with RedisProcess(RedisOptions(transport="tcp")) as redis, redis.client() as plain:
        client: Any = plain
        client.execute_command(
            "ACL", "SETUSER", "deaf", "on", ">secret", "~*", "&*", "+@all", "-client|tracking"
        )
        url = redis.url.replace("redis://", "redis://deaf:secret@")
        taken, producer = Taken(), Producer(plain)
        async with Server(url, wire="asynq", concurrency=1, delayed_check_interval=NEVER).running(
            taken.mux
        ) as server:
            await taken.of(*[producer.push() for _ in range(3)], producer.schedule(0.05))
            (watcher,) = inside(server).watchers
            assert not watcher.hears
            client.execute_command("ACL", "SETUSER", "deaf", "+client|tracking")
            await wait_until(lambda: watcher.hears, "the server to hear")
            await taken.of(producer.push())
        events = [getattr(record, "event", "") for record in caplog.records]
        assert events.count("changes_unheard") == events.count("changes_heard") == 1


async def test_who_is_hung_up_on_looks_every_now_and_then(
    redis_process: RedisProcess,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As by a proxy that does not know the handshake. It says so after a while, and tries again and again."""
    monkeypatch.setattr(module, "POLL_EVERY", 0.1)
    monkeypatch.setattr(module, "UNHEARD_AFTER", 0.3)
    caplog.set_level(logging.INFO, "asyncq.server")

    def events(name: str) -> int:
        return sum(getattr(record, "event", "") == name for record in caplog.records)

    taken = Taken()
    with redis_process.client() as client, Proxy(redis_process) as proxy:
        producer = Producer(client)
        proxy.lose_reply("HELLO", times=1000)
        async with Server(proxy.url, wire="asynq", concurrency=1).running(taken.mux) as server:
            await taken.of(*[producer.push() for _ in range(3)])
            await wait_until(lambda: events("changes_unheard"), "it to be said")
            await taken.of(producer.push())
            proxy.forgive()
            (watcher,) = inside(server).watchers
            await wait_until(lambda: watcher.hears and events("changes_heard"), "the server to hear")
            proxy.lose_reply("EXISTS")
            await taken.of(*[producer.push() for _ in range(3)])
        assert events("changes_unheard") == events("changes_heard") == 1


async def test_others_may_schedule_much_for_later(redis_process: RedisProcess, redis_url: str) -> None:
    """The forwarder is left alone, and what is first is read a few times a second."""
    taken = Taken()
    with redis_process.client() as client, Proxy(redis_process) as proxy:
        producer = Producer(client)
        first = producer.schedule(NEVER)
        async with watching(proxy.url, taken.mux):
            await taken.of(producer.push())
            scripts, read, began = proxy.commands["EVALSHA"], proxy.commands["ZRANGE"], time.monotonic()
            await asyncio.to_thread(lambda: [producer.schedule(NEVER + 1) for _ in range(500)])
            await taken.of(producer.push())  # by now what came before has been heard of
            looks = 1 + (time.monotonic() - began) / module.DELAYED_GAP
            assert 1 <= proxy.commands["ZRANGE"] - read <= looks + 1
            # Deliver, settle, and deliver to find that there is no more; whatever a heartbeat says.
            assert proxy.commands["EVALSHA"] - scripts <= 12
            assert client.zscore(producer.keys().scheduled, first) is not None


async def test_a_busy_server_does_not_ask(redis_process: RedisProcess, redis_url: str) -> None:
    """While there is always more to do, changes are of no interest."""
    taken = Taken()
    with redis_process.client() as client, Proxy(redis_process) as proxy:
        producer = Producer(client)
        async with watching(proxy.url, taken.mux) as server:
            await server.stop()
            ids = [producer.push() for _ in range(1000)]
            before = proxy.commands["EXISTS"]
            await server.resume()
            await taken.of(*ids)
            assert proxy.commands["EXISTS"] - before <= 5


async def test_servers_in_vain_go_later(redis_url: str, redis_client: Redis) -> None:
    """Of several idle servers that hear of each task one takes nearly all, and is asked for by few others."""
    taken, producer = Taken(), Producer(redis_client)
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(watching(redis_url, taken.mux)) for _ in range(4)]
        for _ in range(60):
            await taken.of(producer.push())
        fetchers = [inside(server).fetcher for server in servers]
        shares = sorted(fetcher.taken for fetcher in fetchers if fetcher is not None)
    assert sum(shares) == 60
    assert shares[-1] > 30, shares


async def test_our_own_wire_is_not_watched(redis_url: str, redis_client: Redis) -> None:
    """Our clients say what they do; and who wants no messages gets none."""
    async with Server(redis_url, wire="asynq", waking="poll").running(Mux()) as server:
        assert not inside(server).watchers
    async with at_work(redis_url, Mux()) as (_, server):
        assert not inside(server).watchers
        assert not _watchers(redis_client)

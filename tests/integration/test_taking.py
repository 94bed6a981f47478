"""Which tasks a server takes, how many, and how soon."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from redis import Redis

from asyncq.client import Client
from asyncq.context import current_context
from asyncq.mux import Mux
from asyncq.server import Server
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, settled
from tests.support.census import take_census
from tests.support.waiting import wait_until

# Far longer than any test: what happens sooner was not the safety poll.
_SAFE = 60.0
_PROMPT = 1.0


class _Gate:
    """Handlers that stand still until they are let go, and a note of who came."""

    def __init__(self) -> None:
        self.came: list[Task] = []
        self.mux = Mux()
        self.open = asyncio.Event()
        self.now = self.most = 0
        self.mux.handle("work", self.work)

    async def work(self, task: Task) -> None:
        self.came.append(task)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.open.wait()
        finally:
            self.now -= 1


@pytest.mark.parametrize("concurrency", [1, 3, 40])
async def test_nothing_is_fetched_beyond_free_slots(
    redis_url: str, redis_client: Redis, concurrency: int
) -> None:
    """What this server cannot start, another may: hoarding is what makes queues late."""
    gate = _Gate()
    async with Client(redis_url) as client:
        await asyncio.gather(*(client.enqueue(Task("work")) for _ in range(100)))
    async with at_work(redis_url, gate.mux, concurrency=concurrency):
        await wait_until(lambda: gate.now == concurrency, "all slots to be taken")
        assert take_census(redis_client).counts == {"active": concurrency, "pending": 100 - concurrency}
        gate.open.set()
        await settled(redis_client, done=100)
    assert gate.most == concurrency


async def _fill(url: str, **counts: int) -> None:
    async with Client(url) as client:
        for queue, count in counts.items():
            await asyncio.gather(*(client.enqueue(Task("work"), queue=queue) for _ in range(count)))


def _noting(came: list[str]) -> Mux:
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        came.append(task.queue)

    return mux


@pytest.mark.parametrize("concurrency", [1, 10, 50])
async def test_weighted_shares_hold_over_any_window(redis_url: str, concurrency: int) -> None:
    """6, 3 and 1 means 60, 30 and 10 of each hundred, and not only in the long run."""
    came: list[str] = []
    await _fill(redis_url, high=300, mid=150, low=50)
    async with at_work(
        redis_url, _noting(came), concurrency=concurrency, queues={"high": 6, "mid": 3, "low": 1}
    ):
        await wait_until(lambda: len(came) == 500, "everything to run")
    for start in range(0, 400, 50):
        window = Counter(came[start : start + 100])
        for queue, share in (("high", 60), ("mid", 30), ("low", 10)):
            assert window[queue] == pytest.approx(share, abs=6), (start, window)


async def test_what_one_queue_cannot_use_the_others_do(redis_url: str) -> None:
    """Nothing idles while there is work anywhere."""
    came: list[str] = []
    await _fill(redis_url, low=200)
    async with at_work(
        redis_url, _noting(came), concurrency=2, queues={"high": 9, "low": 1}, task_check_interval=_SAFE
    ):
        await wait_until(lambda: len(came) == 200, "everything to run")


@pytest.mark.parametrize("concurrency", [1, 40])
async def test_strict_priority_empties_the_first_queue_first(redis_url: str, concurrency: int) -> None:
    """Whatever waits in the others."""
    came: list[str] = []
    await _fill(redis_url, a=100, b=100, c=100)
    async with at_work(
        redis_url,
        _noting(came),
        concurrency=concurrency,
        queues={"c": 1, "a": 3, "b": 2},
        strict_priority=True,
    ):
        await wait_until(lambda: len(came) == 300, "everything to run")
    assert came == ["a"] * 100 + ["b"] * 100 + ["c"] * 100


async def test_a_paused_queue_and_a_strangers_queue_are_left_alone(
    redis_url: str, redis_client: Redis
) -> None:
    """Until the pause is over."""
    came: list[str] = []
    redis_client.set("asyncq:{paused}:paused", "1")
    await _fill(redis_url, paused=3, stranger=3, mine=3)
    async with at_work(
        redis_url, _noting(came), queues={"paused": 9, "mine": 1}, waking="poll", task_check_interval=0.01
    ):
        await wait_until(lambda: len(came) == 3, "ours to run")
        assert came == ["mine"] * 3
        redis_client.delete("asyncq:{paused}:paused")
        await wait_until(lambda: len(came) == 6, "the pause to be over")
    assert set(came[3:]) == {"paused"}
    assert take_census(redis_client, "stranger").counts == {"pending": 3}


async def test_an_idle_server_is_woken_by_a_push(any_redis: AnyRedis) -> None:
    """On every kind of Redis, for each of its queues, and again and again."""
    gate = _Gate()
    gate.open.set()
    queues = {"one": 1, "two": 1, "three": 1}
    async with at_work(any_redis.url, gate.mux, queues=queues, task_check_interval=_SAFE) as (client, _):
        for count in range(1, 10):
            started = time.monotonic()
            await client.enqueue(Task("work"), queue=list(queues)[count % 3])
            await wait_until(lambda count=count: len(gate.came) == count, "the task to be taken")
            assert time.monotonic() - started < _PROMPT


async def test_an_idle_server_is_woken_for_what_becomes_due(any_redis: AnyRedis) -> None:
    """Also when something earlier is scheduled than what it sleeps for."""
    gate = _Gate()
    gate.open.set()
    async with at_work(any_redis.url, gate.mux, task_check_interval=_SAFE) as (client, _):
        await client.enqueue(Task("work", "later"), process_in=3600)
        due = datetime.now(UTC) + timedelta(seconds=0.2)
        await client.enqueue(Task("work", "soon"), process_at=due)
        await client.enqueue(Task("work", "sooner"), process_in=0.05)
        await wait_until(lambda: len(gate.came) == 2, "both to be taken")
        assert abs((datetime.now(UTC) - due).total_seconds()) < _PROMPT
    assert [task.payload for task in gate.came] == ["sooner", "soon"]


async def test_what_is_given_back_wakes_another_server(redis_url: str, redis_client: Redis) -> None:
    """In every deployment one server leaves and another stands idle."""
    leaving, staying = _Gate(), _Gate()
    staying.open.set()
    async with Client(redis_url) as client:
        first = Server(redis_url, concurrency=5, shutdown_timeout=0.0, task_check_interval=_SAFE)
        async with first.running(leaving.mux):
            for _ in range(5):
                await client.enqueue(Task("work"))
            await wait_until(lambda: leaving.now == 5, "the first server to be busy")
            async with at_work(redis_url, staying.mux, task_check_interval=_SAFE):
                await first.shutdown()
                await settled(redis_client, done=5)
    assert len(staying.came) == 5


async def test_a_stopped_server_is_woken_no_more(redis_url: str, redis_client: Redis) -> None:
    """What it hears it passes on to who can act on it."""
    stopped, idle = _Gate(), _Gate()
    idle.open.set()
    async with (
        at_work(redis_url, stopped.mux, task_check_interval=_SAFE) as (client, server),
        at_work(redis_url, idle.mux, task_check_interval=_SAFE),
    ):
        await server.stop()
        for count in range(1, 6):
            await client.enqueue(Task("work"))
            await wait_until(lambda count=count: len(idle.came) == count, "the other to take it")
    assert stopped.came == []
    assert take_census(redis_client).gone == {"done": 5}


async def test_a_busy_server_passes_on_what_it_is_told(redis_url: str, redis_client: Redis) -> None:
    """Many tasks, two servers with one slot each, and no message lost between them."""
    gates = (_Gate(), _Gate())
    for gate in gates:
        gate.open.set()
    async with (
        at_work(redis_url, gates[0].mux, concurrency=1, task_check_interval=_SAFE) as (client, _),
        at_work(redis_url, gates[1].mux, concurrency=1, task_check_interval=_SAFE),
    ):
        total = 0
        for _ in range(50):
            for burst in (1, 2, 3):
                await asyncio.gather(*(client.enqueue(Task("work")) for _ in range(burst)))
                total += burst
        await settled(redis_client, done=total)


async def test_polling_needs_no_messages(redis_url: str, redis_client: Redis) -> None:
    """For proxies that do not let subscriptions through: nobody listens."""
    gate = _Gate()
    gate.open.set()
    async with at_work(redis_url, gate.mux, waking="poll", task_check_interval=0.02) as (client, _):
        assert redis_client.execute_command("PUBSUB", "CHANNELS") == []
        await client.enqueue(Task("work"))
        await client.enqueue(Task("work"), process_in=0.05)
        await settled(redis_client, done=2)


async def test_tasks_of_a_dead_server_are_taken_back(redis_url: str, redis_client: Redis) -> None:
    """Nobody extends their leases; the one who takes them sees how often that happened."""
    seen: list[tuple[int, int]] = []
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        context = current_context()
        seen.append((context.lost, context.retried))

    async with Client(redis_url) as client:
        info = await client.enqueue(Task("work"))
    redis_client.rpop("asyncq:{default}:pending")
    redis_client.hset(
        f"asyncq:{{default}}:t:{info.id}",
        mapping={"state": "active", "delivery": "dead:1", "deliveries": 1},
    )
    redis_client.zadd("asyncq:{default}:lease", {info.id: time.time() + 0.2})
    async with at_work(redis_url, mux, task_check_interval=_SAFE):
        await settled(redis_client, done=1)
    assert seen == [(1, 0)]


async def test_it_is_archived_when_it_keeps_losing_its_server(redis_url: str, redis_client: Redis) -> None:
    """It may be what kills them."""
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("work"))
    redis_client.rpop("asyncq:{default}:pending")
    mapping = {"state": "active", "delivery": "dead:1", "deliveries": 1, "lost": 4}
    redis_client.hset(f"asyncq:{{default}}:t:{info.id}", mapping=mapping)
    redis_client.zadd("asyncq:{default}:lease", {info.id: 1.0})
    async with at_work(redis_url, Mux()):
        await settled(redis_client, archived=1)


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_connections_that_are_cut_are_made_again(
    redis_url: str, redis_client: Redis, kind: str
) -> None:
    """And what was said meanwhile is asked for: messages are not kept for who does not listen."""
    gate = _Gate()
    gate.open.set()
    async with at_work(redis_url, gate.mux, task_check_interval=_SAFE) as (client, server):
        channel = f"asyncq:to:{server.id}"
        for count in range(1, 6):
            await wait_until(lambda: _listeners(redis_client, channel) == 1, "the server to listen")
            mine = redis_client.client_id()
            for entry in redis_client.client_list(_type=kind):
                if int(entry["id"]) != mine:
                    redis_client.client_kill_filter(_id=entry["id"])
            await client.enqueue(Task("work"))
            await wait_until(lambda count=count: len(gate.came) >= count, "the task to be taken")
        await settled(redis_client, done=5)


def _listeners(client: Redis, channel: str) -> int:
    return int(cast("list[tuple[bytes, int]]", client.pubsub_numsub(channel))[0][1])

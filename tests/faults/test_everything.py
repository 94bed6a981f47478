"""All that asyncq can do is used at once while something breaks; then everything has to add up.

Each row (aggregation, uniqueness, results, progress, cancellation, the inspector's work, schedulers,
what is around handlers, limits) meets each fault here, and each kind of Redis some of them.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import asyncq._broker
import asyncq.shared
from asyncq import Client, Inspector, Task
from asyncq._broker import basis
from asyncq._wire.keys import Keys
from asyncq._wire.wire import ASYNQ, NATIVE
from asyncq.errors import ProviderError
from tests.support.cluster import ClusterProcesses, SlotMove
from tests.support.fleet import Fleet
from tests.support.ledger import Ledger
from tests.support.proxy import Proxy
from tests.support.sentinel import SentinelProcesses
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.verdict import Trouble, Verdict
from tests.support.waiting import wait_until
from tests.support.workload import QUEUES, SIDE, SPARE, Workload

# Alone: what was done is judged by leases of a second, and nobody else shall hold a server up that long.
pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(180)]

LEASE = 1.0
AWAY = 2.5 * LEASE
# What a dead primary had answered may be read a moment later.
READING = 0.2
SEED = 11
_LUA = Path(asyncq._broker.__file__).parent / "lua"  # noqa: SLF001 - the scripts are named by their files
SCRIPTS = sorted(file.stem for file in _LUA.glob("[a-z]*.lua"))

Place = RedisProcess | SentinelProcesses | ClusterProcesses


@dataclass
class Scene:
    """Where a fault happens."""

    redis: Any
    fleet: Fleet
    ledger: Ledger
    workload: Workload
    proxy: Proxy | None
    trouble: Trouble = field(default_factory=Trouble)
    draw: random.Random = field(default_factory=lambda: random.Random(SEED))

    async def some_work(self, count: int = 20) -> None:
        """Wait until so many handlers more have come to their end."""
        before = self.ledger.count("end")
        await wait_until(lambda: self.ledger.count("end") >= before + count, "work to be done", 20.0)


async def servers_are_killed(scene: Scene) -> None:
    """In the middle of tasks, and new ones are started in their place."""
    for _ in range(4):
        await _kill_one(scene)
        await scene.some_work()


async def _kill_one(scene: Scene) -> None:
    victim = scene.draw.choice(scene.fleet.members)
    await wait_until(lambda: scene.ledger.running(victim.pid), "it to hold tasks", 20.0)
    await asyncio.to_thread(scene.fleet.kill, victim)
    scene.trouble.killed_at[victim.pid] = time.monotonic()
    scene.fleet.start(wait=False)


async def redis_crashes(scene: Scene) -> None:
    """And comes back at once with all that it had answered."""
    for _ in range(3):
        await scene.some_work()
        await asyncio.to_thread(scene.redis.restart)


async def redis_freezes(scene: Scene) -> None:
    """For longer than a lease."""
    await scene.some_work()
    began = time.monotonic()
    scene.redis.pause()
    await asyncio.sleep(AWAY)
    scene.redis.resume()
    scene.trouble.away = (began, time.monotonic())


async def redis_is_full(scene: Scene) -> None:
    """For longer than a lease: what is new waits, what is there is finished."""
    await scene.some_work()
    with scene.redis.client() as raw:
        raw.config_set("maxmemory-policy", "noeviction")
        raw.config_set("maxmemory", "1mb")  # less than an empty server needs
        began = time.monotonic()
        refused = int(raw.info("stats")["total_error_replies"])
        await asyncio.sleep(1.5 * LEASE)
        assert int(raw.info("stats")["total_error_replies"]) > refused
        raw.config_set("maxmemory", 0)
        scene.trouble.full = (began, time.monotonic() + LEASE)


async def the_network_breaks(scene: Scene) -> None:
    """Connections are reset, half closed and slow, and of each script an answer and a call get lost."""
    assert scene.proxy is not None
    for _ in range(3):
        await scene.some_work()
        await asyncio.to_thread(scene.proxy.cut)
        await scene.some_work()
        await asyncio.to_thread(scene.proxy.half_close)
    scene.proxy.delay(LEASE / 20)
    await scene.some_work()
    scene.proxy.delay(0)
    for name in SCRIPTS:
        sha = basis.script(name).texts["native"].sha.encode()
        scene.proxy.lose_reply("EVALSHA", containing=sha)
        scene.proxy.lose_request("EVALSHA", containing=sha)
    await wait_until(lambda: scene.proxy.losses >= len(SCRIPTS), "answers to be lost", 30.0)  # type: ignore[union-attr]
    scene.proxy.forgive()


def _replicated(primary: RedisProcess, key: str) -> float:
    """Return a time before which everything that was acknowledged is on a replica."""
    with primary.client() as raw:
        now = time.monotonic()
        raw.set(key, "written so that there is something to wait for", ex=60)
        assert raw.execute_command("WAIT", 1, 5000) >= 1
    return now


async def the_primary_dies(scene: Scene) -> None:
    """Its replica takes over, without what was not replicated yet."""
    await scene.some_work()
    redis: SentinelProcesses = scene.redis
    replicated_at = _replicated(redis.primary(), "sync")
    heir = await asyncio.to_thread(redis.kill_primary)
    killed_at = time.monotonic()
    await asyncio.to_thread(redis.wait_promoted, heir)
    scene.trouble.lost = (replicated_at, killed_at + READING)
    scene.trouble.away = (replicated_at, time.monotonic() + LEASE)
    scene.trouble.is_down = True


async def a_node_dies(scene: Scene) -> None:
    """With the queue that weighs most; what lives elsewhere goes on."""
    await scene.some_work()
    redis: ClusterProcesses = scene.redis
    owners = {queue: redis.owner_of(Keys().queue(queue).pending) for queue in (*QUEUES, SIDE, SPARE)}
    dying = owners["high"]
    scene.trouble.lost_queues = [queue for queue, owner in owners.items() if owner is dying]
    heir = redis.replica_of(dying)
    replicated_at = _replicated(dying, "{high}")
    await asyncio.to_thread(dying.kill)
    killed_at = time.monotonic()
    await asyncio.to_thread(redis.wait_promoted, heir)
    scene.trouble.lost = (replicated_at, killed_at + READING)
    scene.trouble.away = (replicated_at, time.monotonic() + LEASE)


async def a_node_freezes(scene: Scene) -> None:
    """For longer than a lease, and nobody takes over."""
    await scene.some_work()
    began = time.monotonic()
    away = scene.redis.owner_of(Keys().queue("default").pending)
    away.pause()
    await asyncio.sleep(AWAY)
    away.resume()
    await asyncio.to_thread(scene.redis.wait_ok)
    scene.trouble.away = (began, time.monotonic() + LEASE)


async def slots_move(scene: Scene) -> None:
    """A queue and the semaphore are moved to other nodes, key by key; and a server dies meanwhile."""
    await scene.some_work()
    redis: ClusterProcesses = scene.redis
    for key in (Keys().queue("default").pending, Keys().semaphore("bank").holders):
        source = redis.owner_of(key)
        move = SlotMove(redis, key, next(node for node in redis.nodes if node is not source))
        move.begin()
        keys = move.left()
        move.carry(*scene.draw.sample(keys, len(keys) // 2))
        await _kill_one(scene)
        move.end()
        await scene.some_work()


Fault = Callable[[Scene], Awaitable[None]]


@contextmanager
def _redis(kind: str, fault: Fault) -> Generator[tuple[Place, str, Proxy | None]]:
    """A Redis of this kind; returns it, its URL for asyncq, and what is in between."""
    with ExitStack() as stack:
        if kind == "sentinel":
            sentinel = stack.enter_context(SentinelProcesses(sentinels=1))
            yield sentinel, sentinel.url, None
        elif kind == "cluster":
            cluster = stack.enter_context(ClusterProcesses(replicas=int(fault is a_node_dies)))
            yield cluster, cluster.url, None
        else:
            redis = stack.enter_context(RedisProcess(RedisOptions(appendonly=fault is redis_crashes)))
            if fault is the_network_breaks:
                proxy = stack.enter_context(Proxy(redis))
                yield redis, proxy.url, proxy
            else:
                yield redis, redis.url, None


@asynccontextmanager
async def _work(workload: Workload) -> AsyncGenerator[Inspector]:
    """A workload whose provider of periodic tasks fails while something breaks, and gives more after it."""
    async with workload.running() as inspector:
        await workload.go_round(1)
        workload.provider_fails = True
        for manager in workload.managers:
            with pytest.raises(ProviderError):
                await manager.sync()
        yield inspector
        workload.provider_fails = False
        workload.entries.append("late")
        seen = sum(map(len, workload.times().values()))
        for manager in workload.managers:
            await manager.sync()
            assert len(manager.entries) == 2
        await workload.go_round(2)

        def both_go_on() -> bool:
            times = list(workload.times().values())
            return len(times) == 2 and sum(map(len, times)) >= seen + 2

        await wait_until(both_go_on, "the schedules to go on", 20.0)


async def _leave(scene: Scene, url: str) -> None:
    """One server is told to take nothing more; then all are told to leave."""
    idle, *others = scene.fleet.members
    async with Client(url) as client:

        async def work(count: int) -> set[int]:
            """Have so many tasks done; returns by whom."""
            ids = {(await client.enqueue(Task("work", {}), queue=SIDE)).id for _ in range(count)}
            await wait_until(lambda: scene.ledger.ended() >= ids, "the tasks to be done", 20.0)
            return {scene.ledger.runs()[one][0].pid for one in ids}

        os.kill(idle.pid, signal.SIGTSTP)
        await wait_until(lambda: scene.fleet.has_logged(idle, "signal"), "it to hear")
        await work(8)  # of these it may have had some in its hands
        assert idle.pid not in await work(20)
        os.kill(idle.pid, signal.SIGCONT)
        while idle.pid not in await work(8):
            """Until it takes tasks again."""
    for member in (idle, *others):
        member.terminate()
    for member in (idle, *others):
        await asyncio.to_thread(member.wait)
    exits = {entry.pid: entry.detail for entry in scene.ledger.entries() if entry.phase == "exit"}
    assert exits == {member.pid: "" for member in (idle, *others)}


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("single", servers_are_killed),
        ("single", redis_crashes),
        ("single", redis_freezes),
        ("single", redis_is_full),
        ("single", the_network_breaks),
        ("asynq", servers_are_killed),
        ("asynq", redis_is_full),
        pytest.param("sentinel", servers_are_killed, marks=pytest.mark.sentinel),
        pytest.param("sentinel", the_primary_dies, marks=pytest.mark.sentinel),
        pytest.param("cluster", a_node_dies, marks=pytest.mark.cluster),
        pytest.param("cluster", a_node_freezes, marks=pytest.mark.cluster),
        pytest.param("cluster", slots_move, marks=pytest.mark.cluster),
    ],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)
async def test_everything_adds_up(
    kind: str, fault: Fault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row under this fault: each task is accounted for, and nothing is left.

    `asynq` is a single server, too, and all speak the asynq wire.
    """
    wire = ASYNQ if kind == "asynq" else NATIVE
    monkeypatch.setattr(asyncq.shared, "DEFAULT_WIRE", wire)
    print(f"seed {SEED}")  # noqa: T201 - of all that is drawn
    options = {
        "wire": wire,
        "lease": LEASE,
        "concurrency": 8,
        "aggregate": True,
        "surround": True,
        "group_grace_period": 0.1,
        "group_max_size": 10,
        "janitor_interval": 0.5,
    }
    queues = "high=3,default=2,low=1,side=1"
    with _redis(kind, fault) as (redis, url, proxy), Fleet(url, ledger, queues, **options) as fleet:
        for _ in range(3):
            fleet.start()
        workload = Workload(url, ledger, SEED, lease=LEASE)
        scene = Scene(redis, fleet, ledger, workload, proxy)
        async with _work(workload):
            await fault(scene)
        verdict = Verdict(redis, workload, ledger, scene.trouble)
        await verdict.all_is_done()
        async with Inspector(url) as inspector:
            await verdict.clear(inspector)
            await _leave(scene, url)
        await verdict.nothing_is_left()
        verdict.everything_was_kept()

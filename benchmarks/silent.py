"""How does an idle server hear of a task that somebody enqueued without a word?

Producers of Go's asynq push an id and publish nothing. A waiter is an idle server with ten free slots, as
in `waking.py`, and the clock runs from the push to the waiter holding the task's message. Candidates:

- `told once`: it reads `EXISTS pending` on a connection with `CLIENT TRACKING ON`, which is told once of the
  next change;
- `told once, yielding`: the same, and who looked in vain lets others go first (`asyncq/_engine/yielding.py`);
- `told always`: `CLIENT TRACKING ON BCAST PREFIX pending`;
- `keyspace`: subscribed to `__keyspace@0__:pending`, which Redis must be configured for;
- `BLMOVE`: pending onto itself;
- `polling`: `EXISTS pending` every 5 ms.

Then what a minute of idling costs, what a busy server pays, and the product as it is.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from _bench import Bench, Variant, latencies, run
from _child import TYPE, start
from _ear import Ear
from _link import Argument
from _product import drain

from asyncq import Mux, Server, Task
from asyncq._engine.yielding import Yielding
from asyncq._wire.wire import NativeWire

Q = "silent:{default}:"
PENDING, LEASE = f"{Q}pending", f"{Q}lease"
POLL = 0.005

TAKE = """
local ids = redis.call('RPOP', KEYS[1], ARGV[2]) or {}
local reply = {}
for i, id in ipairs(ids) do
  reply[i] = redis.call('HGET', ARGV[1] .. 't:' .. id, 'msg')
  redis.call('ZADD', KEYS[2], 1, id)
end
return reply
"""

PUSH = """
redis.call('HSET', ARGV[1] .. 't:' .. ARGV[2], 'msg', ARGV[3], 'state', 'pending')
redis.call('LPUSH', KEYS[1], ARGV[2])
"""

PREPARE: dict[str, tuple[tuple[Argument, ...], ...]] = {
    "told once": (("CLIENT", "TRACKING", "ON"),),
    "told once, yielding": (("CLIENT", "TRACKING", "ON"),),
    "told always": (("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", PENDING),),
    "keyspace": (("CONFIG", "SET", "notify-keyspace-events", "Kl"),),
    "BLMOVE": (),
    "polling": (),
}


class Waiter:
    """One idle server."""

    def __init__(self, candidate: str, trial: Trial) -> None:
        self._candidate = candidate
        self._trial = trial
        self._told = asyncio.Event()
        self._yielding = Yielding()
        self.looks = 0  #: at the queue, with the script that takes

    async def connect(self, path: str) -> None:
        """One connection for commands, one to wait on."""
        self.commands = await Ear.connect(path)
        self.ear = await Ear.connect(path, *PREPARE[self._candidate])
        if self._candidate == "keyspace":
            self.ear.ask("SUBSCRIBE", f"__keyspace@0__:{PENDING}")
        self.ear.on_push = lambda _: self._told.set()

    async def run(self) -> None:
        """Take what there is, and wait for more."""
        while True:
            self._told.clear()
            self.looks += 1
            taken = await self.commands.ask("EVALSHA", self._trial.take, 2, PENDING, LEASE, Q, 10)
            self._trial.note(len(taken))
            self._yielding.note(found=bool(taken))
            if len(taken) < 10:
                await self._wait()

    async def _wait(self) -> None:
        if self._candidate == "BLMOVE":
            await self.ear.ask("BLMOVE", PENDING, PENDING, "RIGHT", "RIGHT", 0)
        elif self._candidate == "polling":
            while not await self._is_there():  # noqa: ASYNC110 - that is what is measured
                await asyncio.sleep(POLL)
        elif self._candidate.startswith("told once"):
            await self._wait_to_be_told(yielding=self._candidate.endswith("yielding"))
        else:
            await self._told.wait()

    async def _is_there(self) -> bool:
        self._told.clear()
        return bool(await self.ear.ask("EXISTS", PENDING))

    async def _wait_to_be_told(self, *, yielding: bool) -> None:
        """Read, and hear of the next change; whoever yields reads again before he takes."""
        is_contested = False
        while not await self._is_there():
            if is_contested:
                self._yielding.note(found=False)
            await self._told.wait()
            delay = self._yielding.delay() if yielding else 0.0
            if not delay:
                return
            is_contested = True
            await asyncio.sleep(delay)

    def close(self) -> None:
        """Hang up."""
        self.commands.close()
        self.ear.close()


class Trial:
    """One candidate with its waiters, and a producer."""

    def __init__(self, bench: Bench, candidate: str) -> None:
        self._bench = bench
        self._candidate = candidate
        self.waiters: list[Waiter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._left = 0
        self.done: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def note(self, count: int) -> None:
        """So many tasks were taken."""
        if count and self._left:
            self._left -= count
            if self._left <= 0 and not self.done.done():
                self.done.set_result(time.perf_counter())

    async def start(self, waiters: int) -> None:
        """Connect `waiters` and let them fall asleep."""
        path = self._bench.server.path
        self._bench.server.flush()
        self.producer = await Ear.connect(path)
        self.take = (await self.producer.ask("SCRIPT", "LOAD", TAKE)).decode()
        self._push = (await self.producer.ask("SCRIPT", "LOAD", PUSH)).decode()
        for _ in range(waiters):
            waiter = Waiter(self._candidate, self)
            await waiter.connect(path)
            self.waiters.append(waiter)
            self._tasks.append(asyncio.create_task(waiter.run()))
        await asyncio.sleep(0.02 + 0.002 * waiters)

    async def push(self, *numbers: int) -> float:
        """Enqueue tasks, one after another; seconds until the last of them is held by a waiter."""
        self._left = len(numbers)
        self.done = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        for number in numbers:
            await self.producer.ask("EVALSHA", self._push, 1, PENDING, Q, f"{number:022d}", b"x" * 100)
        return await self.done - began

    async def stop(self) -> None:
        """Disconnect everybody."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for waiter in self.waiters:
            waiter.close()
        self.producer.close()
        self._bench.server.control.config_set("notify-keyspace-events", "")


def _asked(calls: Mapping[str, int], pushes: int) -> float:
    """Commands that waiters sent."""
    plain = sum(calls.get(name, 0) for name in ("exists", "blmove"))
    return plain + calls.get("evalsha", 0) - pushes


async def prompt(bench: Bench, candidate: str, waiters: int, pushes: int) -> Mapping[str, float]:
    """One task at a time, all waiters idle."""
    trial = Trial(bench, candidate)
    await trial.start(waiters)
    for number in range(bench.size(10)):
        await trial.push(number)
        await asyncio.sleep(0.012)
    seconds = []
    looks = sum(waiter.looks for waiter in trial.waiters)
    heard = sum(waiter.ear.heard for waiter in trial.waiters)
    with bench.spend() as spent:
        for number in range(pushes):
            seconds.append(await trial.push(number))
            await asyncio.sleep(0.012 + 0.0004 * waiters)  # everybody goes back to sleep
    looks = sum(waiter.looks for waiter in trial.waiters) - looks
    heard = sum(waiter.ear.heard for waiter in trial.waiters) - heard
    await trial.stop()
    return {
        **latencies(seconds),
        "messages": heard / pushes,
        "looks": looks / pushes,
        "commands of waiters": _asked(spent.calls, pushes) / pushes,
        "redis_cpu_us": spent.redis_cpu / pushes * 1e6,
    }


async def resting(bench: Bench, candidate: str, seconds: float) -> Mapping[str, float]:
    """What 50 waiters cost while nothing is enqueued."""
    trial = Trial(bench, candidate)
    await trial.start(50)
    with bench.spend() as spent:
        await asyncio.sleep(seconds)
    await trial.stop()
    minutes = 50 * seconds / 60
    return {
        "commands a minute": _asked(spent.calls, 0) / minutes,
        "Redis CPU ms a minute": spent.redis_cpu / minutes * 1000,
    }


async def stream(bench: Bench, candidate: str, count: int) -> Mapping[str, float]:
    """A producer that goes on and on, one waiter that takes all it can."""
    trial = Trial(bench, candidate)
    await trial.start(1)
    with bench.spend() as spent:
        wall = await trial.push(*range(count))
    heard = trial.waiters[0].ear.heard
    await trial.stop()
    return {
        "tasks/s": count / wall,
        "messages a task": heard / count,
        "commands of waiters a task": _asked(spent.calls, count) / count,
        "Redis CPU µs a task": spent.redis_cpu / count * 1e6,
    }


@contextmanager
def watching(*, is_so: bool) -> Iterator[None]:
    """Let servers that start here watch for what silent producers do, in the native wire, too: or not."""
    made = NativeWire.__init__

    def make(wire: NativeWire, *arguments: Any, **options: Any) -> None:
        made(wire, *arguments, **options)
        setattr(wire, "is_shared", is_so)  # noqa: B010 - it is final for everybody else

    with patch.object(NativeWire, "__init__", make):
        yield


class Starts:
    """A handler that notes when it was called."""

    def __init__(self, count: int) -> None:
        self.at: dict[int, float] = {}
        self.all = asyncio.Event()
        self._count = count

    async def handle(self, task: Task) -> None:
        """Note the time first, and ask what task it is then."""
        now = time.perf_counter()
        self.at[int(json.loads(task.raw)["number"])] = now
        if len(self.at) == self._count:
            self.all.set()

    def mux(self) -> Mux:
        """With this handler in it."""
        mux = Mux()
        mux.handle(TYPE, self.handle)
        return mux


async def product(
    bench: Bench, *, servers: int = 1, queues: Sequence[str] = ("default",)
) -> Mapping[str, float]:
    """The product: pushed by another process, picked up by an idle server."""
    count = bench.size(300)
    starts = Starts(count + 10)
    options: dict[str, Any] = {"wire": "asynq", "concurrency": 10, "queues": list(queues)}
    async with AsyncExitStack() as stack:
        for _ in range(servers):
            await stack.enter_async_context(Server(bench.server.url, **options).running(starts.mux()))
        await asyncio.sleep(0.3)  # the first look of each finds nothing
        producer = start("push", bench.server.url, count, 0.02)
        output, _ = await asyncio.to_thread(producer.communicate)
        assert producer.returncode == 0
        await starts.all.wait()
    bench.server.flush()
    return latencies([starts.at[number] - began for number, began in enumerate(json.loads(output))])


def _sent(bench: Bench) -> dict[str, int]:
    """What was sent so far: calls of scripts, pings, and what the watcher's connection says of itself."""
    calls = bench.server.calls()
    entries: Any = bench.server.control.client_list()
    watchers = [int(entry["tot-cmds"]) for entry in entries if "watcher" in entry["name"]]
    return {"scripts": calls.get("evalsha", 0), "pings": calls.get("ping", 0), "watching": sum(watchers)}


async def idling(bench: Bench, seconds: float, *, queues: int, wire: str) -> Mapping[str, float]:
    """The product: commands a minute of an idle server, beside its heartbeat."""
    mux, names = Mux(), [f"queue-{number}" for number in range(queues)]
    async with Server(bench.server.url, wire=wire, concurrency=10, queues=names).running(mux):
        await asyncio.sleep(0.5)  # connecting and loading scripts is no idling
        before, redis_cpu = _sent(bench), bench.server.cpu()
        await asyncio.sleep(seconds)
        redis_cpu, after = bench.server.cpu() - redis_cpu, _sent(bench)
    bench.server.flush()
    minute = 60 / seconds
    sent = {name: (count - before[name]) * minute for name, count in after.items()}
    return {"commands": sum(sent.values()), **sent, "Redis CPU ms": redis_cpu * minute * 1000}


async def drained(bench: Bench, *, is_silent: bool, concurrency: int) -> Mapping[str, float]:
    """The product at work: what is pending is run, with and without a watcher."""
    with watching(is_so=is_silent):
        return await drain(bench, bench.size(20_000), concurrency=concurrency)


async def measure(bench: Bench) -> None:
    """The candidates first, then the product."""
    for waiters in (1, 50):
        variants: dict[str, Variant] = {
            name: partial(prompt, bench, name, waiters, bench.size(80)) for name in PREPARE
        }
        title = f"{waiters} idle server{'s' * (waiters > 1)}, one task pushed, times in µs"
        bench.table(title, await bench.interleave(variants))
    rests: dict[str, Variant] = {
        name: partial(resting, bench, name, 0.05 if bench.short else 3.0) for name in PREPARE
    }
    bench.table("An idle server, nothing pushed", await bench.interleave(rests, timed=False))
    streams: dict[str, Variant] = {name: partial(stream, bench, name, bench.size(3000)) for name in PREPARE}
    bench.table("One task pushed after another", await bench.interleave(streams))

    ten = [f"queue-{number}" for number in range(9)] + ["default"]
    rows = await bench.interleave(
        {
            "1 server": lambda: product(bench),
            "1 server, 10 queues": lambda: product(bench, queues=ten),
            "10 servers": lambda: product(bench, servers=10),
        }
    )
    bench.table("asyncq: a silent push to the handler, times in µs", rows)
    for name, row in rows.items():
        bench.judge(f"pick-up of a silent push, p50 in µs, {name}", row["p50_us"], most=5000)
    at_work: dict[str, Variant] = {
        f"concurrency {concurrency}, {'watching' if is_silent else 'told'}": partial(
            drained, bench, is_silent=is_silent, concurrency=concurrency
        )
        for concurrency in (10, 100)
        for is_silent in (False, True)
    }
    bench.table("asyncq at work", await bench.interleave(at_work))
    seconds = 0.2 if bench.short else 70.0
    rows = {
        f"{queues} queue{'s' * (queues > 1)}, {wire}": await idling(bench, seconds, queues=queues, wire=wire)
        for queues in (1, 20)
        for wire in ("native", "asynq")
    }
    bench.table("asyncq: commands a minute of an idle server", rows)


if __name__ == "__main__":
    run("silent", measure, rounds=3)

"""How does an idle server learn that a task was enqueued?

A waiter is an idle server with ten free slots. It has asked for ten tasks, got fewer,
and sleeps. One task at a time is enqueued; the clock runs from the enqueue call to
the waiter holding the task's message. Candidates:

- `registered`: the deliver script that comes back short puts the server in a zset; the enqueue script
  pops one and PUBLISHes to that server's own channel;
- `tokens`: the enqueue script pushes a token (at most one lies about); idle servers BLPOP it;
- `BLMOVE`: idle servers BLMOVE pending onto itself, RIGHT RIGHT;
- `broadcast`: the enqueue script PUBLISHes to one channel for all.

All waiters live in this one process, so the CPU of a herd is in the latency, as it
would be in Redis and on the network.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from _bench import Bench, Variant, latencies, run
from _link import Argument, call, connect, load, packed

PREFIX = "waking:{default}:"
PENDING, LEASE, WAITING, TOKENS = (f"{PREFIX}{name}" for name in ("pending", "lease", "waiting", "tokens"))
CHANNEL = f"{PREFIX}channel"
SLOTS = 10

PUSH = """
redis.call('HSET', ARGV[1] .. 't:' .. ARGV[2], 'msg', ARGV[3])
redis.call('LPUSH', KEYS[1], ARGV[2])
"""

# KEYS pending, waiting or tokens; ARGV prefix, id, message.
ENQUEUE = {
    "BLMOVE": PUSH,
    "broadcast": PUSH + "redis.call('PUBLISH', ARGV[1] .. 'channel', '')",
    "tokens": PUSH + "if redis.call('LLEN', KEYS[2]) == 0 then redis.call('LPUSH', KEYS[2], '') end",
    # A server that died while it waited has no subscriber: the next one is tried.
    "registered": PUSH
    + """
for _ = 1, 100 do
  local waiter = redis.call('ZPOPMIN', KEYS[2])[1]
  if not waiter or redis.call('PUBLISH', ARGV[1] .. 'wake:' .. waiter, '') > 0 then break end
end
""",
}

CANDIDATES = ("registered", "tokens", "BLMOVE", "broadcast")

TAKE = """
local ids = redis.call('RPOP', KEYS[1], ARGV[2]) or {}
local reply = {}
local time = redis.call('TIME')
for i, id in ipairs(ids) do
  reply[i] = redis.call('HGET', ARGV[1] .. 't:' .. id, 'msg')
  redis.call('ZADD', KEYS[2], time[1] + 30, id)
end
"""
REGISTER = "if #ids < tonumber(ARGV[2]) then redis.call('ZADD', KEYS[3], time[1], ARGV[3]) end\n"
TAKE_END = "return reply"


class Trial:
    """One candidate with its waiters."""

    def __init__(self, url: str, candidate: str) -> None:
        self.url, self.candidate = url, candidate
        self.woken = 0
        self.arrived: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiters: list[asyncio.Task[None]] = []
        self._connections: list[Any] = []
        self._deliver = ""

    async def start(self, waiters: int) -> None:
        """Connect `waiters` and let them fall asleep."""
        self._enqueuer: Any = await connect(self.url)
        self._connections.append(self._enqueuer)
        self._enqueue = await load(self._enqueuer, ENQUEUE[self.candidate])
        take = TAKE + (REGISTER if self.candidate == "registered" else "") + TAKE_END
        self._deliver = await load(self._enqueuer, take)
        for number in range(waiters):
            commands, blocking = await connect(self.url), await connect(self.url)
            self._connections += [commands, blocking]
            name = f"server-{number}"
            if self.candidate in {"registered", "broadcast"}:
                channel = CHANNEL if self.candidate == "broadcast" else f"{PREFIX}wake:{name}"
                await call(blocking, "SUBSCRIBE", channel)
            self._waiters.append(asyncio.create_task(self._wait(name, commands, blocking)))
        await asyncio.sleep(0.02 + 0.002 * waiters)

    async def _wait(self, name: str, commands: Any, blocking: Any) -> None:
        ask: dict[str, tuple[Argument, ...]] = {
            "tokens": ("BLPOP", TOKENS, 0),
            "BLMOVE": ("BLMOVE", PENDING, PENDING, "RIGHT", "RIGHT", 0),
        }
        deliver = packed("EVALSHA", self._deliver, 3, PENDING, LEASE, WAITING, PREFIX, SLOTS, name)
        while True:
            await commands.send_packed_command(deliver, check_health=False)
            if await commands.read_response():
                self.arrived.set_result(time.perf_counter())
            if self.candidate in ask:
                await blocking.send_packed_command(packed(*ask[self.candidate]), check_health=False)
            await blocking.read_response()
            self.woken += 1

    async def push(self, number: int) -> float:
        """Enqueue one task; seconds until a waiter holds it."""
        self.arrived = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        task_id = f"{number:022d}"
        await call(
            self._enqueuer,
            "EVALSHA", self._enqueue, 2, PENDING, TOKENS if self.candidate == "tokens" else WAITING,
            PREFIX, task_id, b"x" * 100,
        )  # fmt: skip
        return await self.arrived - started

    async def register_dead(self, count: int) -> None:
        """Put servers in front of the queue of waiters that nobody listens for."""
        flat = [part for number in range(count) for part in (0, f"dead-{number}")]
        await call(self._enqueuer, "ZADD", WAITING, *flat)

    async def stop(self) -> None:
        """Disconnect everybody."""
        for waiter in self._waiters:
            waiter.cancel()
        await asyncio.gather(*self._waiters, return_exceptions=True)
        for connection in self._connections:
            await connection.disconnect(nowait=True)


async def measure_trial(
    bench: Bench, candidate: str, waiters: int, pushes: int, *, dead: int = 0
) -> Mapping[str, float]:
    """Latency, waiters woken and commands per push."""
    bench.server.flush()
    trial = Trial(bench.server.url, candidate)
    await trial.start(waiters)
    seconds = []
    trial.woken = 0
    with bench.spend() as spent:
        for number in range(pushes):
            if dead:
                await trial.register_dead(dead)
            seconds.append(await trial.push(number))
            # Everybody who was woken in vain goes back to sleep.
            await asyncio.sleep(0.002 + 0.0004 * waiters)
    await trial.stop()
    client = sum(spent.calls.get(name, 0) for name in ("evalsha", "blpop", "blmove", "zadd|none"))
    return {
        **latencies(seconds),
        "woken": trial.woken / pushes,
        "client commands": client / pushes,
        "commands in all": sum(spent.calls.values()) / pushes,
        "redis_cpu_us": spent.redis_cpu / pushes * 1e6,
    }


async def measure(bench: Bench) -> None:
    """All candidates with 1 and 50 idle servers; then the first with 49 dead in front."""
    pushes = bench.size(80)

    def variant(candidate: str, waiters: int, dead: int = 0) -> Variant:
        return lambda: measure_trial(bench, candidate, waiters, pushes, dead=dead)

    for waiters in (1, 50):
        variants = {candidate: variant(candidate, waiters) for candidate in CANDIDATES}
        if waiters == 1:
            variants["registered, 49 dead in front"] = variant("registered", 1, 49)
        title = f"{waiters} idle server{'s' * (waiters > 1)}, one task enqueued"
        bench.table(title, await bench.interleave(variants))


if __name__ == "__main__":
    run("waking", measure, rounds=5)

"""The floor: how fast is this machine today, with nothing but the mechanism?

A bare prototype of batched deliver and batched settle: one redis-py `Connection`
(RESP2, no retries) with a loop turn's commands joined, two small scripts, one
asyncio task per no-op `async` handler, 100-byte payloads, ids of 22 characters.
No retries, fences, time-outs, encoding, queue order or lost connections.

Absolute rates drift with the machine and the day, so the product is judged by its
ratio to this floor in the same session:

    from floor import run_floor
    rate = await run_floor(url, concurrency=100, tasks=20_000)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from _bench import Bench, Variant, latencies, run
from _link import PipelinedLink, call, chunks, connect, load

PREFIX = "floor:{default}:"
PENDING = f"{PREFIX}pending"
LEASE = f"{PREFIX}lease"
PROCESSED = f"{PREFIX}processed"
PAYLOAD = b"x" * 100
LEASE_SECONDS = 30
CHUNK = 500

# KEYS pending; ARGV prefix, then id and message of each task.
ENQUEUE = """
local ids = {}
for i = 2, #ARGV, 2 do
  redis.call('HSET', ARGV[1] .. ARGV[i], 'msg', ARGV[i + 1])
  ids[#ids + 1] = ARGV[i]
end
return redis.call('LPUSH', KEYS[1], unpack(ids))
"""

# KEYS pending, lease; ARGV prefix, how many, lease in seconds.
DELIVER = """
local ids = redis.call('RPOP', KEYS[1], ARGV[2])
if not ids then return {} end
local time = redis.call('TIME')
local expiry = time[1] + time[2] / 1e6 + ARGV[3]
local reply, leases = {}, {}
for i, id in ipairs(ids) do
  reply[2 * i - 1], reply[2 * i] = id, redis.call('HGET', ARGV[1] .. id, 'msg')
  leases[2 * i - 1], leases[2 * i] = expiry, id
end
redis.call('ZADD', KEYS[2], unpack(leases))
return reply
"""

# KEYS lease, processed; ARGV prefix, then the ids.
SETTLE = """
local ids, keys = {}, {}
for i = 2, #ARGV do
  ids[i - 1] = ARGV[i]
  keys[i - 1] = ARGV[1] .. ARGV[i]
end
local mine = redis.call('ZREM', KEYS[1], unpack(ids))
redis.call('UNLINK', unpack(keys))
redis.call('INCRBY', KEYS[2], mine)
return mine
"""

# The same two with the fence, which the design asks for in the first line: each task is marked with
# its state, its owner and how often it was handed over, and settled only if the owner is still the same.
DELIVER_FENCED = """
local ids = redis.call('RPOP', KEYS[1], ARGV[2])
if not ids then return {} end
local time = redis.call('TIME')
local expiry = time[1] + time[2] / 1e6 + ARGV[3]
local reply, leases = {}, {}
for i, id in ipairs(ids) do
  local f = redis.call('HMGET', ARGV[1] .. id, 'msg', 'deliveries')
  redis.call('HSET', ARGV[1] .. id, 'state', 'active', 'delivery', 'floor:' .. id,
    'deliveries', (f[2] or 0) + 1)
  reply[2 * i - 1], reply[2 * i] = id, f[1]
  leases[2 * i - 1], leases[2 * i] = expiry, id
end
redis.call('ZADD', KEYS[2], unpack(leases))
return reply
"""

SETTLE_FENCED = """
local ids, keys = {}, {}
for i = 2, #ARGV do
  local key = ARGV[1] .. ARGV[i]
  if redis.call('HGET', key, 'delivery') == 'floor:' .. ARGV[i] then
    ids[#ids + 1], keys[#keys + 1] = ARGV[i], key
  end
end
local mine = redis.call('ZREM', KEYS[1], unpack(ids))
redis.call('UNLINK', unpack(keys))
redis.call('INCRBY', KEYS[2], mine)
return mine
"""


async def no_op(payload: bytes) -> None:
    """Handle a task by doing nothing."""


class _Floor:
    """A server that has been stripped of everything but the loop."""

    def __init__(self, link: PipelinedLink, deliver: str, settle: str, concurrency: int) -> None:
        self._link = link
        self._deliver, self._settle = deliver, settle
        self._concurrency = concurrency
        self._running: dict[bytes, asyncio.Task[None]] = {}
        self._outcomes: list[bytes] = []
        self._freed = asyncio.Event()
        self._settling: asyncio.Task[None] | None = None
        self.settled = 0
        self.client_calls = 0

    async def drain(self) -> None:
        """Run tasks until the queue is empty and all are settled."""
        loop = asyncio.get_running_loop()
        while True:
            free = self._concurrency - len(self._running)
            if not free:
                self._freed.clear()
                await self._freed.wait()
                continue
            self.client_calls += 1
            found = await self._link.call(
                "EVALSHA", self._deliver, 2, PENDING, LEASE, f"{PREFIX}t:", free, LEASE_SECONDS
            )
            if not found and not self._running:
                break
            for i in range(0, len(found), 2):
                self._running[found[i]] = loop.create_task(self._run(found[i], found[i + 1]))
            if not found:
                await asyncio.sleep(0)
        while self._settling is not None:
            await self._settling

    async def _run(self, task_id: bytes, message: bytes) -> None:
        await no_op(message)
        del self._running[task_id]
        self._outcomes.append(task_id)
        self._freed.set()
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle_all())

    async def _settle_all(self) -> None:
        while self._outcomes:
            batch, self._outcomes = self._outcomes, []
            self.client_calls += 1
            self.settled += await self._link.call(
                "EVALSHA", self._settle, 2, LEASE, PROCESSED, f"{PREFIX}t:", *batch
            )
        self._settling = None


def _ids(count: int) -> list[str]:
    return [f"{number:022d}" for number in range(count)]


async def fill(url: str, tasks: int, *, chunk: int = CHUNK) -> float:
    """Enqueue `tasks` in chunks; tasks per second."""
    connection = await connect(url)
    enqueue = await load(connection, ENQUEUE)
    started = time.perf_counter()
    for some in chunks(_ids(tasks), chunk):
        flat = [part for task_id in some for part in (task_id, PAYLOAD)]
        await call(connection, "EVALSHA", enqueue, 1, PENDING, f"{PREFIX}t:", *flat)
    rate = tasks / (time.perf_counter() - started)
    await connection.disconnect(nowait=True)
    return rate


async def clear(url: str) -> None:
    """Remove what the floor left: its two sets and its counter; tasks are gone already."""
    connection = await connect(url)
    await call(connection, "DEL", PENDING, LEASE, PROCESSED)
    await connection.disconnect(nowait=True)


async def run_floor(url: str, concurrency: int, tasks: int, *, fenced: bool = False) -> float:
    """Enqueue `tasks`, drain them at `concurrency` and return tasks per second of the drain.

    `fenced`: with the marks on each task by which a stale server is kept from settling it.

    The keys start with `floor:`, and none is left behind.
    """
    return (await _drain(url, concurrency, tasks, fenced=fenced))["tasks/s"]


async def _drain(url: str, concurrency: int, tasks: int, *, fenced: bool = False) -> dict[str, float]:
    await fill(url, tasks)
    connection = await connect(url)
    scripts = (DELIVER_FENCED, SETTLE_FENCED) if fenced else (DELIVER, SETTLE)
    deliver, settle = await load(connection, scripts[0]), await load(connection, scripts[1])
    link = PipelinedLink(connection)
    floor = _Floor(link, deliver, settle, concurrency)
    started, cpu = time.perf_counter(), time.process_time()
    await floor.drain()
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert floor.settled == tasks, (floor.settled, tasks)
    link.close()
    await connection.disconnect(nowait=True)
    await clear(url)
    return {
        "tasks/s": tasks / wall,
        "client_cpu_us": cpu / tasks * 1e6,
        "tasks/call": tasks / floor.client_calls,
    }


async def run_round_trips(url: str, calls: int) -> list[float]:
    """Seconds of each bare `EVALSHA` that enqueues one task, one at a time."""
    connection = await connect(url)
    enqueue = await load(connection, ENQUEUE)
    seconds = []
    for task_id in _ids(calls):
        started = time.perf_counter()
        await call(connection, "EVALSHA", enqueue, 1, PENDING, f"{PREFIX}t:", task_id, PAYLOAD)
        seconds.append(time.perf_counter() - started)
    await call(connection, "DEL", PENDING, *(f"{PREFIX}t:{task_id}" for task_id in _ids(calls)))
    await connection.disconnect(nowait=True)
    return seconds


async def run_gather(url: str, calls: int, *, at_once: int = 100) -> float:
    """Calls per second of bare enqueuing `EVALSHA`s, `at_once` gathered and joined into one write."""
    connection = await connect(url)
    enqueue = await load(connection, ENQUEUE)
    link = PipelinedLink(connection)

    async def one(task_id: str) -> None:
        await link.call("EVALSHA", enqueue, 1, PENDING, f"{PREFIX}t:", task_id, PAYLOAD)

    started = time.perf_counter()
    for some in chunks(_ids(calls), at_once):
        await asyncio.gather(*(one(task_id) for task_id in some))
    rate = calls / (time.perf_counter() - started)
    await link.call("DEL", PENDING, *(f"{PREFIX}t:{task_id}" for task_id in _ids(calls)))
    link.close()
    await connection.disconnect(nowait=True)
    return rate


async def measure(bench: Bench) -> None:
    """Drain at three concurrencies, enqueue in chunks, one at a time and gathered."""
    url = bench.server.url

    def drain(concurrency: int, tasks: int) -> Variant:
        async def variant() -> Mapping[str, float]:
            with bench.spend() as spent:
                seen = await _drain(url, concurrency, tasks)
            # Enqueue is in here too: it is an upper bound for deliver and settle.
            return {**seen, "redis_cpu_us": spent.redis_cpu / tasks * 1e6}

        return variant

    rows = await bench.interleave(
        {
            f"concurrency {concurrency}": drain(concurrency, bench.size(tasks))
            for concurrency, tasks in ((10, 10_000), (100, 30_000), (1000, 30_000))
        }
    )
    bench.table("Drain of pending tasks, bare", rows)

    async def chunked() -> Mapping[str, float]:
        rate = await fill(url, bench.size(20_000))
        bench.server.flush()
        return {"tasks/s": rate}

    async def gathered() -> Mapping[str, float]:
        return {"tasks/s": await run_gather(url, bench.size(10_000))}

    async def single() -> Mapping[str, float]:
        seconds = await run_round_trips(url, bench.size(2_000))
        return {"tasks/s": len(seconds) / sum(seconds), **latencies(seconds)}

    rows = await bench.interleave(
        {f"chunks of {CHUNK}": chunked, "gather of 100": gathered, "one at a time": single}
    )
    bench.table("Enqueue, bare EVALSHA", rows)


if __name__ == "__main__":
    run("floor", measure)

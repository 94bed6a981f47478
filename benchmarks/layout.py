"""What does the layout of a task's keys cost Redis on the way through?

Each task is enqueued, delivered (message read, fence and count of deliveries written)
and settled (fence compared, everything removed), 100 in a call. Server CPU µs per
task for each step, and bytes per task while all are pending and while all are active.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from _bench import Bench, Spent, Variant, run
from _link import Argument, call, chunks, connect, load
from codec import ENVELOPE, settled_memory

PREFIX = "layout:{default}:"
PENDING, LEASE = f"{PREFIX}pending", f"{PREFIX}lease"
SIZE = 100

LOOP = "for i = 2, #ARGV, 2 do local key, msg = ARGV[1] .. 't:' .. ARGV[i], ARGV[i + 1]\n"
ENQUEUED = """ids[#ids + 1] = ARGV[i] end
redis.call('LPUSH', KEYS[1], unpack(ids))"""

TAKEN = """
local ids = redis.call('RPOP', KEYS[1], ARGV[2])
local reply, leases = {}, {}
local t, d = ARGV[1] .. 't:', ARGV[1] .. 'd:'
"""
DELIVERED = """
  leases[2 * i - 1], leases[2 * i] = 1763700000 + i, id
end
redis.call('ZADD', KEYS[2], unpack(leases))
return reply"""

FENCED = """
local mine, keys = {}, {}
local t, d = ARGV[1] .. 't:', ARGV[1] .. 'd:'
for i = 3, #ARGV do
  local id = ARGV[i]
"""
SETTLED = """
end
redis.call('ZREM', KEYS[2], unpack(mine))
redis.call('UNLINK', unpack(keys))
return #mine"""
ONE_KEY = """
  if redis.call('HGET', t .. id, 'delivery') == ARGV[2] then
    mine[#mine + 1], keys[#keys + 1] = id, t .. id
  end"""
TWO_KEYS = """
  if redis.call('HGET', d .. id, 'delivery') == ARGV[2] then
    mine[#mine + 1], keys[#keys + 1] = id, t .. id
    keys[#keys + 1] = d .. id
  end"""

# Name: enqueue, deliver, settle.
LAYOUTS: dict[str, tuple[str, str, str]] = {
    "hash {msg, state}": (
        f"local ids = {{}} {LOOP} redis.call('HSET', key, 'msg', msg, 'state', 'pending') {ENQUEUED}",
        TAKEN
        + """for i, id in ipairs(ids) do
          reply[i] = redis.call('HGET', t .. id, 'msg')
          redis.call('HSET', t .. id, 'state', 'active', 'delivery', ARGV[3])
          redis.call('HINCRBY', t .. id, 'deliveries', 1)"""
        + DELIVERED,
        FENCED + ONE_KEY + SETTLED,
    ),
    "hash {msg}, no state": (
        f"local ids = {{}} {LOOP} redis.call('HSET', key, 'msg', msg) {ENQUEUED}",
        TAKEN
        + """for i, id in ipairs(ids) do
          reply[i] = redis.call('HGET', t .. id, 'msg')
          redis.call('HSET', t .. id, 'delivery', ARGV[3])
          redis.call('HINCRBY', t .. id, 'deliveries', 1)"""
        + DELIVERED,
        FENCED + ONE_KEY + SETTLED,
    ),
    "hash {msg}, fence and count in one field": (
        f"local ids = {{}} {LOOP} redis.call('HSET', key, 'msg', msg) {ENQUEUED}",
        TAKEN
        + """for i, id in ipairs(ids) do
          local seen = redis.call('HMGET', t .. id, 'msg', 'deliveries')
          reply[i] = seen[1]
          redis.call('HSET', t .. id, 'delivery', ARGV[3], 'deliveries', (seen[2] or 0) + 1)"""
        + DELIVERED,
        FENCED + ONE_KEY + SETTLED,
    ),
    "hash of pieces of 60, state": (
        f"""local ids = {{}} {LOOP} redis.call('HSET', key, 'm0', string.sub(msg, 1, 60),
          'm1', string.sub(msg, 61, 120), 'm2', string.sub(msg, 121), 'state', 'pending') {ENQUEUED}""",
        TAKEN
        + """for i, id in ipairs(ids) do
          reply[i] = table.concat(redis.call('HMGET', t .. id, 'm0', 'm1', 'm2'))
          redis.call('HSET', t .. id, 'state', 'active', 'delivery', ARGV[3])
          redis.call('HINCRBY', t .. id, 'deliveries', 1)"""
        + DELIVERED,
        FENCED + ONE_KEY + SETTLED,
    ),
    "string for msg, hash while delivered": (
        f"local ids = {{}} {LOOP} redis.call('SET', key, msg) {ENQUEUED}",
        TAKEN
        + """local keys = {}
        for i, id in ipairs(ids) do keys[i] = t .. id end
        reply = redis.call('MGET', unpack(keys))
        for i, id in ipairs(ids) do
          redis.call('HSET', d .. id, 'delivery', ARGV[3])
          redis.call('HINCRBY', d .. id, 'deliveries', 1)"""
        + DELIVERED,
        FENCED + TWO_KEYS + SETTLED,
    ),
}


async def measure_layout(bench: Bench, connection: Any, name: str, tasks: int) -> Mapping[str, float]:
    """One layout, all tasks through each step in turn."""
    bench.server.flush()
    enqueue, deliver, settle = [await load(connection, script) for script in LAYOUTS[name]]
    ids = [f"{number:022d}" for number in range(tasks)]
    fence = "8f3c1a2b:1234567"
    empty = settled_memory(bench)

    async def step(sha: str, arguments: Callable[[Sequence[str]], Sequence[Argument]]) -> Spent:
        with bench.spend() as spent:
            for some in chunks(ids, SIZE):
                await call(connection, "EVALSHA", sha, 2, PENDING, LEASE, PREFIX, *arguments(some))
        return spent

    enqueued = await step(enqueue, lambda some: [part for task_id in some for part in (task_id, ENVELOPE)])
    pending = settled_memory(bench)
    delivered = await step(deliver, lambda some: [len(some), fence])
    active = settled_memory(bench)
    settled = await step(settle, lambda some: [fence, *some])
    assert bench.server.control.dbsize() == 0, "nothing is left"
    costs = [one.redis_cpu / tasks * 1e6 for one in (enqueued, delivered, settled)]
    return {
        "enqueue µs": costs[0],
        "deliver µs": costs[1],
        "settle µs": costs[2],
        "in all µs": sum(costs),
        "bytes pending": (pending - empty) / tasks,
        "bytes active": (active - empty) / tasks,
    }


async def measure(bench: Bench) -> None:
    """All layouts."""
    connection = await connect(bench.server.url)

    def variant(name: str) -> Variant:
        return lambda: measure_layout(bench, connection, name, bench.size(20_000))

    rows = await bench.interleave({name: variant(name) for name in LAYOUTS})
    bench.table(f"Server CPU per task, {SIZE} in a call", rows)
    await connection.disconnect(nowait=True)


if __name__ == "__main__":
    run("layout", measure)

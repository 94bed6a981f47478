"""Very many tasks in a short time: one is enqueued, and Redis copies it.

To enqueue a million through a client takes half a minute, and nothing here is about that.
"""

from __future__ import annotations

from _bench import RedisServer
from _product import PAYLOAD, TYPE

from asyncq import Client, Task

_CHUNK = 10_000

_COPY = """
local base, state, now = ARGV[1], ARGV[2], tonumber(ARGV[5])
local first, count = tonumber(ARGV[3]), tonumber(ARGV[4])
local message = redis.call('HGET', base .. 't:' .. ARGV[6], 'msg')
for i = first, first + count - 1 do
  local id = string.format('%022d', i)
  if state == 'pending' then
    redis.call('HSET', base .. 't:' .. id, 'msg', message)
    redis.call('LPUSH', base .. 'pending', id)
  else
    redis.call('HSET', base .. 't:' .. id, 'msg', message, 'state', state, 'error', 'OSError: no ' .. i % 100)
    redis.call('ZADD', base .. state, now + i / 1000, id)
  end
end
redis.call('HINCRBY', base .. 'flow', 'created', count)
"""


async def fill_quickly(server: RedisServer, queue: str, state: str, count: int) -> None:
    """Put `count` tasks into a state of a queue; those with a time in steps of a millisecond."""
    base = f"asyncq:{{{queue}}}:"
    async with Client(server.url) as client:
        pattern = await client.enqueue(Task(TYPE, PAYLOAD), queue=queue)
    # What is due or archived in the past is not forwarded, and not too old either.
    now = 2_000_000_000 if state in ("scheduled", "retry") else server.control.time()[0] - 3600
    for first in range(0, count, _CHUNK):
        chunk = min(_CHUNK, count - first)
        server.control.eval(_COPY, 0, base, state, first, chunk, now, pattern.id)
    server.control.lrem(base + "pending", 1, pattern.id)
    server.control.delete(f"{base}t:{pattern.id}")
    server.control.hincrby(base + "flow", "created", -1)

"""What is left in Redis when all work is done: nothing, and what there is fits together."""

from __future__ import annotations

from collections import Counter
from typing import Protocol, cast

from redis import Redis
from redis.cluster import RedisCluster

from asyncq import Connection
from asyncq._broker.audit import audit
from asyncq._broker.basis import Basis
from asyncq._wire.keys import ASYNQ_PREFIX, NATIVE_PREFIX

from .waiting import wait_until

__all__ = ["Place", "assert_drained", "assert_sound", "unfinished"]

_LOOK = """
local found = {}
for _, base in ipairs(ARGV) do
  for _, place in ipairs({'scheduled', 'retry', 'lease', 'archived', 'completed'}) do
    found[#found + 1] = {place, redis.call('ZCARD', base .. place)}
  end
  found[#found + 1] = {'pending', redis.call('LLEN', base .. 'pending')}
  for _, group in ipairs(redis.pcall('SMEMBERS', base .. 'groups')) do
    found[#found + 1] = {'groups', redis.pcall('ZCARD', base .. 'g:' .. group)}
  end
  for _, set in ipairs(redis.pcall('ZRANGE', base .. 'aggregation_sets', 0, -1)) do
    found[#found + 1] = {'aggregating', redis.pcall('ZCARD', set)}
  end
end
return found
"""
"""All at one moment: a task that goes from one place to another must not be missed between two looks."""


class Place(Protocol):
    """A Redis of some kind, started by a test."""

    @property
    def url(self) -> str:
        """For asyncq."""
        ...

    def client(self) -> Redis | RedisCluster:
        """To look at what is in there."""
        ...


async def assert_sound(redis: Place) -> None:
    """Let the auditor look: every task in exactly one place, and all that goes with it."""
    async with Connection(redis.url) as connection:
        report = await audit(Basis(connection.router(), connection.wire, "auditor", 5.0))
    assert report.is_clean, str(report)


async def assert_drained(redis: Place, *queues: str, timeout: float = 10.0) -> None:
    """Wait until the last outcomes are written; then nothing of any task may be left."""
    client = redis.client()
    try:
        await wait_until(
            lambda: not any(unfinished(client, queue) for queue in queues),
            f"the queues to be empty: {', '.join(queues)}",
            timeout,
        )
        for queue in queues:
            left = list(client.scan_iter(f"*{{{queue}}}:t:*", count=1000))
            assert not left, f"{len(left)} tasks that are in no place of {queue}: {left[:3]}"
    finally:
        client.close()
    await assert_sound(redis)


def unfinished(client: Redis | RedisCluster, queue: str) -> dict[str, int]:
    """Return the places of a queue that hold tasks, and how many, as they are at one moment."""
    bases = [f"{prefix}{{{queue}}}:" for prefix in (NATIVE_PREFIX, ASYNQ_PREFIX)]
    found = Counter[str]()
    # One key is named so that a cluster knows where to send it; the others have the slot of it.
    reply = cast("list[tuple[bytes, object]]", client.eval(_LOOK, 1, f"{bases[0]}pending", *bases))
    for place, count in reply:
        found[place.decode()] += count if isinstance(count, int) else 0  # a key that holds junk has no tasks
    return {place: count for place, count in found.items() if count}

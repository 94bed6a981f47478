"""What is left in Redis when all work is done: nothing."""

from __future__ import annotations

from redis import Redis
from redis.cluster import RedisCluster

from .waiting import wait_until_sync

__all__ = ["assert_drained", "is_drained", "unfinished"]

_PLACES = ("scheduled", "retry", "lease", "archived", "completed")


def unfinished(client: Redis | RedisCluster, queue: str) -> dict[str, int]:
    """Return the places of a queue that hold tasks, and how many."""
    base = f"asyncq:{{{queue}}}:"
    found = {place: int(client.zcard(base + place)) for place in _PLACES}
    found["pending"] = int(client.llen(base + "pending"))
    return {place: count for place, count in found.items() if count}


def is_drained(client: Redis | RedisCluster, *queues: str) -> bool:
    """Tell whether no task is left in any place of these queues."""
    return not any(unfinished(client, queue) for queue in queues)


def assert_drained(client: Redis | RedisCluster, *queues: str, timeout: float = 10.0) -> None:
    """Wait until the last outcomes are written; then no task hash may be left either."""
    wait_until_sync(
        lambda: is_drained(client, *queues),
        f"the queues to be empty, not {[unfinished(client, queue) for queue in queues]}",
        timeout,
    )
    for queue in queues:
        left = list(client.scan_iter(f"asyncq:{{{queue}}}:t:*", count=1000))
        assert not left, f"{len(left)} tasks that are in no place of {queue}: {left[:3]}"

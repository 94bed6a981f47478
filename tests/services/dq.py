"""What the tests of dq have in common, whichever language plays."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tests.support.driving import Driven
from tests.support.servers import RedisProcess
from tests.support.services.beanstalkd import BeanstalkdNode
from tests.support.waiting import wait_until

__all__ = [
    "LOCK_MS",
    "TUBE",
    "beanstalks",
    "consumer",
    "emptied",
    "handled",
    "lock_key",
    "produced",
    "redis_conf",
    "stamped",
]

TUBE = "orders"
LOCK_MS = 3_600_500
"""How long Go keeps a lock: an hour, and half a second more."""


def beanstalks(nodes: Iterable[BeanstalkdNode], tube: str = TUBE) -> list[dict[str, str]]:
    """Write nodes as the configuration of either language does."""
    return [{"Endpoint": node.endpoint, "Tube": tube} for node in nodes]


def redis_conf(locks: RedisProcess) -> dict[str, str]:
    """Write the Redis of the locks as the configuration of either language does."""
    return {"Host": f"127.0.0.1:{locks.port}", "Type": "node"}


def consumer(nodes: Iterable[BeanstalkdNode], locks: RedisProcess, tube: str = TUBE) -> dict[str, Any]:
    """Return a DqConf."""
    return {"Beanstalks": beanstalks(nodes, tube), "Redis": redis_conf(locks)}


def stamped(payload: bytes, seconds_ago: float = 0) -> bytes:
    """Wrap a payload as a producer does, for a moment that is so long ago."""
    return b"%d/%b" % (time.time_ns() - int(seconds_ago * 1e9), payload)


def lock_key(body: bytes) -> str:
    """Return the key under which consumers agree on who handles a message."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def handled(*programs: Driven) -> Counter[bytes]:
    """Return how often each message was begun, over all these consumers."""
    return Counter(event["payload"] for program in programs for event in program.seen("begin"))


async def produced(nodes: Sequence[BeanstalkdNode], ids: str) -> list[tuple[dict[str, str], bytes]]:
    """Look up the jobs that a producer returned: what each node says of its copy, and the copy."""
    by_endpoint = {node.endpoint: node for node in nodes}
    found = []
    for one in ids.split(","):
        endpoint, tube, number = one.split("/")
        stats, body = await by_endpoint[endpoint].job(int(number))
        assert stats["tube"] == tube
        found.append((stats, body))
    return found


async def emptied(nodes: Iterable[BeanstalkdNode], tube: str = TUBE, timeout: float = 40) -> None:
    """Wait until no node has a job of this tube any more."""
    nodes = list(nodes)

    async def are_empty() -> bool:
        return not any([await node.left(tube) for node in nodes])

    await wait_until(are_empty, f"the tube {tube} to be empty everywhere", timeout)

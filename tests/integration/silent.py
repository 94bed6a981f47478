"""Producers of Go's asynq: they write where our servers look, and tell nobody."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

from redis import Redis
from redis.cluster import RedisCluster

from asyncq._wire.asynq import encode
from asyncq._wire.keys import ASYNQ_PREFIX, QueueKeys
from asyncq._wire.messages import Envelope
from asyncq._wire.wire import AsynqWire
from asyncq.mux import Mux
from asyncq.server import Server
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.integration.serving import inside
from tests.support.waiting import wait_until

__all__ = ["NEVER", "Producer", "Taken", "watching"]

NEVER = 300.0
"""For what would find tasks without having heard of them, later than any test would wait."""


class Producer:
    """Puts tasks where they belong with plain commands, as Go does with its scripts."""

    def __init__(self, client: Redis | RedisCluster) -> None:
        self.client = cast("Any", client)

    def keys(self, queue: str = "default") -> QueueKeys:
        """The keys of a queue."""
        return AsynqWire().keys.queue(queue)

    def store(self, queue: str = "default", **fields: str) -> str:
        """Write the hash of a task; returns its id."""
        task_id = f"silent-{uuid.uuid4()}"
        message, _ = encode(ASYNQ_PREFIX, queue, task_id, Envelope("work", b""))
        self.client.hset(self.keys(queue).task(task_id), mapping={"msg": message, **fields})
        return task_id

    def push(self, queue: str = "default") -> str:
        """Enqueue a task."""
        task_id = self.store(queue, state="pending", pending_since=str(time.time_ns()))
        self.client.lpush(self.keys(queue).pending, task_id)
        return task_id

    def schedule(self, delay: float, queue: str = "default") -> str:
        """Enqueue a task for later, on the full second."""
        task_id = self.store(queue, state="scheduled")
        self.client.zadd(self.keys(queue).scheduled, {task_id: math.ceil(time.time() + delay)})
        return task_id


class Taken:
    """What ran, in the order in which it began, and when."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.mux = Mux()
        self.mux.handle("work")(self._note)

    async def _note(self, task: Task) -> None:
        assert task.id not in self.at, "it ran twice"
        self.at[task.id] = time.perf_counter()

    async def of(self, *ids: str, within: float = 10.0) -> None:
        """Wait until these have begun."""
        await wait_until(lambda: all(one in self.at for one in ids), f"{len(ids)} tasks to run", within)


@asynccontextmanager
async def watching(redis: AnyRedis | str, mux: Mux, **options: Any) -> AsyncGenerator[Server]:
    """Run a server that takes only what it is told of, and wait until it hears."""
    given = {
        "wire": "asynq",
        "concurrency": 10,
        "task_check_interval": NEVER,
        "delayed_check_interval": NEVER,
        **options,
    }
    url = redis if isinstance(redis, str) else redis.url
    async with Server(url, **given).running(mux) as server:
        watchers = inside(server).watchers
        assert watchers
        await wait_until(lambda: all(one.hears for one in watchers), "the server to hear of changes")
        yield server

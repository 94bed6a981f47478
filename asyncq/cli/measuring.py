"""What `asyncq bench` measures, in a queue of its own that is removed afterwards, whatever happens."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import platform
import signal
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from asyncq._signals import handled
from asyncq.client import Client
from asyncq.connection import Pong
from asyncq.errors import ConfigError, QueueNotFoundError
from asyncq.inspector import Inspector
from asyncq.mux import Mux
from asyncq.server import Server
from asyncq.shared import Connection
from asyncq.task import Task

QUEUE: Final = "asyncq-bench-"
"""What the names of our queues begin with. One that nobody serves was left by a bench that was killed."""

TYPE: Final = "asyncq:bench"
GAP: Final = 0.003
"""Seconds between two looks at how soon a task begins: the server has to idle again before the next."""

TASK_BYTES: Final = 1000
"""What a waiting task takes in Redis beside its payload, generously."""

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be measured."""

    url: str
    wire: str
    prefix: str | None
    tasks: int
    payload: int
    concurrency: int
    callers: int
    samples: int


@dataclass
class Measured:
    """What came of it. Rates are a second, times are seconds."""

    wish: Wish
    pong: Pong
    where: str
    results: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])

    def as_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        wish = self.wish
        return {
            "redis": {"where": self.where, "server": self.pong.server, "latency": self.pong.latency},
            "machine": {
                "python": platform.python_version(),
                "processors": os.cpu_count(),
            },
            "settings": {
                "tasks": wish.tasks,
                "payload": wish.payload,
                "concurrency": wish.concurrency,
                "callers": wish.callers,
                "samples": wish.samples,
            },
            "results": self.results,
        }


class Bench:
    """One run: first `look`, which says why not, then `measure`."""

    def __init__(self, wish: Wish, queue: str) -> None:
        self._wish: Final = wish
        self._queue: Final = queue
        self._payload: Final = os.urandom(wish.payload)
        self._has_begun = False

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[Inspector]:
        """An inspector, for the length of the run; afterwards nothing of us is left in Redis.

        SIGTERM and Ctrl-C cancel what is done in the block, so its end comes in either case.

        Raises:
            KeyboardInterrupt: One of them came.
        """
        wish, ours, was_told = self._wish, asyncio.current_task(), False

        def leave() -> None:
            nonlocal was_told
            was_told = True
            if ours is not None:
                ours.cancel()

        async with (
            Connection(wish.url, prefix=wish.prefix, wire=wish.wire) as connection,
            Inspector(connection) as inspector,
        ):
            with handled({signal.SIGTERM: leave, signal.SIGINT: leave}):
                self._connection, self._inspector = connection, inspector
                try:
                    yield inspector
                except asyncio.CancelledError:
                    if was_told:
                        raise KeyboardInterrupt from None
                    raise
                finally:
                    if self._has_begun:
                        with suppress(QueueNotFoundError):
                            await inspector.queues.remove(self._queue, force=True)

    async def obstacles(self) -> list[str]:
        """Why one should not measure here now: who else would feel it."""
        found: list[str] = []
        servers = await self._inspector.servers.list()
        if servers:
            found.append(
                "1 server works there" if len(servers) == 1 else f"{len(servers):,} servers work there"
            )
        waiting = sum(queue.pending + queue.active for queue in await self._inspector.queues.sizes())
        if waiting:
            found.append(
                "1 task waits or runs there" if waiting == 1 else f"{waiting:,} tasks wait or run there"
            )
        return found

    async def check_room(self) -> None:
        """See whether the tasks have room.

        Raises:
            ConfigError: They would take more than half of the memory that is left.
        """
        wanted = self._wish.tasks * 2 * (self._wish.payload + TASK_BYTES)
        for redis in await self._inspector.cluster.redis():
            if redis.memory_max is None:
                continue
            free = redis.memory_max - redis.memory_used
            if wanted > free / 2:
                most = max(0, int(free / 4 / (self._wish.payload + TASK_BYTES)))
                expected = f"at most {most:,}: {redis.address} has {free / 2**20:,.1f} MiB left"
                raise ConfigError("tasks", self._wish.tasks, expected)

    async def sweep(self) -> int:
        """Remove what a bench left that was killed; returns how many queues."""
        ours = [name for name in await self._inspector.queues.names() if name.startswith(QUEUE)]
        removed = 0
        for name in ours:
            if name != self._queue and not await self._inspector.servers.list(queue=name):
                with suppress(QueueNotFoundError):
                    await self._inspector.queues.remove(name, force=True)
                removed += 1
        return removed

    async def measure(self, pong: Pong, on_progress: OnProgress) -> Measured:
        """Measure everything, one after the other."""
        measured = Measured(self._wish, pong, self._inspector.where)
        results, self._has_begun = measured.results, True
        async with Client(self._connection) as client:
            results["enqueue"] = await self._one_by_one(client, on_progress)
            results["enqueue_concurrently"] = await self._by_many(client, on_progress)
            results["enqueue_many"] = await self._many(client, on_progress)
            results["run"] = await self._drained(on_progress)
            results["pick_up"], results["there_and_back"] = await self._prompt(client, on_progress)
        return measured

    def _task(self) -> Task:
        return Task(TYPE, self._payload, queue=self._queue)

    async def _one_by_one(self, client: Client, on_progress: OnProgress) -> dict[str, float]:
        times: list[float] = []
        for done in range(self._wish.samples):
            on_progress("enqueue, one by one", done, self._wish.samples)
            began = time.perf_counter()
            await client.enqueue(self._task())
            times.append(time.perf_counter() - began)
        return {"rate": len(times) / sum(times), **_quantiles(times)}

    async def _by_many(self, client: Client, on_progress: OnProgress) -> dict[str, float]:
        number, left = self._wish.tasks, iter(range(self._wish.tasks))

        async def call() -> None:
            for done in left:
                on_progress(f"enqueue, {self._wish.callers} callers", done, number)
                await client.enqueue(self._task())

        began = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(self._wish.callers)))
        return {"rate": number / (time.perf_counter() - began)}

    async def _many(self, client: Client, on_progress: OnProgress) -> dict[str, float]:
        number, done = self._wish.tasks, 0
        began = time.perf_counter()
        async for outcome in client.enqueue_many(self._task() for _ in range(number)):
            if outcome.error is not None:
                raise outcome.error
            done += 1
            on_progress("enqueue_many", done, number)
        return {"rate": number / (time.perf_counter() - began)}

    async def _drained(self, on_progress: OnProgress) -> dict[str, float]:
        """All that was enqueued is run: from the begin of the first handler to the end of the last."""
        total = 2 * self._wish.tasks + self._wish.samples
        ran: list[float] = []
        over = asyncio.Event()

        async def handle(_: Task) -> None:
            ran.append(time.perf_counter())
            on_progress(f"run, {self._wish.concurrency} at a time", len(ran), total)
            if len(ran) >= total:
                over.set()

        async with self._server(handle):
            await over.wait()
        return {"rate": (total - 1) / (ran[-1] - ran[0])}

    async def _prompt(
        self, client: Client, on_progress: OnProgress
    ) -> tuple[dict[str, float], dict[str, float]]:
        """How soon an idle server begins with a task, and how soon its result is here."""
        began_at: list[float] = []
        begun: list[float] = []
        back: list[float] = []

        async def handle(_: Task) -> int:
            begun.append(time.perf_counter())
            return len(begun)

        async with self._server(handle):
            for done in range(self._wish.samples):
                on_progress("pick up, and back", done, self._wish.samples)
                await asyncio.sleep(GAP)
                began_at.append(time.perf_counter())
                info = await client.enqueue(self._task(), retention=60)
                await client.result(info, timeout=30)
                back.append(time.perf_counter())
        picked = [there - began for there, began in zip(begun, began_at, strict=True)]
        returned = [there - began for there, began in zip(back, began_at, strict=True)]
        return _quantiles(picked), _quantiles(returned)

    @asynccontextmanager
    async def _server(self, handle: Callable[[Task], Any]) -> AsyncGenerator[None]:
        mux = Mux()
        mux.handle(TYPE, handle)
        server = Server(
            self._connection,
            queues=[self._queue],
            concurrency=self._wish.concurrency,
            name="asyncq bench",
            log_level=logging.WARNING,
        )
        async with server.running(mux):
            yield


def _quantiles(times: Sequence[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        name: ordered[math.ceil(share * len(ordered)) - 1] for name, share in (("p50", 0.5), ("p99", 0.99))
    }

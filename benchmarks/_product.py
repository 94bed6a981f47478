"""asyncq at work, as the benchmarks of the product need it: through its public door only.

What is measured is what a user gets: `Client` and `Server` as they are, with leases,
fences, heartbeat, messages between servers, recovery and everything else switched on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from _bench import Bench, RedisServer

from asyncq import Client, Mux, Server, Task
from asyncq.options import TaskOptions

TYPE = "bench:noop"
PAYLOAD = b"x" * 100
WEIGHTED = {"critical": 6, "default": 3, "low": 1}


def tasks(
    count: int, *, queues: Sequence[str] = ("default",), options: TaskOptions | None = None
) -> Iterator[Task]:
    """`count` tasks with 100 bytes each, dealt out to the queues in turn.

    With options the payloads differ, or else unique tasks would be duplicates of the first.
    """
    for number in range(count):
        payload = b"%0100d" % number if options else PAYLOAD
        yield Task(TYPE, payload, queue=queues[number % len(queues)])


async def fill(
    url: str,
    count: int,
    *,
    queues: Sequence[str] = ("default",),
    options: TaskOptions | None = None,
    wire: str = "native",
) -> float:
    """Enqueue `count` tasks with `enqueue_many`; tasks per second."""
    async with Client(url, wire=wire) as client:
        await client.ping()
        started = time.perf_counter()
        many = tasks(count, queues=queues, options=options)
        async for outcome in client.enqueue_many(many, **(options or {})):
            assert outcome.is_enqueued, outcome.error
        return count / (time.perf_counter() - started)


class Finish:
    """A handler that does nothing but count, and tells when the last one was called."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._is_over = asyncio.get_running_loop().create_future()
        self._began_at = 0.0
        self._began_cpu = 0.0
        self.wall = 0.0
        self.cpu = 0.0

    async def handle(self, _task: Task) -> None:
        """Handle a task."""
        if not self._began_at:
            self._began_at, self._began_cpu = time.perf_counter(), time.process_time()
        self._left -= 1
        if not self._left:  # more may come: then somebody else is to run them
            self._is_over.set_result(None)

    def mux(self) -> Mux:
        """With this handler in it."""
        mux = Mux()
        mux.handle(TYPE, self.handle)
        return mux

    @staticmethod
    def _holds(server: RedisServer, queues: Sequence[str], prefix: str) -> bool:
        return any(server.control.zcard(lease_key(queue, prefix)) for queue in queues)

    async def wait(
        self, server: RedisServer | None = None, queues: Sequence[str] = (), prefix: str = "asyncq:"
    ) -> None:
        """Wait until the last was called and, if a server is given, until all of `queues` is settled."""
        await self._is_over
        while server is not None and self._holds(server, queues, prefix):  # noqa: ASYNC110 - Redis is asked, from outside
            await asyncio.sleep(0)
        self.wall = time.perf_counter() - self._began_at
        self.cpu = time.process_time() - self._began_cpu


def lease_key(queue: str, prefix: str = "asyncq:") -> str:
    """What holds the tasks that a server has in hand."""
    return f"{prefix}{{{queue}}}:lease"


async def drain(  # noqa: PLR0913 - each is a way in which drains differ
    bench: Bench,
    count: int,
    *,
    concurrency: int,
    queues: Mapping[str, int] | None = None,
    options: TaskOptions | None = None,
    wire: str = "native",
    filler: Callable[[], Awaitable[object]] | None = None,
    history: bool = True,
) -> Mapping[str, float]:
    """Enqueue `count` tasks, then run them; the clock runs from the first handler to the last settlement.

    With `filler` somebody else enqueues them.
    """
    queues = queues or {"default": 1}
    prefix = "asynq:" if wire == "asynq" else "asyncq:"
    with bench.spend() as filled:
        if filler is None:
            await fill(bench.server.url, count, queues=list(queues), options=options, wire=wire)
        else:
            await filler()
    finish = Finish(count)
    server = Server(bench.server.url, concurrency=concurrency, queues=queues, wire=wire, history=history)
    with bench.spend() as drained:
        async with server.running(finish.mux()):
            await finish.wait(bench.server, list(queues), prefix)
    done = sum(int(bench.server.control.get(f"{prefix}{{{name}}}:processed") or 0) for name in queues)
    assert done == count, (done, count)
    bench.server.flush()
    return {
        "tasks/s": count / finish.wall,
        "client CPU µs": finish.cpu / count * 1e6,
        "Redis CPU µs": (filled.redis_cpu + drained.redis_cpu) / count * 1e6,
        "of it enqueue": filled.redis_cpu / count * 1e6,
        "tasks/call": count / (drained.calls.get("evalsha", 0) + drained.calls.get("eval", 0)),
    }


@asynccontextmanager
async def idle_servers(
    url: str,
    mux: Mux,
    count: int,
    *,
    concurrency: int,
    queues: Sequence[str],
    wire: str = "native",
) -> AsyncIterator[list[Server]]:
    """`count` servers in this process, all idle and known to be so in Redis."""
    options: dict[str, Any] = {"concurrency": concurrency, "queues": list(queues), "wire": wire}
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(Server(url, **options).running(mux)) for _ in range(count)]
        # The first look of each server finds nothing, after which it waits for a message.
        await asyncio.sleep(0.3)
        yield servers

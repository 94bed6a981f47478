"""What carries a command from a caller to Redis and back, and at what cost?

Each call is an `EVALSHA` of a script that does nothing, with a key and four
arguments of which one is a 100-byte payload: the shape of our calls. One caller
at a time shows latency; 100 callers at once show throughput. Variants:

- `client`: redis-py's asyncio client, RESP2, no retries, no time-outs;
- `connection, exclusive`: one `Connection`, one command in flight (under a lock when many call);
- `link, half duplex`: one `Connection`; what gathers while a batch is in flight goes out as the next;
- `link, pipelined`: one `Connection`; a loop turn's commands are joined, a task reads replies;
- `protocol`: an own `asyncio.Protocol` feeding `hiredis.Reader`, put on the transport of a connected
  redis-py `Connection` by `transport.set_protocol` (redis-py still does connect, TLS, AUTH, SELECT);
- `protocol, …`: the same writing at once, or with a time-out per call.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import hiredis
import redis.asyncio
from _bench import Bench, Variant, latencies, run
from _link import Argument, PipelinedLink, call, connect, load, packed
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

SCRIPT = "return 1"
PAYLOAD = b"x" * 100

Caller = Callable[[], Awaitable[Any]]
Command = tuple[Argument, ...]


class HalfDuplexLink:
    """One batch in flight on a `Connection`; the next gathers meanwhile. Public redis-py calls only."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[bytes, asyncio.Future[Any]]] = []
        self._running: asyncio.Task[None] | None = None

    def call(self, *arguments: Argument) -> asyncio.Future[Any]:
        """Send a command with the next batch."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((packed(*arguments), reply))
        if self._running is None:
            self._running = self._loop.create_task(self._drain())
        return reply

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await self._connection.send_packed_command([command for command, _ in batch], check_health=False)
            for _, reply in batch:
                reply.set_result(await self._connection.read_response())
        self._running = None


class ProtocolLink(asyncio.Protocol):
    """An own protocol on the transport that redis-py connected."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._loop = asyncio.get_running_loop()
        self._outgoing: list[bytes] = []
        self._replies: deque[asyncio.Future[Any]] = deque()
        self._parser = hiredis.Reader(notEnoughData=self)
        writer = connection._writer  # noqa: SLF001  there is no public way to the transport
        assert writer is not None
        self._transport = writer.transport
        # From here on redis-py's stream sees nothing of this socket.
        self._transport.set_protocol(self)

    def call(self, *arguments: Argument) -> asyncio.Future[Any]:
        """Send a command at the end of this loop turn."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(packed(*arguments))
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._replies.append(reply)
        return reply

    def call_at_once(self, *arguments: Argument) -> asyncio.Future[Any]:
        """Write without waiting for the loop turn to end."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._replies.append(reply)
        self._transport.write(packed(*arguments))
        return reply

    def call_first_at_once(self, *arguments: Argument) -> asyncio.Future[Any]:
        """Write at once when nothing is in flight, else with the loop turn."""
        if not self._replies:
            return self.call_at_once(*arguments)
        return self.call(*arguments)

    async def call_timed(self, *arguments: Argument) -> Any:
        """`call` within `asyncio.timeout`."""
        async with asyncio.timeout(5.0):
            return await self.call(*arguments)

    def _flush(self) -> None:
        self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def data_received(self, data: bytes) -> None:
        """Hand replies to their callers in order."""
        parser, replies = self._parser, self._replies
        parser.feed(data)
        while (reply := parser.gets()) is not self:
            replies.popleft().set_result(reply)


def blocking(path: str, command: bytes) -> Caller:
    """No loop at all: a blocking socket and an already packed command."""
    plain = socket.socket(socket.AF_UNIX)
    plain.connect(path)

    async def blocking_call() -> bytes:
        plain.sendall(command)
        return plain.recv(65536)

    return blocking_call


async def one_by_one(caller: Caller, count: int) -> list[float]:
    """Latencies of `count` calls, each after the last."""
    seconds = []
    clock = time.perf_counter
    for _ in range(count):
        started = clock()
        await caller()
        seconds.append(clock() - started)
    return seconds


async def measure_callers(bench: Bench, caller: Caller, callers: int, count: int) -> Mapping[str, float]:
    """`count` calls shared among `callers` concurrent loops."""
    await one_by_one(caller, 20)
    with bench.spend() as spent:
        each = await asyncio.gather(*(one_by_one(caller, count // callers) for _ in range(callers)))
    seconds = [second for one in each for second in one]
    cost = spent.per(len(seconds))
    return {"calls/s": len(seconds) / spent.wall, **cost, **latencies(seconds)}


async def measure(bench: Bench) -> None:
    """All ways with 1 and with 100 callers, then a gather of 100."""
    path, url = bench.server.path, bench.server.url
    client = redis.asyncio.Redis(
        unix_socket_path=path,
        protocol=2,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
        max_connections=200,
    )
    exclusive = await connect(url)
    sha = await load(exclusive, SCRIPT)
    arguments: Command = (
        "EVALSHA",
        sha,
        1,
        "asyncq:{default}:pending",
        "0123456789abcdefghijkl",
        PAYLOAD,
        "30",
    )
    lock = asyncio.Lock()
    half_duplex = HalfDuplexLink(await connect(url))
    streams = [await connect(url) for _ in range(2)]
    pipelined = PipelinedLink(streams[0])
    protocol = ProtocolLink(streams[1])

    async def exclusively() -> Any:
        async with lock:
            return await call(exclusive, *arguments)

    evalsha = arguments[1:]
    callers: dict[str, Caller] = {
        "bound: blocking socket": blocking(path, packed(*arguments)),
        "client": lambda: client.evalsha(*evalsha),
        "connection, exclusive": exclusively,
        "link, half duplex": lambda: half_duplex.call(*arguments),
        "link, pipelined": lambda: pipelined.call(*arguments),
        "protocol": lambda: protocol.call(*arguments),
        "protocol, writes at once": lambda: protocol.call_at_once(*arguments),
        "protocol, first at once": lambda: protocol.call_first_at_once(*arguments),
        "protocol, asyncio.timeout": lambda: protocol.call_timed(*arguments),
    }
    # Latency of one caller is mostly the two processes waking each other, which on a shared
    # machine drifts within seconds: hence many short turns instead of a few long ones.
    for many, count, times in ((1, bench.size(400), 5), (100, bench.size(10_000), 1)):

        def variant(caller: Caller, many: int = many, count: int = count) -> Variant:
            return lambda: measure_callers(bench, caller, many, count)

        variants = {name: variant(caller) for name, caller in callers.items()}
        rows = await bench.interleave(variants, times=times)
        bench.table(f"{many} caller{'s' * (many > 1)}, EVALSHA with a 100-byte argument", rows)
    pipelined.close()
    await client.aclose()
    for connection in (exclusive, *streams):
        await connection.disconnect(nowait=True)


if __name__ == "__main__":
    run("connection", measure, rounds=5)

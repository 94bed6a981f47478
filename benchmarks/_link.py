"""Bare ways to talk to Redis, for the benchmarks that measure mechanisms.

None of this is product code, and none of it survives a lost connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

Argument = str | bytes | int | float


async def connect(url: str) -> AbstractConnection:
    """Open one redis-py connection with the settings a queue wants: RESP2, no retries, no time-outs."""
    options: dict[str, Any] = dict(parse_url(url))
    kind: type[AbstractConnection] = options.pop("connection_class", Connection)
    options |= {"protocol": 2, "socket_timeout": None, "socket_connect_timeout": 5.0}
    connection = kind(**options, retry=Retry(NoBackoff(), 0), retry_on_error=[])
    await connection.connect()  # type: ignore[no-untyped-call]
    return connection


def packed(*arguments: Argument) -> bytes:
    """One command in the form in which it is sent."""
    return bytes(hiredis.pack_command(arguments))  # type: ignore[arg-type]


async def call(connection: AbstractConnection, *arguments: Argument) -> Any:
    """Send one command and wait for its reply."""
    await connection.send_packed_command(packed(*arguments), check_health=False)
    return await connection.read_response()


async def call_many(connection: AbstractConnection, commands: Iterable[bytes]) -> list[Any]:
    """Send packed commands in one write and wait for all replies."""
    commands = list(commands)
    await connection.send_packed_command([b"".join(commands)], check_health=False)
    return [await connection.read_response() for _ in commands]


async def load(connection: AbstractConnection, script: str) -> str:
    """Load a script and answer its hash."""
    sha: bytes = await call(connection, "SCRIPT", "LOAD", script)
    return sha.decode()


def chunks(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    """`items` in pieces of `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


class PipelinedLink:
    """A loop turn's commands joined into one write; one task reads for ever."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._outgoing: list[bytes] = []
        self._replies: deque[asyncio.Future[Any]] = deque()
        writer = connection._writer  # noqa: SLF001  there is no public way to write without a wait
        assert writer is not None
        self._writer = writer
        self._reader = self._loop.create_task(self._read())

    def call(self, *arguments: Argument) -> asyncio.Future[Any]:
        """Send a command at the end of this loop turn."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(packed(*arguments))
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._replies.append(reply)
        return reply

    def _flush(self) -> None:
        self._writer.write(b"".join(self._outgoing))
        self._outgoing.clear()

    async def _read(self) -> None:
        while True:
            reply = await self._connection.read_response()
            self._replies.popleft().set_result(reply)

    def close(self) -> None:
        """Stop reading."""
        self._reader.cancel()

"""A bare connection in RESP3 on which messages arrive that nobody asked for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis
from _link import Argument, packed


class Ear(asyncio.Protocol):
    """Asks, hands out answers in their order, and calls `on_push` for everything else."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._owed: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self.on_push: Callable[[list[Any]], None] = lambda _: None
        self.heard = 0

    @classmethod
    async def connect(cls, path: str, *commands: tuple[Argument, ...]) -> Ear:
        """Connect over a unix socket, switch to RESP3 and send `commands`."""
        loop = asyncio.get_running_loop()
        _, ear = await loop.create_unix_connection(cls, path)
        for command in (("HELLO", "3"), *commands):
            await ear.ask(*command)
        return ear

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Tell answers from messages."""
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if isinstance(reply, hiredis.PushNotification):
                self.heard += 1
                self.on_push(reply)
            else:
                future = self._owed.popleft()
                if not future.done():
                    future.set_result(reply)

    def ask(self, *command: Argument) -> asyncio.Future[Any]:
        """Send a command."""
        assert self._transport is not None
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._owed.append(future)
        self._transport.write(packed(*command))
        return future

    def close(self) -> None:
        """Hang up."""
        assert self._transport is not None
        self._transport.abort()

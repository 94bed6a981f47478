"""A network between client and server that fails when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import ssl
import threading
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, TypeVar

from asyncq._http import stop_accepting

from .servers import RedisProcess

__all__ = ["Proxy"]

_T = TypeVar("_T")
_CHUNK = 65536
_CONTROL_TIMEOUT = 10.0

_Loss = Literal["request", "reply"]


@dataclass
class _Doom:
    """Which commands are to be lost, and how many more of them."""

    loss: _Loss
    command: str
    containing: bytes
    times: int


class Proxy:
    """Stands in front of a server and breaks what goes through it, on demand.

    It runs in a thread of its own with its own loop, so that a test may block. All
    methods may be called from any thread, and have taken effect when they return.

    Args:
        server: Where the traffic goes.
        tls: Speaks TLS with the clients, with this context.
    """

    def __init__(self, server: RedisProcess, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._listener: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._cuts = 0
        self.port = 0
        self.state = _State()

    @property
    def url(self) -> str:
        """The proxy's address, with the server's user and password."""
        scheme = "redis" if self._tls is None else "rediss"
        login = self._server.url.partition("://")[2].rpartition("@")
        return f"{scheme}://{login[0]}{login[1]}127.0.0.1:{self.port}/0"

    @property
    def commands(self) -> Counter[str]:
        """How often each command went through, by its name in upper case."""
        return self.state.commands

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._links)

    @property
    def accepted(self) -> int:
        """How many connections there have been."""
        return self.state.accepted

    @property
    def losses(self) -> int:
        """How many commands or answers were lost as `lose_reply` and `lose_request` asked."""
        return self.state.losses

    def start(self) -> None:
        """Begin to listen, at the same port after `refuse`."""
        if not self._thread.is_alive():
            self._thread.start()
        self._do(self._listen())

    def cut(self) -> None:
        """Reset every open connection. New ones are accepted."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Reset every open connection and refuse new ones, until `start`."""
        self._do(self._stop_listening())
        self._do(self._cut())

    def half_close(self) -> None:
        """Tell every client that no more will come, and go on reading from it.

        So does a server that shuts down, or a firewall that closes one direction. Not
        with TLS, which has no such state.
        """
        self._do(self._half_close())

    def freeze(self) -> None:
        """Let nothing through, in either direction; connections stay and are accepted."""
        self._do(self._set_flowing(flowing=False))

    def thaw(self) -> None:
        """Let through what `freeze` held back, and all that follows."""
        self._do(self._set_flowing(flowing=True))

    def delay(self, seconds: float) -> None:
        """Hold every answer back for so long; 0 ends it."""
        self.state.delay = seconds

    def lose_reply(self, command: str, *, containing: bytes = b"", times: int = 1) -> None:
        """Let the next such command happen, and cut the connection in place of its answer.

        Answers to earlier commands that are still under way are lost with it, and what is
        sent behind it on the same connection is not passed on.

        Args:
            command: Its name, as in "EVALSHA".
            containing: Only if these bytes are somewhere in the command, as in a script's
                hash or a key.
            times: How many such commands in all.
        """
        self.state.doomed.append(_Doom("reply", command.upper(), containing, times))

    def lose_request(self, command: str, *, containing: bytes = b"", times: int = 1) -> None:
        """Cut the connection in place of passing on the next such command.

        See `lose_reply` for the arguments.
        """
        self.state.doomed.append(_Doom("request", command.upper(), containing, times))

    def forgive(self) -> None:
        """Forget what was still to be lost."""
        self.state.doomed.clear()

    def close(self) -> None:
        """End all connections, the thread and its loop.

        Raises:
            Exception: Something came through that the proxy does not understand.
        """
        if not self._thread.is_alive():
            return
        self.refuse()
        self._do(_let_tasks_end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self.state.failures:
            raise self.state.failures[0]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _do(self, work: Coroutine[None, None, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CONTROL_TIMEOUT)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            await stop_accepting(listener)

    async def _cut(self) -> None:
        self._cuts += 1
        for link in self._links:
            link.cut()

    async def _half_close(self) -> None:
        for link in self._links:
            link.half_close()

    async def _set_flowing(self, *, flowing: bool) -> None:
        if flowing:
            self.state.flowing.set()
        else:
            self.state.flowing.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._listener is None:  # accepted in the moment of refusing
            writer.transport.abort()
            return
        self.state.accepted += 1
        cuts = self._cuts
        address = self._server.address
        try:
            if isinstance(address, str):
                server = await asyncio.open_unix_connection(address)
            else:
                server = await asyncio.open_connection(*address)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self.state, (reader, writer), server)
        if cuts != self._cuts:
            link.cut()
            return
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


class _State:
    """What the test has asked for, and what was seen."""

    def __init__(self) -> None:
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.delay = 0.0
        self.doomed: list[_Doom] = []
        self.failures: list[BaseException] = []
        self.commands: Counter[str] = Counter()
        self.accepted = 0
        self.losses = 0

    def fate_of(self, name: str, command: bytes) -> _Loss | None:
        """Say whether this command is to be lost, and count it."""
        self.commands[name] += 1
        for doom in self.doomed:
            if doom.command == name and doom.containing in command:
                doom.times -= 1
                if not doom.times:
                    self.doomed.remove(doom)
                self.losses += 1
                return doom.loss
        return None


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, state: _State, client: _Stream, server: _Stream) -> None:
        self._state = state
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._parser = _CommandParser()
        self._tasks: list[asyncio.Future[None]] = []
        self._is_half_closed = False
        # When the server echoes this, it has carried out the command before it.
        self._marker = b""

    async def run(self) -> None:
        """Pass bytes on in both directions until either side ends."""
        self._tasks += [
            asyncio.ensure_future(self._pass_requests()),
            asyncio.ensure_future(self._pass_replies()),
        ]
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        self.cut()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                self._state.failures.append(outcome)

    def cut(self) -> None:
        """Reset both connections, also while nothing is let through."""
        self._to_client.transport.abort()
        self._to_server.transport.abort()
        for task in self._tasks:
            task.cancel()

    def half_close(self) -> None:
        """Send the client an end of file."""
        if self._to_client.can_write_eof():
            self._is_half_closed = True
            self._to_client.write_eof()

    async def _pass_requests(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self._from_client.read(_CHUNK):
                await self._state.flowing.wait()
                for name, command in self._parser.feed(data):
                    fate = self._state.fate_of(name, command)
                    if fate == "request":
                        return
                    self._to_server.write(command)
                    if fate == "reply":
                        self._marker = secrets.token_hex(16).encode()
                        self._to_server.write(b"*2\r\n$4\r\nECHO\r\n$32\r\n%b\r\n" % self._marker)
                        break
                await self._to_server.drain()
                if self._marker:
                    await asyncio.get_running_loop().create_future()  # until the marker comes back

    async def _pass_replies(self) -> None:
        swallowed = b""
        with contextlib.suppress(OSError):
            while data := await self._from_server.read(_CHUNK):
                await self._state.flowing.wait()
                if self._state.delay:
                    await asyncio.sleep(self._state.delay)
                if self._marker:
                    swallowed += data
                    if self._marker in swallowed:
                        return
                    continue
                if self._is_half_closed:
                    continue
                self._to_client.write(data)
                await self._to_client.drain()


class _CommandParser:
    """Cuts what a client sends into commands."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """Take more bytes; return name and bytes of each command that is complete by now."""
        self._buffer += data
        commands: list[tuple[str, bytes]] = []
        start = 0
        if self._buffer and not self._buffer.startswith(b"*"):
            # No commands, such as the greeting of TLS: the server may say what it makes of them.
            commands.append(("", self._buffer))
            start = len(self._buffer)
        while (parsed := self._parse(start)) is not None:
            name, end = parsed
            commands.append((name, self._buffer[start:end]))
            start = end
        self._buffer = self._buffer[start:]
        return commands

    def _parse(self, start: int) -> tuple[str, int] | None:
        count, position = self._number(start, b"*")
        name = ""
        for index in itertools.count():
            if index == count:
                return name, position
            if position < 0:
                return None
            length, position = self._number(position, b"$")
            end = position + length
            if position < 0 or len(self._buffer) < end + 2:
                return None
            if index == 0:
                name = self._buffer[position:end].decode().upper()
            position = end + 2
        return None

    def _number(self, start: int, kind: bytes) -> tuple[int, int]:
        """Read `*3` or `$5` and what follows; the position is -1 if it is not all there."""
        end = self._buffer.find(b"\r\n", start)
        if end < 0:
            return -1, -1
        line = self._buffer[start:end]
        if not line.startswith(kind):
            raise ValueError(f"expected {kind!r} of a command, got {line!r}")
        return int(line[1:]), end + 2


async def _let_tasks_end() -> None:
    """Wait until every task of the proxy's loop but this one has ended."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.gather(*others, return_exceptions=True)

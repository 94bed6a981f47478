"""The connection to one beanstalkd: made when it is needed, and closed when it is out of step.

Answers come in the order of the requests and carry no number, so a connection that stopped in the middle
of one is of no use any more: whoever gives up waiting (a deadline, a cancellation) closes it, and the next
call makes a new one. That costs the reservations of the connection: their jobs are ready again at once.
Nothing is sent twice by itself; a `put` that was would be two jobs.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from asyncq.beanstalk.errors import (
    BY_WORD,
    TROUBLE,
    NodeAwayError,
    RefusedError,
    UnreadableReplyError,
)
from asyncq.beanstalk.protocol import (
    DEFAULT_TUBE,
    LONGEST_LINE,
    Answer,
    read_answer,
    read_endpoint,
    require_patience,
)
from asyncq.beanstalk.requests import Request, ask
from asyncq.errors import ClosedError

_KEEPALIVE: Final = 10
"""Seconds of silence after which the system looks whether the other side still lives."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with its body."""

    answer: Answer
    body: bytes = b""


class Channel:
    """Requests and their answers, one call after the other."""

    def __init__(self, endpoint: str, *, connect_timeout: float, response_timeout: float) -> None:
        self._host, self._port = read_endpoint(endpoint)
        require_patience("connect_timeout", connect_timeout)
        require_patience("response_timeout", response_timeout)
        self.endpoint: Final = endpoint
        self.used = DEFAULT_TUBE
        self.watched = [DEFAULT_TUBE]
        self._connect_timeout: Final = connect_timeout
        self._response_timeout: Final = response_timeout
        self._lock: Final = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._is_closed = False

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self._streams is not None and not self._is_stale()

    async def disconnect(self) -> None:
        """Close the connection, if there is one."""
        streams, self._streams = self._streams, None
        if streams is not None:
            # At once, also in the middle of something: what is on its way is not wanted any more.
            streams[1].transport.abort()
            with suppress(OSError):
                await streams[1].wait_closed()

    async def aclose(self) -> None:
        """Close for good."""
        self._is_closed = True
        await self.disconnect()

    async def call(self, request: Request, *, wait: float | None = 0.0) -> Reply:
        """Send one request; its answer, or the refusal as an error.

        Args:
            request: What to ask.
            wait: Seconds that the server may wait by itself; `None` for ever.
        """
        reply = (await self.talk((request,), wait=wait))[0]
        if isinstance(reply, RefusedError):
            raise reply
        return reply

    async def talk(
        self, requests: Sequence[Request], *, wait: float | None = 0.0
    ) -> list[Reply | RefusedError]:
        """Send requests in one write and read their answers, or the refusals in their place."""
        async with self._lock:
            if self._is_closed:
                raise ClosedError("the beanstalk client")
            if self._is_stale():
                self._drop()
            reader, writer = self._streams or await self._connect()
            name = requests[0].name
            limit = None if wait is None else wait + self._response_timeout
            return await self._exchange(reader, writer, requests, name=name, limit=limit)

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        requests: Sequence[Request],
        *,
        name: str,
        limit: float | None,
    ) -> list[Reply | RefusedError]:
        try:
            async with asyncio.timeout(limit):
                writer.write(b"".join(request.data for request in requests))
                await writer.drain()
                replies = [await self._read(reader, request) for request in requests]
        except TimeoutError:
            self._drop(writer)
            within = "" if limit is None else f" within {limit:g} s"
            raise NodeAwayError(self.endpoint, name, f"no answer{within}") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            self._drop(writer)
            if self._is_closed:
                raise ClosedError("the beanstalk client") from error
            raise NodeAwayError(self.endpoint, name, _why(error)) from error
        except BaseException:
            # Cancelled in the middle of an answer, or an answer that is none: what comes next on this
            # connection would be taken for the answer to something else.
            self._drop(writer)
            raise
        if any(isinstance(reply, TROUBLE) for reply in replies):
            self._drop(writer)
        return replies

    async def _read(self, reader: asyncio.StreamReader, request: Request) -> Reply | RefusedError:
        line = b""
        try:
            line = (await reader.readuntil(b"\r\n"))[:-2]
            answer = read_answer(line)
        except asyncio.LimitOverrunError:
            raise UnreadableReplyError(self.endpoint, request.name, "a line without an end") from None
        except ValueError as error:
            raise UnreadableReplyError(self.endpoint, request.name, f"{line[:80]!r}: {error}") from error
        if answer.body_size is not None and answer.word in request.words:
            body = await reader.readexactly(answer.body_size + 2)
            if body[-2:] != b"\r\n":
                raise UnreadableReplyError(self.endpoint, request.name, "a body that does not end")
            return Reply(answer, body[:-2])
        if answer.word in request.words:
            return Reply(answer)
        kind = BY_WORD.get(answer.word)
        if kind is None:
            raise self.unreadable(request.name, answer)
        return kind(self.endpoint, request.name)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(self._connect_timeout):
                reader, writer = await asyncio.open_connection(self._host, self._port, limit=LONGEST_LINE)
        except TimeoutError:
            why = f"not reached within {self._connect_timeout:g} s"
            raise NodeAwayError(self.endpoint, "connect", why) from None
        except OSError as error:
            raise NodeAwayError(self.endpoint, "connect", _why(error)) from error
        if self._is_closed:
            writer.transport.abort()
            raise ClosedError("the beanstalk client")
        _keep_alive(writer)
        self._streams = reader, writer
        prelude = self._prelude()
        if prelude:
            replies = await self._exchange(
                reader, writer, prelude, name="connect", limit=self._connect_timeout
            )
            for reply in replies:
                if isinstance(reply, RefusedError):
                    self._drop(writer)
                    raise reply
        return reader, writer

    def _prelude(self) -> list[Request]:
        """What a new connection is told, to be like the one before."""
        told = [] if self.used == DEFAULT_TUBE else [ask("use", self.used, words=(b"USING",))]
        told += [ask("watch", tube, words=(b"WATCHING",)) for tube in self.watched if tube != DEFAULT_TUBE]
        if DEFAULT_TUBE not in self.watched:
            told.append(ask("ignore", DEFAULT_TUBE, words=(b"WATCHING",)))
        return told

    def _is_stale(self) -> bool:
        """Whether the other side has closed the connection already: nothing need be lost on it."""
        if self._streams is None:
            return False
        reader, writer = self._streams
        return reader.at_eof() or reader.exception() is not None or writer.is_closing()

    def _drop(self, writer: asyncio.StreamWriter | None = None) -> None:
        if self._streams is not None and writer in (None, self._streams[1]):
            self._streams[1].transport.abort()
            self._streams = None

    def unreadable(self, name: str, answer: Answer) -> UnreadableReplyError:
        """What to raise for an answer that does not go with the request; the connection is closed."""
        self._drop()
        said = f"{answer.word.decode()} {answer.text}".strip()
        return UnreadableReplyError(self.endpoint, name, f"{said[:80]!r}")


def _why(error: Exception) -> str:
    if isinstance(error, asyncio.IncompleteReadError):
        return "it closed the connection"
    return str(error) or type(error).__name__


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE)

"""One connection that many callers share.

The client library connects: it knows TLS, unix sockets, passwords and databases. Once the
handshake is over we take the transport from it and speak on it ourselves, because its own way of
one command at a time costs five to ten times what it costs here (docs/adr/0003-connection.md).

Commands are answered in the order in which they were sent, so a deque of callbacks is all the
bookkeeping there is. What is asked while an answer is owed leaves together at the end of the
turn of the event loop, in one write, unless it is urgent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast

import hiredis
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection

from asyncq._redis.failures import LinkLostError, ReplyError, from_dialling
from asyncq.connection import Address, ConnectionOptions
from asyncq.errors import BrokerUnavailableError

log = logging.getLogger("asyncq.redis")

Reply = Any
"""What Redis answered, or a `ReplyError`, or a `LinkLostError` when no answer will come."""

pack = cast("Callable[[tuple[Any, ...]], bytes]", cast("Any", hiredis).pack_command)
"""Pack a command and its arguments; numbers and text are encoded by the C library."""

OnReply = Callable[[Reply], None]


class Link(asyncio.Protocol):
    """Sends commands, hands each answer to its callback, and fails them all when it breaks."""

    def __init__(self, address: Address, *, response_timeout: float) -> None:
        self.address = address
        self._response_timeout = response_timeout
        self._reader = hiredis.Reader(protocolError=LinkLostError, replyError=ReplyError)
        self._owed: deque[tuple[OnReply, float]] = deque()
        self._outgoing: list[bytes] = []
        self._flush_planned = False
        self._loop = asyncio.get_running_loop()
        self._watchdog: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._keepalive: Any = None
        self._lost = False
        self._why_lost = "connection closed by the server"

    @property
    def is_open(self) -> bool:
        """Whether something can be sent."""
        return not self._lost

    def attach(self, transport: asyncio.Transport, keepalive: object) -> None:
        """Take over a connected transport. `keepalive` is held for as long as the link lives."""
        self._transport = transport
        self._keepalive = keepalive
        transport.set_protocol(self)

    def send(self, command: bytes, on_reply: OnReply, *, urgent: bool = False) -> None:
        """Send a packed command. `on_reply` is called once, later, in this event loop.

        `urgent` is for what gains nothing from being joined with others, and loses when it leaves
        only after everything else that is due in this turn of the loop has run.
        """
        if self._lost or self._transport is None:
            self._loop.call_soon(on_reply, LinkLostError(self._why_lost))
            return
        if self._owed:
            self._outgoing.append(command)
            if urgent:
                self._flush()
            elif not self._flush_planned:
                self._flush_planned = True
                self._loop.call_soon(self._flush)
        else:
            # Nobody waits: there is nothing to join, and a turn of the loop would be lost.
            self._transport.write(command)
            if self._watchdog is None:
                self._watchdog = self._loop.call_later(self._response_timeout, self._watch)
        self._owed.append((on_reply, self._loop.time()))

    def _flush(self) -> None:
        self._flush_planned = False
        if self._outgoing and self._transport is not None:
            data = self._outgoing[0] if len(self._outgoing) == 1 else b"".join(self._outgoing)
            self._outgoing.clear()
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Feed the parser and hand out what is complete."""
        reader = self._reader
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not False:
                self.on_answer(reply)
        except LinkLostError as error:
            self.abort(f"the answer is not Redis protocol: {error}")

    def on_answer(self, reply: Reply) -> None:
        """Hand one answer to whoever asked first."""
        if not self._owed:
            self.abort("an answer to no question")
            return
        on_reply, _ = self._owed.popleft()
        try:
            on_reply(reply)
        except Exception:  # a bug in a callback must not swallow the answers of everybody behind it
            log.exception("callback of an answer failed", extra={"event": "callback_failed"})

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell everybody who waits that no answer will come."""
        if exc is not None:
            self._why_lost = str(exc) or type(exc).__name__
        self._mark_lost()

    def _mark_lost(self) -> None:
        if self._lost:
            return
        self._lost = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        owed, self._owed = self._owed, deque()
        for on_reply, _ in owed:
            on_reply(LinkLostError(self._why_lost))
        self.on_lost()

    def on_lost(self) -> None:
        """Called once when the link is gone, after the callbacks. For subclasses."""

    def _watch(self) -> None:
        self._watchdog = None
        if not self._owed:
            return
        waited = self._loop.time() - self._owed[0][1]
        if waited >= self._response_timeout:
            self.abort(f"no answer for {waited:.1f} s")
        else:
            self._watchdog = self._loop.call_later(self._response_timeout - waited + 0.001, self._watch)

    def abort(self, why: str) -> None:
        """Drop the connection now; everybody who waits gets a `LinkLostError` with this reason."""
        self._why_lost = why
        if self._transport is not None:
            self._transport.abort()
        self._mark_lost()

    def close(self) -> None:
        """Let what was sent leave, then close. Answers still owed are lost."""
        self._flush()
        self._why_lost = "closed by us"
        if self._transport is not None:
            self._transport.close()
        self._mark_lost()


@contextmanager
def keeping_cancellations() -> Generator[None]:
    """Raise a cancellation that got lost in the block, once it is left.

    The client library sends with `asyncio.wait_for`, which up to Python 3.11 forgets a cancellation that
    comes together with the end of what it waits for. Whoever was cancelled would then go on, and whoever
    waits for its end, such as a server that leaves, would wait for ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


LinkT = TypeVar("LinkT", bound=Link)


async def dial(link: LinkT, options: ConnectionOptions, *, name: str) -> LinkT:
    """Connect `link` to its address: socket, TLS, password, database, client name.

    Raises:
        AuthenticationError: The password or the user is wrong. Trying again will not help.
        BrokerUnavailableError: Nobody there, or not ready. Trying again may help.
    """
    connection = _library_connection(link.address, options, name)
    try:
        with keeping_cancellations():
            async with asyncio.timeout(options.connect_timeout):
                await cast("Any", connection).connect()
    except asyncio.CancelledError:
        await connection.disconnect(nowait=True)
        raise
    except Exception as error:  # the library's, the socket's and OpenSSL's: the table knows them
        await connection.disconnect(nowait=True)
        raise from_dialling(error, where=str(link.address)) from error
    link.attach(*_take_transport(connection, where=str(link.address)))
    return link


def _take_transport(connection: AbstractConnection, *, where: str) -> tuple[asyncio.Transport, object]:
    # Private names of the library, bound to the version range in pyproject.toml and guarded by a
    # test. The stream pair must live on: a StreamWriter closes its transport when collected.
    writer, reader = connection._writer, connection._reader
    connection._writer = connection._reader = None
    if writer is None:
        raise BrokerUnavailableError(where, "connection closed during the handshake")
    return cast("asyncio.Transport", writer.transport), (writer, reader)


_HANDSHAKE_ONLY: Final[dict[str, Any]] = {"protocol": 2, "driver_info": None}


def _library_connection(address: Address, options: ConnectionOptions, name: str) -> AbstractConnection:
    common: dict[str, Any] = {
        **_HANDSHAKE_ONLY,
        "db": options.db,
        "username": options.username,
        "password": options.password,
        "client_name": name,
        "socket_timeout": options.connect_timeout,
        "socket_connect_timeout": options.connect_timeout,
    }
    if address.path:
        return UnixDomainSocketConnection(path=address.path, **common)
    common |= {"host": address.host, "port": address.port, "socket_keepalive": True}
    return SSLConnection(**common, **tls_settings(options)) if options.tls else Connection(**common)


def tls_settings(options: ConnectionOptions) -> dict[str, Any]:
    """The library's words for our TLS options."""
    tls = options.tls
    if tls is None:
        return {}
    return {
        "ssl_cert_reqs": "required" if tls.verify else "none",
        "ssl_check_hostname": tls.verify and tls.check_hostname,
        "ssl_ca_certs": tls.ca_file,
        "ssl_certfile": tls.cert_file,
        "ssl_keyfile": tls.key_file,
    }

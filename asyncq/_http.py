"""A door for those who only look: probes of an orchestrator, and scrapers of metrics.

A few pages by GET and HEAD, one answer a connection, in the event loop of what is looked at. That is
on purpose: a loop that is blocked gives no answer, and no answer is what a probe must get then.

It is not a web server. Whoever sends nothing, sends too much or does not read is cut off, so that nobody
can hold what the loop needs for its real work.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote

from asyncq._logs import SERVER_LOG, Log
from asyncq._service import Errands
from asyncq.errors import ConfigError

__all__ = ["HttpDoor", "Page", "PageMaker", "Request"]

LARGEST_HEAD: Final = 8192
"""Bytes of a request line and its headers together."""

HEAD_PATIENCE: Final = 5.0
PAGE_PATIENCE: Final = 10.0
WRITE_PATIENCE: Final = 10.0
LINGER: Final = 1.0
"""Seconds to read on after an answer, so that it is not lost in the reset of what was not read."""

MOST_CALLERS: Final = 64
"""Connections at a time. An orchestrator and a scraper or two need one each."""

MOST_REFUSED: Final = 64
"""Connections beyond these that are told that there are too many. What comes then is cut off without a word:
to tell it costs as much as to serve it."""

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    method: str  #: `GET` or `HEAD`
    path: str
    query: Mapping[str, str]  #: of several values of a name the last
    headers: Mapping[str, str]  #: by name in lower case

    def wants_json(self) -> bool:
        """Whether the answer should be for a program: `?format=json`, or so said by `Accept`."""
        return self.query.get("format") == "json" or JSON in self.headers.get("accept", "")


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    body: str | bytes
    status: int = 200
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


PageMaker = Callable[[Request], Awaitable[Page] | Page]
"""Makes the page of a path. It runs in the event loop, and has ten seconds."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


LISTEN: Final = "an address such as 127.0.0.1:8081, 0.0.0.0:8081 or [::1]:8081; port 0 takes a free one"


def read_listen(value: object) -> Listen | None:
    """Where to listen, of text such as `127.0.0.1:8081`; `None` when it does not say that."""
    if not isinstance(value, str):
        return None
    host, colon, port = value.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or ("[" in bare or "]" in bare) or (":" in bare and bare == host):
        return None
    if not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        return None
    return None if any(letter.isspace() or letter == "/" for letter in bare) else Listen(bare, int(port))


class RefusedRequest(Exception):  # noqa: N818 - it never leaves this file
    """A request that gets no page, and what it gets instead."""

    def __init__(self, status: HTTPStatus, why: str, **headers: str) -> None:
        super().__init__(why)
        self.page: Final = Page(f"{why}\n", status, headers=headers)


def parse(head: bytes) -> Request:
    """What a request asks for.

    Args:
        head: The request line and the headers, up to the blank line.

    Raises:
        RefusedRequest: It is no HTTP/1 request, or none by GET or HEAD.
    """
    line, *lines = head.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")
    parts = line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "this is no HTTP/1 request")
    method, target, _ = parts
    headers: dict[str, str] = {}
    for one in lines:
        name, colon, value = one.partition(":")
        if not colon or not name or name != name.strip():
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, "a header is not of the form `Name: value`")
        headers[name.lower()] = value.strip()
    if method not in ("GET", "HEAD"):
        raise RefusedRequest(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", Allow="GET, HEAD")
    if not target.startswith("/"):
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "the target must be a path")
    path, _, query = target.partition("#")[0].partition("?")
    return Request(method, unquote(path), dict(parse_qsl(query, keep_blank_values=True)), headers)


def render(page: Page, *, has_body: bool) -> bytes:
    """An answer as it goes over the wire."""
    body = page.body.encode() if isinstance(page.body, str) else page.body
    headers = {
        "Content-Type": page.content_type,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
        **page.headers,
    }
    lines = [f"HTTP/1.1 {int(page.status)} {HTTPStatus(page.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body if has_body else b"")


async def stop_accepting(server: asyncio.Server) -> None:
    """Close a listener, once whoever is accepted by now has a connection.

    `Server.close` alone may leave a socket behind that nobody closes: of whom it has accepted, asyncio makes
    a connection in the next turn of the loop, and fails to, without a word, if the server is closed by then.
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    try:
        await asyncio.sleep(0)
    finally:
        server.close()


class HttpDoor:
    """Answers GET and HEAD for a few paths.

    Args:
        listen: Where to listen.
        pages: What makes the page of each path. Looked into at each request, so it may still grow.
        log: Where to say that making a page failed.
        option: Which option the address came from, for the error text.
    """

    def __init__(
        self,
        listen: Listen,
        pages: Mapping[str, PageMaker],
        *,
        log: Log = SERVER_LOG,
        option: str = "probes",
    ) -> None:
        self._listen: Final = listen
        self._pages: Final = pages
        self._log: Final = log
        self._option: Final = option
        self._callers: Final = Errands()
        self._inside: Final[dict[asyncio.Task[None], asyncio.StreamWriter]] = {}
        self._silent: Final[dict[asyncio.StreamWriter, asyncio.Task[None]]] = {}
        """Who has not said what it wants, the oldest first."""
        self._is_open = False
        self._port: int | None = None

    @property
    def url(self) -> str | None:
        """Where it listens, with the port that it got; `None` while it does not."""
        return None if self._port is None else f"http://{Listen(self._listen.host, self._port)}"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[HttpDoor]:
        """Answer for the length of a block.

        Raises:
            ConfigError: It cannot listen there; says why.
        """
        self._is_open = True
        try:
            server = await asyncio.start_server(
                self._called, self._listen.host, self._listen.port, limit=LARGEST_HEAD
            )
        except OSError as error:
            expected = f"an address that can be listened on: {error.strerror or error}"
            raise ConfigError(self._option, str(self._listen), expected) from error
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._port = None
            self._is_open = False
            await stop_accepting(server)
            await self._callers.cancel()
            await server.wait_closed()

    def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_open:  # accepted in the moment of closing
            writer.transport.abort()
            return
        # Who only holds a connection must not cost a probe its answer: an orchestrator would restart us.
        has_room = len(self._inside) < MOST_CALLERS or self._send_oldest_away()
        if not has_room and len(self._inside) >= MOST_CALLERS + MOST_REFUSED:
            writer.transport.abort()
            return
        task = self._callers.start(self._serve(reader, writer, has_room=has_room), name="http")
        self._inside[task] = writer
        if has_room:
            self._silent[writer] = task
        task.add_done_callback(self._gone)

    def _send_oldest_away(self) -> bool:
        """End the oldest of those who have not said what they want; `False` when there is none."""
        oldest = next(iter(self._silent), None)
        if oldest is None:
            return False
        self._silent.pop(oldest).cancel()
        return True

    def _gone(self, task: asyncio.Task[None]) -> None:
        # Also of a task that was cancelled before it began, and so could not do it itself.
        writer = self._inside.pop(task)
        self._silent.pop(writer, None)
        writer.transport.abort()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, has_room: bool
    ) -> None:
        # However it ends, `_gone` aborts the connection, so nothing waits for one who does not read.
        with suppress(OSError, TimeoutError):
            await self._answer(reader, writer, has_room=has_room)
            writer.close()
            async with asyncio.timeout(LINGER):
                await writer.wait_closed()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, has_room: bool
    ) -> None:
        has_body = True
        try:
            try:
                head = await self._head(reader, has_room=has_room)
            finally:
                self._silent.pop(writer, None)
            request = parse(head)
            has_body = request.method == "GET"
            page = await self._page(request)
        except RefusedRequest as refusal:
            page = refusal.page
        writer.transport.set_write_buffer_limits(high=0)  # `drain` is to wait until all has gone
        async with asyncio.timeout(WRITE_PATIENCE):
            writer.write(render(page, has_body=has_body))
            writer.write_eof()
            await writer.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while await reader.read(LARGEST_HEAD):
                    pass

    async def _head(self, reader: asyncio.StreamReader, *, has_room: bool) -> bytes:
        if not has_room:
            raise RefusedRequest(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
        try:
            async with asyncio.timeout(HEAD_PATIENCE):
                return await reader.readuntil(b"\r\n\r\n")
        except TimeoutError:
            raise RefusedRequest(HTTPStatus.REQUEST_TIMEOUT, "the request did not come in time") from None
        except asyncio.LimitOverrunError:
            why = f"more than {LARGEST_HEAD} bytes of headers"
            raise RefusedRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, why) from None
        except asyncio.IncompleteReadError:
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, "the request has no end") from None

    async def _page(self, request: Request) -> Page:
        maker = self._pages.get(request.path)
        if maker is None:
            known = ", ".join(sorted(self._pages))
            raise RefusedRequest(HTTPStatus.NOT_FOUND, f"there is no such page; there are {known}")
        limit = asyncio.timeout(PAGE_PATIENCE)
        try:
            async with limit:
                made = maker(request)
                return await made if inspect.isawaitable(made) else made
        except Exception:  # noqa: BLE001 - a page, perhaps a user's: logged, the others go on
            if limit.expired():
                raise RefusedRequest(HTTPStatus.GATEWAY_TIMEOUT, "making the page took too long") from None
            self._log.exception(
                "the page %s failed", request.path, extra={"event": "page_failed", "path": request.path}
            )
            raise RefusedRequest(HTTPStatus.INTERNAL_SERVER_ERROR, "making the page failed") from None

"""One connection for several doors: a client, a server and a scheduler of one program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from asyncq._redis.router import Router
from asyncq._wire.keys import ASYNQ_PREFIX, NATIVE_PREFIX
from asyncq._wire.wire import ASYNQ, DIALECTS, NATIVE, AsynqWire, NativeWire, Wire
from asyncq.connection import ConnectionOptions
from asyncq.errors import ClosedError, ConfigError

__all__ = ["Connection"]

DEFAULT_WIRE = NATIVE
"""What doors speak that are not told; tests set it."""


class Connection:
    """The way to one Redis, to be handed to several doors.

        async with Connection("redis://localhost:6379/0") as connection:
            client = Client(connection)
            server = Server(connection, concurrency=20)

    Doors that were given a URL make one of their own and close it with themselves; this one is
    closed by whoever made it, after the doors. Nothing is connected before the first use.

    Args:
        url: Where Redis is: a URL or `ConnectionOptions`.
        prefix: What every key begins with; `asyncq:` when not given. Programs with different prefixes
            do not see each other.
        wire: How tasks look in Redis. `native`, the default, is our own; with `asynq` clients, servers and
            tools of Go's asynq work on the same data.
    """

    def __init__(
        self, url: str | ConnectionOptions, *, prefix: str | None = None, wire: str | None = None
    ) -> None:
        self.options = read_options(url)
        self.wire: Wire = _wire(DEFAULT_WIRE if wire is None else wire, prefix)
        self._router: Router | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self._followers: list[Callable[[], None]] = []

    def router(self) -> Router:
        """The way through Redis in the running event loop.

        Raises:
            ClosedError: It was closed.
            ConfigError: It is used in another event loop already.
        """
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise ClosedError("the connection")
        if self._router is None:
            router = Router(self.options, name="asyncq:shared", dialect=self.wire.name)
            self._router, self._loop = router, loop
            self._followers.clear()
        elif self._loop is not loop:
            raise ConfigError(
                "connection", self, "the event loop it was first used in; make one for each loop"
            )
        return self._router

    def redirect(self, url: str | ConnectionOptions | None = None, *, prefix: str | None = None) -> None:
        """Lead elsewhere, with all the doors that were made on it. Before its first use only.

        `asyncq run --url` does this to what a module has made. The wire stays: by it doors have chosen
        how they encode payloads.

        Raises:
            ClosedError: It was closed.
            ConfigError: It has been used, or the URL or the prefix is wrong.
        """
        if self._is_closed:
            raise ClosedError("the connection")
        if self._router is not None:
            raise ConfigError("connection", self, "one that was not used yet")
        options = self.options if url is None else read_options(url)
        if prefix is not None:
            self.wire = _wire(self.wire.name, prefix)
        self.options = options
        for follow in self._followers:
            follow()

    def _tell_when_redirected(self, follow: Callable[[], None]) -> None:
        if self._router is None:  # afterwards it stays where it is, and nobody need be remembered
            self._followers.append(follow)

    async def aclose(self) -> None:
        """Close it. May be called twice."""
        self._is_closed = True
        if self._router is not None:
            router, self._router = self._router, None
            await router.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Connection {self.options.describe()}>"


def read_connection(
    url: str | ConnectionOptions | Connection, prefix: str | None, wire: str | None
) -> tuple[Connection, bool]:
    """What a door was given, as a connection, and whether it belongs to the door.

    Raises:
        ConfigError: It is none, or a prefix or wire was given beside a connection that has its own.
    """
    if isinstance(url, Connection):
        if prefix is not None and prefix != url.wire.keys.prefix:
            raise ConfigError("prefix", prefix, "no prefix beside a connection, which has its own")
        if wire is not None and wire != url.wire.name:
            raise ConfigError("wire", wire, "no wire beside a connection, which has its own")
        return url, False
    return Connection(url, prefix=prefix, wire=wire), True


def read_options(url: object) -> ConnectionOptions:
    """A URL or options, as options."""
    if isinstance(url, ConnectionOptions):
        return url
    if isinstance(url, str):
        return ConnectionOptions.from_url(url)
    raise ConfigError("url", url, "a URL such as redis://localhost:6379/0, ConnectionOptions or a Connection")


def _wire(name: object, prefix: object) -> Wire:
    if name == ASYNQ:
        if prefix not in (None, ASYNQ_PREFIX):
            raise ConfigError("prefix", prefix, f"{ASYNQ_PREFIX} in the asynq wire: Go's asynq has no other")
        return AsynqWire()
    if name != NATIVE:
        raise ConfigError("wire", name, f"one of {', '.join(DIALECTS)}")
    return NativeWire(NATIVE_PREFIX if prefix is None else _checked_prefix(prefix))


def _checked_prefix(prefix: object) -> str:
    if not isinstance(prefix, str) or not prefix.endswith(":") or "{" in prefix or "}" in prefix:
        raise ConfigError("prefix", prefix, "text without braces that ends with a colon")
    return prefix

"""Small servers that do one thing, for tests of who calls them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from asyncq._http import stop_accepting
from asyncq._service import Errands

__all__ = ["door"]

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def door(serve: Serve, *, tls: ssl.SSLContext | None = None) -> AsyncGenerator[str]:
    """Listen on a port of its own, and yield its host and port.

    Args:
        serve: Called for each connection, which is closed when it returns or the other side leaves.
        tls: Speaks TLS, with this context.
    """
    callers, transports = Errands(), list[asyncio.WriteTransport]()

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError):
            await serve(reader, writer)
        writer.close()

    def entered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transports.append(writer.transport)
        if server.is_serving():
            callers.start(called(reader, writer), name="caller")
        else:  # accepted in the moment of closing
            writer.transport.abort()

    server = await asyncio.start_server(entered, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        await stop_accepting(server)
        await callers.cancel()
        for transport in transports:
            transport.abort()

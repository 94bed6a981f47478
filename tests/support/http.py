"""Asks for a page by HTTP, with nothing between the test and the socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["Answer", "ask", "raw"]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str


async def ask(url: str | None, path: str, *, method: str = "GET", accept: str = "*/*") -> Answer:
    """Ask for a page."""
    head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\n\r\n"
    return await raw(url, head.encode())


async def raw(url: str | None, request: bytes) -> Answer:
    """Send bytes, and return the answer when the other side has closed."""
    assert url is not None, "the door is not open"
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(request)
        async with asyncio.timeout(20):
            answer = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.decode().partition("\r\n\r\n")
    line, *lines = head.split("\r\n")
    headers = dict(one.split(": ", 1) for one in lines)
    return Answer(int(line.split(" ")[1]), headers, body)

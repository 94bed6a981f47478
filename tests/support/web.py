"""The web UI under test: asked in memory, or over a real socket where streaming counts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import uvicorn

from asyncq._http import stop_accepting
from asyncq.web import WebApp

from .waiting import wait_until

__all__ = ["SAME_ORIGIN", "Made", "serving", "visitor"]

Made = Callable[..., WebApp]
"""The fixture `web`: makes an app as `asyncq.web.app` does, and closes it when the test ends."""

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says of a form of ours."""


@asynccontextmanager
async def visitor(
    app: Any,
    *,
    headers: Mapping[str, str] | None = None,
    base: str = "http://localhost",
    address: str = "127.0.0.1",
    sees_bugs: bool = False,
) -> AsyncGenerator[httpx2.AsyncClient]:
    """A browser of this machine, without a network between. Follows no redirects, and keeps cookies.

    What a handler does not catch is raised here, unless the visitor is to see the page that is made of it.
    """
    transport = httpx2.ASGITransport(app=app, client=(address, 50000), raise_app_exceptions=not sees_bugs)
    given = {**SAME_ORIGIN, **(headers or {})}
    async with httpx2.AsyncClient(transport=transport, base_url=base, headers=given) as client:
        yield client


@asynccontextmanager
async def serving(app: Any) -> AsyncGenerator[str]:
    """Serve an app on a port of its own, and yield its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        # The signals belong to the tests.
        task = asyncio.create_task(server._serve([listener]))  # noqa: SLF001 - `serve` would take them
        try:
            await wait_until(lambda: server.started or task.done(), "the web server to listen")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for door in getattr(server, "servers", ()):  # there are none where it did not start
                await stop_accepting(door)
            server.should_exit = True
            await task

"""Serves an ASGI application over HTTP, for `asyncq web` and `asyncq dev`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from asyncq._service import Errands
from asyncq._signals import handled
from asyncq.cli.connecting import FINDINGS, USAGE
from asyncq.cli.loading import LoadingError

LAST_PATIENCE: Final = 3
"""Whole seconds for what is being sent at the end; streams of events have no end of their own."""

_STEP: Final = 0.005


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any that is free.

    Raises:
        LoadingError: The address is taken, or none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        code = USAGE if isinstance(error, socket.gaierror) else FINDINGS
        raise LoadingError(f"cannot listen at {host}:{port}: {error.strerror or error}", code=code) from error
    return listener


def url_of(listener: socket.socket, root_path: str = "") -> str:
    """Where a browser finds what is served there."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - shown, not bound
    return f"http://{shown}:{port}{root_path}/"


@asynccontextmanager
async def serving(app: Any, listener: socket.socket, *, proxies: Sequence[str] = ()) -> AsyncGenerator[None]:
    """Serve an application for the length of a block.

    Args:
        app: The application.
        listener: Where it is served.
        proxies: Addresses and networks of proxies that are believed who asks, and by which scheme.

    Raises:
        LoadingError: It does not start.
    """
    server, errands = _server(app, proxies), Errands()
    life = errands.start(server.serve(sockets=[listener]), name="web")
    try:
        while not (server.started or life.done()):  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(_STEP)
        if life.done():
            life.result()
            raise LoadingError("the web application does not start", code=FINDINGS)
        yield
    finally:
        server.should_exit = True
        await errands.finish()
        listener.close()


async def serve_until_told(
    app: Any, listener: socket.socket, on_started: Callable[[], None], *, proxies: Sequence[str] = ()
) -> None:
    """Serve until SIGTERM or SIGINT; says when it has begun."""
    told = asyncio.Event()
    with handled({signal.SIGTERM: told.set, signal.SIGINT: told.set}):
        async with serving(app, listener, proxies=proxies):
            on_started()
            await told.wait()


def _server(app: Any, proxies: Sequence[str]) -> Any:
    try:
        import uvicorn  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise LoadingError('the web UI needs uvicorn: pip install "asyncq[web]"') from error

    class Quiet(uvicorn.Server):
        """Leaves the signals to us: it would send itself each one again when it has left."""

        @contextmanager
        def capture_signals(self) -> Generator[None]:
            with contextlib.nullcontext():
                yield

    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="on",
        server_header=False,
        # What stands in these headers is up to whoever asks, unless a proxy of ours put it there.
        proxy_headers=bool(proxies),
        forwarded_allow_ips=",".join(proxies),
        timeout_graceful_shutdown=LAST_PATIENCE,
    )
    return Quiet(config)

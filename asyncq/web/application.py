"""The app: its options, its routes, and the way of a request through it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp

from asyncq.connection import ConnectionOptions
from asyncq.errors import AsyncqError, ConfigError
from asyncq.inspector import Inspector, Redactor
from asyncq.shared import Connection
from asyncq.web import (
    api,
    audit,
    bulk,
    enqueuing,
    failures,
    groups,
    login,
    overview,
    queue_page,
    queues,
    redis,
    schedules,
    servers,
    settings,
    task,
    tasks,
)
from asyncq.web.auth import Auth, NoAuth, Tokens
from asyncq.web.guard import Guard, Headers
from asyncq.web.origins import ANY_ADDRESS, LOOPBACK_NAMES
from asyncq.web.site import Site
from asyncq.web.trouble import on_error

SCREENS: Final = (
    login,
    settings,
    overview,
    queues,
    queue_page,
    tasks,
    task,
    enqueuing,
    failures,
    bulk,
    schedules,
    groups,
    servers,
    redis,
    audit,
    api,
)
"""Modules with `routes`, in the order in which a path is compared with them."""


PATIENCE: Final = 3.0
"""Seconds for which a page waits for Redis to be back, before it says that it is away."""


class WebApp(Starlette):
    """The app, as `app` makes it. Served by itself it closes what it opened; mounted, `aclose` does."""

    def __init__(self, site: Site) -> None:
        self.site: Final = site
        routes = [Route("/static/{path:path}", site.statics.__call__, name="static")]
        super().__init__(
            routes=[*routes, *(route for screen in SCREENS for route in screen.routes)],
            middleware=[Middleware(Guard, site=site)],
            exception_handlers={AsyncqError: on_error, HTTPException: on_error, Exception: on_error},
            lifespan=_lifespan,
        )

    def build_middleware_stack(self) -> ASGIApp:
        """Put the headers around everything, also around what answers to bugs."""
        return Headers(super().build_middleware_stack())

    async def aclose(self) -> None:
        """End bulk work, and close the inspector if this app made it. May be called twice."""
        await self.site.jobs.aclose()
        await self.site.samples.aclose()
        if self.site.owns_inspector:
            await self.site.inspector.aclose()


@asynccontextmanager
async def _lifespan(app: WebApp) -> AsyncGenerator[None]:
    yield
    await app.aclose()


def app(  # noqa: PLR0913 - each is one thing to say about a site, all by name
    inspector: Inspector | str | ConnectionOptions | Connection,
    *,
    auth: Auth,
    read_only: bool = False,
    title: str = "asyncq",
    environment: str = "",
    allowed_hosts: Sequence[str] | None = None,
    base_path: str | None = None,
    prefix: str | None = None,
    wire: str | None = None,
    redact: Redactor | None = None,
) -> WebApp:
    """Make the web UI, to be mounted at any path or served by itself.

        operations = asyncq.web.app("redis://localhost:6379/0", auth=NoAuth())

    Args:
        inspector: Where to look: a URL, options, a connection to share, or an `Inspector` of yours, with its
            codecs, its redaction and the most that anybody may do here. Yours is not closed.
        auth: Who is let in: `Tokens(...)`, `NoAuth()` for this machine alone, or a function of yours that
            tells from a request who is there (a `Principal`, or `None` for a stranger); it may be `async`.
        read_only: Nobody may change anything, whoever it is.
        title: What it is called, on every page.
        environment: Shown beside it, such as `production` (red) or `staging`.
        allowed_hosts: Names that it is called by; `*.example.com` stands for all below, `*` for any. When not
            given: with `NoAuth()` the names of this machine, off loopback also every IP address; else any.
        base_path: What its links begin with, where a proxy does not say (`root_path`) or says it wrong.
        prefix: What every key begins with, if not `asyncq:`.
        wire: How tasks look in Redis, if not `native`.
        redact: What stands between payloads, headers, results and error texts and everybody who looks here;
            for some of them only, give it to their `Principal`.

    Raises:
        ConfigError: An option is wrong.
    """
    if not isinstance(auth, NoAuth | Tokens) and not callable(auth):
        raise ConfigError("auth", auth, "Tokens(...), NoAuth() or a function of a request")
    if isinstance(auth, type):
        raise ConfigError("auth", auth, f"an instance: {auth.__name__}(...)")
    if base_path is not None and base_path.rstrip("/") and not base_path.startswith("/"):
        raise ConfigError("base_path", base_path, "a path that begins with a slash")
    if isinstance(allowed_hosts, str) or (allowed_hosts is not None and not allowed_hosts):
        raise ConfigError("allowed_hosts", allowed_hosts, "a list of names")
    owns_inspector = not isinstance(inspector, Inspector)
    if isinstance(inspector, Inspector):
        for name, value in (("prefix", prefix), ("wire", wire), ("redact", redact)):
            if value is not None:
                raise ConfigError(name, value, "none beside an inspector, which has its own")
    else:
        inspector = Inspector(
            inspector, prefix=prefix, wire=wire, via="web", redact=redact, patience=PATIENCE
        )
    if allowed_hosts is None:
        allowed_hosts = ("*",)
        if isinstance(auth, NoAuth):
            # Nobody has to log in: a name that is pointed here would be let in with the browser behind it.
            allowed_hosts = (*LOOPBACK_NAMES, ANY_ADDRESS) if auth.even_off_loopback else LOOPBACK_NAMES
    return WebApp(
        Site(
            inspector=inspector,
            owns_inspector=owns_inspector,
            auth=auth,
            read_only=read_only,
            hosts=tuple(allowed_hosts),
            title=title,
            environment=environment,
            base_path=base_path,
        )
    )

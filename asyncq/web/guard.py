"""What every request passes before a handler sees it.

1. Headers: a content security policy that allows nothing but our own files, and the rest of that kind.
2. Host: a name that this site is called by, or 421 (DNS rebinding).
3. Size: bodies are small.
4. Origin: a change comes from a page of this site, or from a program that shows a token (CSRF).
5. Who: the cookie of a login, a token, or the application's own hook. Strangers get the login page.

What somebody may do is not decided here: the inspector, which acts as whoever it is, checks each step.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asyncq.errors import AsyncqError
from asyncq.inspector import Rights
from asyncq.web.auth import NoAuth, Principal, Tokens
from asyncq.web.origins import SAFE_METHODS, is_host_allowed, is_same_origin
from asyncq.web.site import Site, address_of, base_of, path_to, route_path, with_query
from asyncq.web.trouble import API, answer, is_for_programs, is_of_page, trouble_of

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: browsers then say of our own forms that they come from nowhere (`Origin: null`).
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

LARGEST_BODY: Final = 1024 * 1024
"""Bytes of a form or a JSON document: payloads that are edited by hand are smaller."""

FORWARDED: Final = ("x-forwarded-for", "forwarded", "via")
"""What proxies say of themselves: behind one of this machine, everybody seems to come from here."""

OPEN: Final = ("/static/", "/login")
"""What strangers may see."""


class Headers:
    """Puts the headers on every answer, also on those to errors nobody expected."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Guard:
    """Lets through what may pass, with the inspector that acts as whoever it is."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or answer it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        # A site that is mounted shares this with the application around it.
        scope["state"] = dict(scope.get("state") or {})
        try:
            refused = await self._admit(request)
        except (HTTPException, AsyncqError) as error:
            refused = answer(request, trouble_of(error))
        if refused is None:
            await self._app(scope, _bounded(receive), send)
        else:
            await refused(scope, receive, send)

    async def _admit(self, request: Request) -> Response | None:
        """Who it is, in the state of the request; or the answer to somebody who may not pass."""
        site = self._site
        host = request.headers.get("host", "")
        if not is_host_allowed(host, site.hosts):
            raise HTTPException(
                421, f"It does not answer to {host!r}: name it in allowed_hosts of asyncq.web.app."
            )
        _refuse_large(request.headers.get("content-length", "0"))
        token = _bearer(request.headers.get("authorization", ""))
        is_program = bool(token) and "cookie" not in request.headers
        if request.method not in SAFE_METHODS and not is_program:
            _refuse_foreign(request, host)
        inside = route_path(request.scope)
        principal = await self._who(request, token)
        if principal is None:
            return None if inside.startswith(OPEN) else self._stranger(request)
        rights = principal.rights & Rights.viewer() if site.read_only else principal.rights
        request.state.principal = replace(principal, rights=rights)
        request.state.inspector = site.inspector.acting_as(
            principal.name,
            rights=rights,
            via="api" if inside.startswith(API) else "web",
            redact=principal.redact,
        )
        return None

    async def _who(self, request: Request, token: str) -> Principal | None:
        auth = self._site.auth
        if isinstance(auth, NoAuth):
            principal = auth.principal(address_of(request))
            if principal is None:
                raise HTTPException(403, "Without a login it serves this machine only.")
            if not auth.even_off_loopback and any(name in request.headers for name in FORWARDED):
                raise HTTPException(
                    403,
                    "Without a login it serves this machine only, and this came through a proxy. "
                    "Give the UI tokens, or a function that tells who is there.",
                )
            return principal
        if isinstance(auth, Tokens):
            return self._of_token(request, auth, token) if token else auth.of_session(_cookie(request, auth))
        found = auth(request)
        return await found if inspect.isawaitable(found) else found

    def _of_token(self, request: Request, auth: Tokens, token: str) -> Principal | None:
        # First the token: nobody is locked out by what others try from behind the same proxy.
        principal = auth.principal(token)
        if principal is None:
            throttle, address = self._site.throttle, str(address_of(request))
            if wait := throttle.wait("bearer", address):
                raise HTTPException(429, "Too many wrong tokens.", {"Retry-After": str(math.ceil(wait))})
            throttle.failed("bearer", address)
        return principal

    def _stranger(self, request: Request) -> Response:
        """The way to the login, for whoever can go there."""
        has_form = isinstance(self._site.auth, Tokens)
        if is_for_programs(request) or not has_form:
            advice = (
                "Send a token as 'Authorization: Bearer …'." if has_form else "Log in to the application."
            )
            raise HTTPException(401, advice, {"WWW-Authenticate": "Bearer"} if has_form else None)
        login = path_to(request, "login")
        if is_of_page(request):
            return Response("", 401, {"HX-Redirect": login}, "text/plain")
        if request.method in SAFE_METHODS:
            query = f"?{request.url.query}" if request.url.query else ""
            inside = f"{base_of(request)}{route_path(request.scope)}{query}"
            return RedirectResponse(with_query(login, next=inside), 303)
        raise HTTPException(401, "Your login has ended.")


def _cookie(request: Request, auth: Tokens) -> str:
    return request.cookies.get(auth.cookie, "")


def _bearer(header: str) -> str:
    kind, _, token = header.partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _refuse_foreign(request: Request, host: str) -> None:
    headers = request.headers
    if not is_same_origin(fetch_site=headers.get("sec-fetch-site"), origin=headers.get("origin"), host=host):
        raise HTTPException(
            403,
            "A change must come from a page of this site, or from a program with a token and no cookie.",
        )


def _refuse_large(length: str) -> None:
    if not length.isascii() or not length.isdigit() or len(length) > 12 or int(length) > LARGEST_BODY:
        raise HTTPException(413, f"A body has {LARGEST_BODY:,} bytes at most.")


def _bounded(receive: Receive) -> Receive:
    """Bodies that do not say how long they are end there, too."""
    seen = 0

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        _refuse_large(str(seen))
        return message

    return bounded

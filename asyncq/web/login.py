"""The login form, for sites with tokens."""

from __future__ import annotations

import math

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from asyncq.web.auth import SESSION_SECONDS, Tokens
from asyncq.web.forms import form_of, text_of
from asyncq.web.origins import safe_path
from asyncq.web.pages import is_secure, page, turn_to
from asyncq.web.site import address_of, base_of, path_to, principal_of, site_of


def _tokens(request: Request) -> Tokens:
    auth = site_of(request).auth
    if not isinstance(auth, Tokens):
        raise HTTPException(404, "Nobody logs in here.")
    return auth


async def _form(request: Request) -> Response:
    _tokens(request)
    following = safe_path(request.query_params.get("next", ""), base_of(request))
    if principal_of(request) is not None:
        return RedirectResponse(following, 303)
    return page(request, "login.html", title="Log in", following=following, problem="")


async def _login(request: Request) -> Response:
    auth, throttle = _tokens(request), site_of(request).throttle
    address = str(address_of(request))
    if wait := throttle.wait("form", address):
        raise HTTPException(
            429, "Too many wrong tokens. Wait a minute.", {"Retry-After": str(math.ceil(wait))}
        )
    form = await form_of(request)
    token, following = text_of(form, "token"), safe_path(text_of(form, "next"), base_of(request))
    if auth.principal(token) is None:
        throttle.failed("form", address)
        problem = "That is none of the tokens."
        return page(request, "login.html", status=403, title="Log in", following=following, problem=problem)
    response = RedirectResponse(following, 303)
    response.set_cookie(
        auth.cookie,
        auth.session(token),
        max_age=SESSION_SECONDS,
        path=f"{base_of(request)}/",
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )
    return response


async def _logout(request: Request) -> Response:
    response = turn_to(request, path_to(request, "login"), "You are logged out.")
    response.delete_cookie(
        _tokens(request).cookie, path=f"{base_of(request)}/", httponly=True, samesite="strict"
    )
    return response


routes = [
    Route("/login", _form, methods=["GET"], name="login"),
    Route("/login", _login, methods=["POST"]),
    Route("/logout", _logout, methods=["POST"], name="logout"),
]

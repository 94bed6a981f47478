"""The screen for the settings of one browser."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq.web.forms import form_of, text_of
from asyncq.web.pages import is_secure, page, preferences_of, turn_to
from asyncq.web.preferences import COOKIE, REFRESHES, THEMES, Preferences
from asyncq.web.site import base_of, path_to

_YEAR = 365 * 86400


async def _show(request: Request) -> Response:
    return page(
        request,
        "settings.html",
        title="Settings",
        themes=THEMES,
        refreshes=REFRESHES,
        zone=preferences_of(request).zone,
    )


async def _keep(request: Request) -> Response:
    form = await form_of(request)
    given = {name: text_of(form, name) for name in ("theme", "refresh", "zone", "keys") if name in form}
    kept = Preferences.read(given)
    response = turn_to(request, path_to(request, "settings"), "Settings are kept in this browser.")
    response.set_cookie(
        COOKIE,
        kept.encode(),
        max_age=_YEAR,
        path=f"{base_of(request)}/",
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )
    return response


routes = [
    Route("/settings", _show, methods=["GET"], name="settings"),
    Route("/settings", _keep, methods=["POST"]),
]

"""Pages and parts of pages, from templates."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from asyncq.inspector import Rights
from asyncq.web import formats
from asyncq.web.origins import safe_path
from asyncq.web.preferences import COOKIE as PREFERENCES
from asyncq.web.preferences import Preferences
from asyncq.web.site import base_of, here, path_to, principal_of, site_of, with_query

FLASH: Final = "asyncq_flash"
_LONGEST_FLASH: Final = 600

NAVIGATION: Final = (
    ("overview", "Overview", "o"),
    ("queues", "Queues", "q"),
    ("tasks", "Tasks", "t"),
    ("failures", "Failures", "f"),
    ("schedules", "Schedules", "s"),
    ("groups", "Groups", "g"),
    ("servers", "Servers", "w"),
    ("jobs", "Bulk jobs", "b"),
    ("redis", "Redis", "r"),
    ("audit", "Audit", "a"),
)
"""Route, label, and the key that leads there after `g`. Shown are those that there are routes of."""


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation."""

    name: str
    label: str
    key: str
    path: str


def preferences_of(request: Request) -> Preferences:
    """The settings of the browser that sent a request."""
    return Preferences.decode(request.cookies.get(PREFERENCES))


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A whole page.

    Args:
        request: What it answers.
        template: A file of the folder `templates` that extends `_layout.html`. It is handed `title` and
            `nav` (the route of its entry in the navigation), and finds `path`, `here`, `may`, `sees` and the
            settings.
        status: The status code.
        context: What else it shows.
    """
    flash = _read_flash(request.cookies.get(FLASH))
    html = part(request, template, flash=flash, **context)
    response = HTMLResponse(html, status)
    if FLASH in request.cookies:
        response.delete_cookie(FLASH, path=f"{base_of(request)}/", httponly=True, samesite="strict")
    return response


def part(request: Request, template: str, **context: Any) -> str:
    """A part of a page, or a page, as text."""
    site, principal = site_of(request), principal_of(request)
    rights = Rights.of() if principal is None else principal.rights

    def path(name: str, /, **params: Any) -> str:
        return path_to(request, name, **params)

    def same(**changed: object) -> str:
        return here(request, **changed)

    def static(name: str) -> str:
        return path_to(request, "static", path=site.statics.path(name))

    def has(name: str) -> bool:
        return _has(request, name)

    return (
        _environment()
        .get_template(template)
        .render(
            {
                "nav": "",
                "flash": None,
                **context,
                "site": site,
                "principal": principal,
                "preferences": preferences_of(request),
                "path": path,
                "here": same,
                "static": static,
                "may": rights.may,
                "sees": rights.sees,
                "navigation": _navigation(request) if principal else (),
                "has": has,
                "percent": formats.percent,
            }
        )
    )


def turn_to(request: Request, path: str, message: str = "", *, kind: str = "done") -> Response:
    """Go on to another page after a form, and say there what was done.

    Args:
        request: The form.
        path: Where to go on; a path of this site.
        message: What is said.
        kind: `done`, or `problem` for what went wrong.
    """
    base = base_of(request)
    response = RedirectResponse(safe_path(path, base), 303)
    if message:
        text = base64.urlsafe_b64encode(f"{kind}:{message[:_LONGEST_FLASH]}".encode()).decode()
        response.set_cookie(
            FLASH,
            text,
            max_age=60,
            path=f"{base}/",
            httponly=True,
            samesite="strict",
            secure=is_secure(request),
        )
    return response


def is_secure(request: Request) -> bool:
    """Whether cookies can be kept from plain connections.

    Behind a proxy that ends TLS only the origin of the form tells; the guard has checked that it is ours.
    """
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")


def _read_flash(cookie: str | None) -> tuple[str, str] | None:
    """Kind and text of the message that a form left."""
    if not cookie:
        return None
    try:
        kind, _, text = base64.urlsafe_b64decode(cookie).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return ("problem" if kind == "problem" else "done", text) if text else None


def _navigation(request: Request) -> list[Place]:
    return [
        Place(name, label, key, path_to(request, name))
        for name, label, key in NAVIGATION
        if _has(request, name)
    ]


def _has(request: Request, name: str) -> bool:
    """Whether there is a screen of this name."""
    return any(getattr(route, "name", "") == name for route in request.app.routes)


@pass_context
def _moment(context: Context, instant: datetime | None) -> Markup:
    """A time: how long ago, and when, for whoever points at it or listens."""
    if instant is None:
        return Markup.escape(formats.NOTHING)
    preferences: Preferences = context["preferences"]
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        instant.isoformat(), formats.clock(instant, preferences.tz), formats.ago(instant)
    )


@pass_context
def _clock(context: Context, instant: datetime | None) -> Markup:
    """A time: when, and how long ago for whoever points at it."""
    if instant is None:
        return Markup.escape(formats.NOTHING)
    preferences: Preferences = context["preferences"]
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        instant.isoformat(), formats.ago(instant), formats.clock(instant, preferences.tz)
    )


@pass_context
def _hour(context: Context, seconds: float) -> str:
    """The time of a point of a chart."""
    preferences: Preferences = context["preferences"]
    return datetime.fromtimestamp(seconds, preferences.tz).strftime("%d %b %H:%M")


_FILTERS: Final[Mapping[str, Any]] = {
    "duration": formats.duration,
    "number": formats.number,
    "rate": formats.rate,
    "bytes": formats.size,
    "moment": _moment,
    "clock": _clock,
    "query": with_query,
    "hour": _hour,
    "figure": formats.figure,
}

_made: list[Environment] = []


def _environment() -> Environment:
    """The templates; made at the first use, and compiled templates are shared by all sites of a process."""
    if not _made:
        made = Environment(
            loader=PackageLoader("asyncq.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        made.filters.update(_FILTERS)
        _made.append(made)
    return _made[0]

"""What goes wrong, said to whoever asked: a page, a line for a page that is open, or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asyncq.errors import (
    AsyncqError,
    BrokerError,
    BrokerUnavailableError,
    ConfigError,
    EnqueueRefusedError,
    NotAllowedError,
    NotFoundError,
    WireError,
    WrongStateError,
)
from asyncq.web.pages import page, part
from asyncq.web.site import route_path

API: Final = "/api/"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that went wrong, in the words of a visitor."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def title(self) -> str:
        """What kind of thing it is."""
        return _TITLES.get(self.status) or HTTPStatus(self.status).phrase


_TITLES = {
    400: "That cannot be understood",
    401: "Please log in",
    403: "That is not allowed",
    404: "That is not there",
    405: "That cannot be done here",
    409: "That does not fit any more",
    413: "That is too large",
    415: "That cannot be understood",
    421: "This site has another name",
    429: "Too often",
    500: "Something went wrong here",
    502: "Redis gave an odd answer",
    503: "Redis cannot be reached",
}

_KINDS: tuple[tuple[type[AsyncqError], int], ...] = (
    (NotAllowedError, 403),
    (NotFoundError, 404),
    (WrongStateError, 409),
    (EnqueueRefusedError, 409),
    (ConfigError, 400),
    (BrokerUnavailableError, 503),
    (BrokerError, 502),
    (WireError, 502),
)
"""The first that fits."""


def trouble_of(error: Exception) -> Trouble:
    """What an error means to a visitor. Of a bug it says nothing: its text is for the log."""
    if isinstance(error, HTTPException):
        text = "" if error.detail == HTTPStatus(error.status_code).phrase else error.detail
        return Trouble(error.status_code, text or _said(error.status_code), dict(error.headers or {}))
    for kind, status in _KINDS:
        if isinstance(error, kind):
            return Trouble(status, str(error), {"Retry-After": "5"} if status == 503 else {})
    return Trouble(500, "It is in the log of this server.")


def _said(status: int) -> str:
    return {404: "There is no such page.", 405: "This address answers to other methods."}.get(status, "")


def is_for_programs(request: Request) -> bool:
    """Whether JSON is expected."""
    return route_path(request.scope).startswith(API)


def is_of_page(request: Request) -> bool:
    """Whether a page that is open asks for a part of itself."""
    return request.headers.get("hx-request") == "true"


def answer(request: Request, trouble: Trouble) -> Response:
    """The answer to a request that went wrong."""
    if is_for_programs(request):
        body = {"status": trouble.status, "title": trouble.title, "detail": trouble.text}
        return JSONResponse(body, trouble.status, trouble.headers, "application/problem+json")
    if "live" in request.query_params:
        return Response(trouble.text, trouble.status, {**trouble.headers, "HX-Reswap": "none"}, "text/plain")
    if is_of_page(request):
        html = part(request, "_problem.html", trouble=trouble)
        headers = {
            **trouble.headers,
            "HX-Retarget": "#messages",
            "HX-Reswap": "innerHTML",
            "HX-Reselect": "#problem",
        }
        return Response(html, trouble.status, headers, "text/html")
    response = page(request, "trouble.html", status=trouble.status, title=trouble.title, trouble=trouble)
    response.headers.update(trouble.headers)
    return response


async def on_error(request: Request, error: Exception) -> Response:
    """Handler of the app for errors of ours, of HTTP, and of bugs."""
    return answer(request, trouble_of(error))

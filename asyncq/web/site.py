"""What one app is made of, and how a handler gets at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor
from starlette.datastructures import URLPath
from starlette.requests import Request

from asyncq.inspector import Inspector
from asyncq.web.auth import Auth, Principal
from asyncq.web.jobs import Jobs
from asyncq.web.samples import Samples, Streams
from asyncq.web.statics import Statics
from asyncq.web.throttle import Throttle

CONVERTOR: Final = "asyncq"
"""Names of queues, tasks and groups in a path: `Route("/queues/{queue:asyncq}", …)`."""


_PATH_SAFE: Final = "/:@,=+$!"


class _NameConvertor(Convertor[str]):
    """Any text as one part of a path.

    Servers undo one layer of percent signs before routes are looked at, so that a slash in a name would split
    it, and browsers resolve `.` and `..`: what is not plain is encoded twice.
    """

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        once = quote(value, safe=":@,=+$!")
        if not once.strip("."):
            once = once.replace(".", "%2E")
        return quote(once, safe=":@,=+$!")


if CONVERTOR not in CONVERTOR_TYPES:  # pragma: no branch - only a second import would find it
    register_url_convertor(CONVERTOR, _NameConvertor())


@dataclass(frozen=True, slots=True)
class Site:
    """One app: its options and what its handlers share."""

    inspector: Inspector
    owns_inspector: bool
    auth: Auth
    read_only: bool
    hosts: tuple[str, ...]  #: names it is called by; a `*` stands for any
    title: str
    environment: str  #: shown on every page, so that nobody takes production for something else
    base_path: str | None  #: what the paths of links begin with; where it is mounted, when not given
    statics: Statics = field(default_factory=Statics)
    throttle: Throttle = field(default_factory=Throttle)
    samples: Samples = field(default_factory=Samples)
    streams: Streams = field(default_factory=Streams)
    jobs: Jobs = field(default_factory=Jobs)


def site_of(request: Request) -> Site:
    """The site that a request is for."""
    site = request.app.site
    assert isinstance(site, Site)  # noqa: S101 - for the type checkers
    return site


def inspector_of(request: Request) -> Inspector:
    """The inspector that acts as whoever sent this request: it alone is to be used by a handler."""
    inspector = request.state.inspector
    assert isinstance(inspector, Inspector)  # noqa: S101 - for the type checkers
    return inspector


def principal_of(request: Request) -> Principal | None:
    """Who sent this request; `None` on pages that everybody may see."""
    principal = getattr(request.state, "principal", None)
    assert principal is None or isinstance(principal, Principal)  # noqa: S101 - for the type checkers
    return principal


def base_of(request: Request) -> str:
    """What every path of this site begins with; empty when it is not mounted below anything."""
    site = site_of(request)
    if site.base_path is not None:
        return site.base_path.rstrip("/")
    root: str = request.scope.get("root_path", "")
    return quote(root.rstrip("/"), safe=_PATH_SAFE)


def path_to(request: Request, name: str, /, **params: Any) -> str:
    """The path of a route."""
    found: URLPath = request.app.url_path_for(name, **params)
    return f"{base_of(request)}{found}"


def with_query(path: str, /, **values: object) -> str:
    """A path with these in its query; what is empty or `None` is left out."""
    kept = [(name, str(value)) for name, value in values.items() if value not in (None, "")]
    return f"{path}?{urlencode(kept)}" if kept else path


def here(request: Request, /, **changed: object) -> str:
    """The path of this page, with its query but for what is changed."""
    values: Mapping[str, object] = {**request.query_params, "live": None, **changed}
    inside = route_path(request.scope)
    return with_query(f"{base_of(request)}{quote(inside, safe=_PATH_SAFE)}", **values)


def route_path(scope: Mapping[str, Any]) -> str:
    """The path of a request below where the app is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root):
        return path[len(root) :] or "/"
    return path


def address_of(request: Request) -> str | None:
    """The address that a request came from; `None` over a unix socket."""
    return request.client.host if request.client else None

"""Where a request comes from, and whether that may be: pure decisions of the guard."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""What changes nothing, and so may come from anywhere."""

LOOPBACK_NAMES: Final = ("localhost", "*.localhost", "127.0.0.1", "::1")
"""Hosts that name this machine, whatever a name server says."""

ANY_ADDRESS: Final = "any address"
"""Stands for every IP address: a page of somebody else can point its own name at us, and has no number."""


def host_name(host: str) -> str:
    """The name in a `Host` header, without port and brackets, in lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_host_allowed(host: str, allowed: Sequence[str]) -> bool:
    """Whether a `Host` header is one of those that this site is called by.

    A page of somebody else may point its own name at this machine (DNS rebinding); the browser then takes
    us for a part of that page, and only the header tells.
    """
    name = host_name(host)
    for pattern in allowed:
        if pattern == "*":
            return True
        if pattern == ANY_ADDRESS:
            if _is_address(name):
                return True
        elif pattern.startswith("*."):
            if name.endswith(pattern[1:].lower()) and name != pattern[2:].lower():
                return True
        elif name and name == host_name(f"[{pattern}]" if ":" in pattern else pattern):
            return True
    return False


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_same_origin(*, fetch_site: str | None, origin: str | None, host: str) -> bool:
    """Whether a change was asked for by a page of this site.

    Browsers say it themselves in `Sec-Fetch-Site`, which no script can set. Those that do not (old ones, and
    all over plain HTTP to another machine) name the origin of the page.
    """
    if fetch_site is not None:
        return fetch_site == "same-origin"
    if origin is None:
        return False
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(host) and parts.netloc.lower() == host.lower()


def is_loopback(address: str) -> bool:
    """Whether an address, or a host that a server is bound to, is reached from this machine only."""
    try:
        return ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address.lower() == "localhost"


def safe_path(path: str, base: str) -> str:
    """Where to go on after a form, as a path of this site; its start for anything else.

    What is not plainly a path below `base` could lead to another site, as what begins with two slashes does.
    """
    start = f"{base}/"
    is_plain = path.isprintable() and "\\" not in path and not path.startswith("//")
    if is_plain and path.startswith(start) and not path.startswith(f"{start}/"):
        parts = urlsplit(path)
        if not parts.scheme and not parts.netloc and ".." not in parts.path.split("/"):
            return path
    return start

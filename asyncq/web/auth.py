"""Who is there: nobody asks, tokens with a login form, or the application's own hook."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request

from asyncq.errors import ConfigError
from asyncq.inspector import Redactor, Rights
from asyncq.web.origins import is_loopback

SESSION_SECONDS: Final = 12 * 3600
"""How long a login lasts."""

_LONGEST_TIME: Final = 12
"""Digits. Python reads no whole number of thousands of them."""

SHORTEST_TOKEN: Final = 16
"""Characters. What is shorter can be guessed from a signed cookie."""

_ROLES: Final[Mapping[str, Callable[[], Rights]]] = {
    "viewer": Rights.viewer,
    "operator": Rights.operator,
    "admin": Rights.admin,
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was let in."""

    name: str
    """Who the trail says did it."""

    rights: Rights = field(default_factory=Rights.viewer)
    """What they may see and do; only look, when not given."""

    redact: Redactor | None = None
    """What stands between payloads, headers, results and error texts and them; see `Inspector(redact=)`."""


class NoAuth:
    """Let in whoever comes from this machine, with all rights.

    Serves loopback addresses only, and answers to the names of this machine only, so that no page of
    somebody else can reach it through a visitor's browser.

    Args:
        rights: What visitors may do; everything when not given.
        even_off_loopback: Serve everybody who can reach the port. They can read all payloads, and delete
            all tasks unless `rights` says less.
    """

    def __init__(self, *, rights: Rights | None = None, even_off_loopback: bool = False) -> None:
        self.rights: Final = Rights.all() if rights is None else rights
        self.even_off_loopback: Final = even_off_loopback

    def principal(self, address: str | None) -> Principal | None:
        """Who comes from this address; `None` when it is not served."""
        if self.even_off_loopback or address is None or is_loopback(address):
            return Principal("anonymous", self.rights)
        return None


class Tokens:
    """Let in whoever knows a token: in a login form, or as `Authorization: Bearer`.

        Tokens("a-long-secret-of-yours")
        Tokens({"anna-s-secret-token": Principal("anna", Rights.admin()), ...})

    A login lasts twelve hours and ends when its token is taken away. Only hashes of the tokens are kept in
    memory, and the cookie holds a signature, not the token.

    Args:
        tokens: One token, with all rights; or tokens with who has each. Each of at least 16 characters.

    Raises:
        ConfigError: There is none, or one is too short.
    """

    def __init__(self, tokens: str | Mapping[str, Principal]) -> None:
        given = {tokens: Principal("token", Rights.all())} if isinstance(tokens, str) else dict(tokens)
        if not given:
            raise ConfigError("tokens", {}, "at least one token")
        if any(len(token) < SHORTEST_TOKEN for token in given):
            raise ConfigError("tokens", "…", f"at least {SHORTEST_TOKEN} characters in each")
        self._known: Final = tuple((_digest(token), principal) for token, principal in given.items())

    @classmethod
    def parse(cls, text: str) -> Tokens:
        """Read tokens from a line, as of an environment variable: `TOKEN`, or `NAME:ROLE:TOKEN,…`.

        Raises:
            ConfigError: It cannot be understood, or a role is not one of viewer, operator and admin.
        """
        if ":" not in text:
            return cls(text.strip())
        found: dict[str, Principal] = {}
        for part in text.split(","):
            name, role, token = (*(word.strip() for word in part.split(":", 2)), "", "")[:3]
            if not name or not token or role not in _ROLES:
                raise ConfigError("tokens", "…", "NAME:ROLE:TOKEN with a role of viewer, operator or admin")
            found[token] = Principal(name, _ROLES[role]())
        return cls(found)

    def __repr__(self) -> str:
        return f"<Tokens of {', '.join(sorted({principal.name for _, principal in self._known}))}>"

    @property
    def cookie(self) -> str:
        """The name of the cookie: another for other tokens, since the ports of a host share their cookies."""
        return f"asyncq_{_sign(b''.join(digest for digest, _ in self._known), 'cookie')[:8]}"

    def principal(self, token: str) -> Principal | None:
        """Who has this token. Takes as long for a wrong one as for a right one."""
        given, found = _digest(token), None
        for digest, principal in self._known:
            if hmac.compare_digest(digest, given):
                found = principal
        return found

    def session(self, token: str, *, now: float | None = None) -> str:
        """What the cookie of somebody holds who has shown a token that is known."""
        ends = int(time.time() if now is None else now) + SESSION_SECONDS
        return _session(_digest(token), ends)

    def of_session(self, session: str, *, now: float | None = None) -> Principal | None:
        """Who has this cookie; `None` when it ended, or when its token is none any more."""
        ends, _, signature = session.partition(".")
        is_time = ends.isascii() and ends.isdigit() and len(ends) <= _LONGEST_TIME
        if not is_time or not signature.isascii():
            return None
        found = None
        for digest, principal in self._known:
            if hmac.compare_digest(_session(digest, int(ends)), session):
                found = principal
        return found if int(ends) > (time.time() if now is None else now) else None


Hook = Callable[[Request], "Principal | Awaitable[Principal | None] | None"]
"""A function of the application that tells from a request who is there; `None` for a stranger."""

Auth = NoAuth | Tokens | Hook


def check_bind(host: str, auth: Auth) -> None:
    """Refuse to open the UI to other machines when nobody has to log in.

    Raises:
        ConfigError: `host` is no address of this machine alone, and `auth` is `NoAuth()`.
    """
    if isinstance(auth, NoAuth) and not auth.even_off_loopback and not is_loopback(host):
        raise ConfigError(
            "host", host, "127.0.0.1 or localhost; other addresses need tokens or a hook to log in"
        )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _sign(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _session(digest: bytes, ends: int) -> str:
    return f"{ends}.{_sign(digest, f'session until {ends}')}"

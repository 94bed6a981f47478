"""Where Redis is and how to get in: data only.

One URL says it all:

    redis://[user:password@]host[:port][/db]        rediss:// for TLS
    unix:///path/to/socket[?db=0]                   user and password as above
    redis-sentinel://[user:password@]host[:port],host[:port]…[/db]?master=name
    redis-cluster://[user:password@]host[:port],host[:port]…
    embedded://PATH                                 a Valkey of our own, data kept in PATH

`valkey` may stand for `redis` in each. TLS for Sentinel and Cluster: `?tls=true`.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from asyncq.errors import ConfigError, Missing, Problem

DEFAULT_PORT: Final = 6379
DEFAULT_SENTINEL_PORT: Final = 26379


class Topology(StrEnum):
    """How the Redis at the other end is built."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Address:
    """One server: a host and port, or the path of a unix socket."""

    host: str = "localhost"
    port: int = DEFAULT_PORT
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tls:
    """How to check the server, and how to show ourselves."""

    ca_file: str | None = None
    """Certificates to trust instead of the system's."""

    cert_file: str | None = None
    """Our own certificate, where the server wants one."""

    key_file: str | None = None
    """The key of `cert_file`."""

    verify: bool = True
    """`False` accepts any certificate: for tests only."""

    check_hostname: bool = True
    """Whether the certificate must name the host we called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionOptions:
    """Everything needed to reach Redis. `ConnectionOptions.from_url` makes one from a URL."""

    addresses: tuple[Address, ...] = (Address(),)
    """One server; several sentinels; or any nodes of a cluster to ask for the others."""

    topology: Topology = Topology.SINGLE

    db: int = 0
    """Database number. A cluster has only 0."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)

    tls: Tls | None = None
    """`None` speaks plain text."""

    master: str = "mymaster"
    """The name under which the sentinels know the primary."""

    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    embedded_path: str = ""
    """The directory of the embedded server."""

    connect_timeout: float = 5.0
    """Seconds for one attempt to connect, handshake included."""

    response_timeout: float = 10.0
    """Seconds for one answer. A connection that owes an answer for longer is given up."""

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        if not self.addresses and self.topology is not Topology.EMBEDDED:
            problems.append(Problem("addresses", self.addresses, "at least one address"))
        if self.db < 0:
            problems.append(Problem("db", self.db, "a database number, 0 or more"))
        if self.db and self.topology is Topology.CLUSTER:
            problems.append(Problem("db", self.db, "0, the only database of a cluster"))
        for name in ("connect_timeout", "response_timeout"):
            value = getattr(self, name)
            if not value > 0 or math.isnan(value):
                problems.append(Problem(name, value, "a number of seconds above 0"))
        if self.topology is Topology.EMBEDDED and not self.embedded_path:
            problems.append(
                Problem(
                    "url",
                    "embedded://",
                    "a path, as in embedded:///var/lib/myapp/queue or embedded://./queue",
                )
            )
        if problems:
            raise ConfigError.of(problems)

    @classmethod
    def from_url(cls, url: str, **overrides: Any) -> ConnectionOptions:
        """Read a URL; fields given as keywords win over it.

        Raises:
            ConfigError: The URL cannot be understood. The text says which part, without the password.
        """
        unknown = [name for name in overrides if name not in {f.name for f in fields(cls)}]
        if unknown:
            near = difflib.get_close_matches(unknown[0], [f.name for f in fields(cls)], 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError("connection", unknown[0], f"an option that exists{hint}")
        options = _parse(url)
        return replace(options, **overrides) if overrides else options

    def describe(self) -> str:
        """Where this leads, for messages: no user, no password."""
        if self.topology is Topology.EMBEDDED:
            return f"embedded://{self.embedded_path}"
        where = ",".join(str(address) for address in self.addresses)
        if self.topology is Topology.SENTINEL:
            return f"sentinel {where} (master {self.master!r})"
        if self.topology is Topology.CLUSTER:
            return f"cluster {where}"
        return where


@dataclass(frozen=True, slots=True)
class Pong:
    """What `ping` found."""

    where: str
    server: str  #: redis or valkey, and its version
    latency: float  #: seconds for one round trip, the best of three
    warnings: tuple[str, ...]  #: what works, and is not as it should be
    missing: tuple[Missing, ...] = ()  #: nodes of a cluster that do not answer, while others do


_SCHEMES: Final = {
    "redis": (Topology.SINGLE, False),
    "rediss": (Topology.SINGLE, True),
    "unix": (Topology.SINGLE, False),
    "redis-sentinel": (Topology.SENTINEL, False),
    "redis-cluster": (Topology.CLUSTER, False),
    "embedded": (Topology.EMBEDDED, False),
}
_TLS_PARAMETERS: Final = ("tls", "tls_ca", "tls_cert", "tls_key", "tls_verify", "tls_check_hostname")
_PLAIN_PARAMETERS: Final = (
    "db",
    "master",
    "sentinel_username",
    "sentinel_password",
    "connect_timeout",
    "response_timeout",
)


def _parse(url: str) -> ConnectionOptions:
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower().replace("valkey", "redis").replace("+", "-")
    if not separator or scheme not in _SCHEMES:
        near = difflib.get_close_matches(scheme, list(_SCHEMES), 1)
        hint = (
            f"did you mean {near[0]}://?" if near else "use one of " + ", ".join(f"{s}://" for s in _SCHEMES)
        )
        raise ConfigError("url", _safe(url), f"a scheme that asyncq knows; {hint}")
    topology, tls = _SCHEMES[scheme]
    if topology is Topology.EMBEDDED:
        return ConnectionOptions(addresses=(), topology=topology, embedded_path=rest)
    try:
        parts = urlsplit(f"x://{rest}")
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise ConfigError("url", _safe(url), f"a well-formed URL ({error})") from error
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    settings: dict[str, Any] = {
        "topology": topology,
        "username": unquote(username) or None,
        "password": unquote(password) or None,
        **_plain_parameters(url, parameters),
    }
    if scheme == "unix":
        if not parts.path or hosts:
            raise ConfigError("url", _safe(url), "an absolute path, as in unix:///run/redis.sock")
        settings["addresses"] = (Address(path=unquote(parts.path)),)
    else:
        default_port = DEFAULT_SENTINEL_PORT if topology is Topology.SENTINEL else DEFAULT_PORT
        settings["addresses"] = tuple(_address(url, host, default_port) for host in hosts.split(","))
        if parts.path.strip("/"):
            settings["db"] = _number(url, "db", parts.path.strip("/"))
    if topology is Topology.SINGLE and len(settings["addresses"]) > 1:
        raise ConfigError("url", _safe(url), "one host; several need redis-sentinel:// or redis-cluster://")
    settings["tls"] = _tls(url, parameters, default=tls)
    return ConnectionOptions(**settings)


def _plain_parameters(url: str, parameters: dict[str, str]) -> dict[str, Any]:
    known = (*_TLS_PARAMETERS, *_PLAIN_PARAMETERS)
    settings: dict[str, Any] = {}
    for name, value in parameters.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise ConfigError("url", _safe(url), f"a known parameter instead of {name!r}{hint}")
        if name in ("db"):
            settings[name] = _number(url, name, value)
        elif name in ("connect_timeout", "response_timeout"):
            try:
                settings[name] = float(value)
            except ValueError:
                raise ConfigError("url", _safe(url), f"{name} in seconds") from None
        elif name in _PLAIN_PARAMETERS:
            settings[name] = value
    return settings


def _tls(url: str, parameters: dict[str, str], *, default: bool) -> Tls | None:
    if not _truth(url, "tls", parameters.get("tls"), default=default):
        return None
    return Tls(
        ca_file=parameters.get("tls_ca"),
        cert_file=parameters.get("tls_cert"),
        key_file=parameters.get("tls_key"),
        verify=_truth(url, "tls_verify", parameters.get("tls_verify"), default=True),
        check_hostname=_truth(url, "tls_check_hostname", parameters.get("tls_check_hostname"), default=True),
    )


def _truth(url: str, name: str, text: str | None, *, default: bool) -> bool:
    if text is None:
        return default
    if text.lower() in ("true", "1", "yes"):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise ConfigError("url", _safe(url), f"{name} to be true or false")


def _address(url: str, text: str, default_port: int) -> Address:
    try:
        parts = urlsplit(f"//{text}")
        return Address(host=parts.hostname or "localhost", port=parts.port or default_port)
    except ValueError as error:
        raise ConfigError("url", _safe(url), f"an address instead of {text!r} ({error})") from error


def _number(url: str, name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ConfigError("url", _safe(url), f"{name} to be a whole number")
    return int(text)


def _safe(url: str) -> str:
    """The URL without what stands between :// and the last @."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url.rpartition("@")[2]
    _, at, tail = rest.rpartition("@")
    return f"{scheme}://{'***@' if at else ''}{tail}"

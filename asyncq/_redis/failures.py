"""What can go wrong between us and Redis, and what is to be done about each.

One table. It stands on the first word of an error reply, because that word is protocol and the
rest of the text is not.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Final

from redis import exceptions as library

from asyncq.errors import AuthenticationError, BrokerError, BrokerReplyError, BrokerUnavailableError


class Remedy(Enum):
    """What to do about an error reply. In none of these cases was the command carried out."""

    LOAD_SCRIPT = auto()  #: the server does not have the script: send its text
    FOLLOW = auto()  #: MOVED: the slot lives elsewhere
    ASK_ONCE = auto()  #: ASK: this one call goes elsewhere
    WAIT = auto()  #: it will be able to, in a moment
    REDISCOVER = auto()  #: we talk to a server that is no longer the primary
    GIVE_UP_ACCESS = auto()  #: password or permissions
    GIVE_UP = auto()  #: nobody knows: report it


_REMEDIES: Final = {
    "NOSCRIPT": Remedy.LOAD_SCRIPT,
    "MOVED": Remedy.FOLLOW,
    "ASK": Remedy.ASK_ONCE,
    "LOADING": Remedy.WAIT,
    "BUSY": Remedy.WAIT,
    "TRYAGAIN": Remedy.WAIT,
    "NOREPLICAS": Remedy.WAIT,
    "OOM": Remedy.WAIT,
    "MISCONF": Remedy.WAIT,
    "CLUSTERDOWN": Remedy.REDISCOVER,
    "MASTERDOWN": Remedy.REDISCOVER,
    "READONLY": Remedy.REDISCOVER,
    "UNBLOCKED": Remedy.REDISCOVER,
    "NOAUTH": Remedy.GIVE_UP_ACCESS,
    "WRONGPASS": Remedy.GIVE_UP_ACCESS,
    "NOPERM": Remedy.GIVE_UP_ACCESS,
}

# A script came upon a key that it could not declare, in a slot that is on its way to another node: the same
# as TRYAGAIN, in words that begin differently from version to version. These are in all of them.
_ELSEWHERE: Final = "access a non local key"

_ADVICE: Final = {
    "LOADING": "Redis is reading its data from disk; it will answer when it is done",
    "BUSY": "a script holds Redis up; SLOWLOG GET says which",
    "OOM": "Redis has reached maxmemory: raise it, or let servers drain the queues",
    "MISCONF": "Redis cannot save to disk and refuses to write: look at its log and its disk",
    "NOREPLICAS": "fewer replicas are connected than min-replicas-to-write asks for",
    "READONLY": "this is a replica: give the primary's address, or redis-sentinel:// to follow fail-overs",
    "TRYAGAIN": "the slot of this queue is on its way to another node: calls go on when it has arrived",
    "CLUSTERDOWN": "part of the cluster is not served: CLUSTER INFO on a node says more",
    "NOPERM": "give the ACL user the commands and the key pattern that docs/guides/redis.md lists",
    "NOAUTH": "this Redis wants a password: redis://:password@host",
    "WRONGPASS": "check user and password in the URL; special characters in it need percent-encoding",
}


class ReplyError(Exception):
    """An error reply. Never leaves `_redis`."""

    @property
    def text(self) -> str:
        """The whole reply."""
        return str(self.args[0]) if self.args else ""

    @property
    def code(self) -> str:
        """Its first word; a script's errors carry it behind one of Lua's own prefixes."""
        first = self.text.split(" ", 1)[0]
        if first == "ERR" and _ELSEWHERE in self.text:
            return "TRYAGAIN"
        if first in _REMEDIES or not self.text.startswith(("ERR Error running script", "ERR Error")):
            return first
        # Redis before 7 wraps what a command in a script answered: "…: @user_script: 12: -OOM command …".
        return next((code for code in _REMEDIES if f"-{code} " in self.text), first)

    @property
    def remedy(self) -> Remedy:
        """What is to be done."""
        return _REMEDIES.get(self.code, Remedy.GIVE_UP)


class LinkLostError(Exception):
    """The connection went away while an answer was owed: nobody knows whether the command ran."""


def from_reply(error: ReplyError, *, where: str, what: str) -> BrokerError:
    """An error reply that was not helped by its remedy, as one of our errors."""
    advice = _ADVICE.get(error.code, "")
    if error.remedy is Remedy.GIVE_UP_ACCESS:
        return AuthenticationError(where, error.text, advice)
    if error.remedy is Remedy.GIVE_UP:
        return BrokerReplyError(what, error.text)
    return BrokerUnavailableError(where, error.text, advice)


def from_dialling(error: BaseException, *, where: str) -> BrokerError:  # noqa: PLR0911 - a table, a row each
    """What the client library raised while it connected, as one of our errors."""
    # Over a unix socket whatever goes wrong in the handshake comes wrapped.
    if type(error) is library.ConnectionError and isinstance(error.__cause__, library.RedisError):
        error = error.__cause__
    # In this library a TimeoutError is not a ConnectionError, an AuthenticationError is one, and
    # a permission problem is a plain ResponseError: hence the order.
    if isinstance(error, library.NoPermissionError):
        return AuthenticationError(where, str(error), _ADVICE["NOPERM"])
    if isinstance(error, library.AuthenticationError | library.AuthorizationError):
        return AuthenticationError(where, str(error), _ADVICE["WRONGPASS"])
    if isinstance(error, library.AuthenticationWrongNumberOfArgsError):
        return AuthenticationError(where, str(error), _ADVICE["WRONGPASS"])
    if isinstance(error, library.TimeoutError | TimeoutError | asyncio.TimeoutError):
        return BrokerUnavailableError(
            where,
            "no answer while connecting",
            "is the host right, does a firewall swallow the packets, and must it be rediss:// or redis://?",
        )
    if isinstance(error, library.ResponseError):
        reply = ReplyError(str(error))
        if reply.remedy is Remedy.GIVE_UP_ACCESS:
            return AuthenticationError(where, str(error), _ADVICE["WRONGPASS"])
        return BrokerUnavailableError(where, str(error), _ADVICE.get(reply.code, ""))
    if isinstance(error, library.BusyLoadingError):
        return BrokerUnavailableError(where, str(error), _ADVICE["LOADING"])
    return BrokerUnavailableError(where, _reason(error), _connect_advice(str(error)))


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _connect_advice(text: str) -> str:
    # asyncio says "Connect call failed" where the system says "refused".
    if "refused" in text or "Connect call failed" in text or "No such file" in text:
        return "is Redis running there? redis-cli -u URL ping tells"
    if "not known" in text or "getaddrinfo" in text or "resolution" in text:
        return "this host name cannot be resolved: check its spelling and the network's DNS"
    if "certificate" in text.lower() or "ssl" in text.lower():
        return "rediss:// and redis:// must match the server; ?tls_ca=FILE names an authority to trust"
    if "Permission" in text:
        return "this user may not open the socket: check the file's permissions"
    return "redis-cli -u URL ping, from this machine, tells whether Redis can be reached at all"

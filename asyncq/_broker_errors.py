"""What goes wrong when Redis is talked to. Users find everything in `errors`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from asyncq._error_base import AsyncqError, shown

_MOST_NAMED: Final = 3
"""Names that an error shows for each node. `missing` has all of them."""


class Missing(NamedTuple):
    """Something in a cluster that could not be looked at, as its node did not answer."""

    what: Literal["queue", "server", "scheduler", "entry", "node", "index"]
    """`index` is the set that names all queues, servers or schedulers, or the entries of schedulers. Of an
    `entry` it is what became of its times; the entry itself is known. `node` is whatever lies there."""

    name: str  #: its name or id; of an index what it names, of a node its address
    node: str  #: the address of the node
    why: str  #: what came of asking it

    def __str__(self) -> str:
        if self.what == "node":
            return f"{self.node}: {self.why}"
        return f"{_titled(self)} on {self.node}: {self.why}"


class BrokerError(AsyncqError):
    """Talking to Redis went wrong."""

    _text = "{where}: {why}"

    def __init__(self, where: str, why: str, advice: str = "") -> None:
        super().__init__(where, why, advice)
        self.where, self.why, self.advice = where, why, advice


class BrokerUnavailableError(BrokerError):
    """Redis was not reached, or went away before it answered. Trying again is safe.

    An unreachable address, a time-out, a server that loads its data or fails over,
    a cluster that is down. It does *not* say that nothing happened: the call may have
    been carried out and only the answer lost. What asyncq sends can be sent again.
    """


class PartlyUnavailableError(BrokerUnavailableError):
    """Some nodes of a cluster did not answer, and others did. `missing` says what could not be looked at.

    What lies on the others can be had: `partial=True` of the calls that raise this.
    """

    def __init__(self, where: str, missing: Sequence[Missing], advice: str = "") -> None:
        super().__init__(where, _told(missing), advice)
        self.args = where, tuple(missing), advice
        self.missing: tuple[Missing, ...] = tuple(missing)


class AuthenticationError(BrokerError):
    """Redis refused the password or the user, or the user may not run a command."""


class ServerTooOldError(BrokerError):
    """The server lacks what asyncq needs: Redis 6.2, or any Valkey."""


class UnsafeServerError(BrokerError):
    """The server works, but tasks would get lost on it: it evicts keys, or is a replica."""


class BrokerReplyError(BrokerError):
    """A script or command answered something we do not know. A bug: please report it."""

    def __init__(self, script: str, reply: object) -> None:
        super().__init__(script, f"unexpected reply {shown(reply)}")
        self.args = self.script, self.reply = script, reply


def _told(missing: Sequence[Missing]) -> str:
    """What is missing, node by node."""
    told: list[str] = []
    for node in dict.fromkeys(one.node for one in missing):
        lost = [_titled(one) for one in missing if one.node == node and one.what != "node"]
        more = [f"{len(lost) - _MOST_NAMED} more"] if len(lost) > _MOST_NAMED else []
        names = [*lost[:_MOST_NAMED], *more]
        last = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        why = next(one.why for one in missing if one.node == node)
        told.append(f"{node} does not answer{f' for {last}' if last else ''}: {why}")
    return "; ".join(told)


def _titled(missing: Missing) -> str:
    return f"the names of {missing.name}" if missing.what == "index" else f"{missing.what} {missing.name!r}"

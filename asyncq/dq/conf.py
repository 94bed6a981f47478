"""Where the nodes are, and where Redis is: go-queue's `DqConf`, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, Protocol, cast, runtime_checkable

from asyncq.beanstalk import read_endpoint, tube_problem
from asyncq.connection import Address, ConnectionOptions, Tls, Topology
from asyncq.errors import ConfigError, Problem
from asyncq.shared import Connection

LEAST_NODES: Final = 2
"""Copies that must be written before a message counts as put."""

MOST_COPIES: Final = 3
"""Nodes that a message is put to; of more, so many are drawn."""


@dataclass(frozen=True, slots=True)
class Beanstalk:
    """One node: a beanstalkd, and the tube in it. The tube may differ from node to node."""

    endpoint: str
    """`host:port`."""

    tube: str

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        try:
            read_endpoint(self.endpoint)
        except ConfigError as error:
            problems += error.problems
        if (problem := tube_problem(self.tube)) is not None:
            problems.append(problem)
        if problems:
            raise ConfigError.of(problems)


@runtime_checkable
class HasOptions(Protocol):
    """A description of Redis that can say what it is in our words, such as `asyncq.app.RedisConf`."""

    def options(self) -> ConnectionOptions:
        """Where Redis is."""
        ...


@dataclass(frozen=True, slots=True)
class RedisConf:
    """Redis, as go-zero describes it."""

    host: str
    """`host:port`; of a cluster several, with commas between."""

    type: Literal["node", "cluster"] = "node"
    user: str = ""
    pass_: str = field(default="", repr=False)
    tls: bool = False
    db: int = 0
    non_block: bool = True
    """Read for go-zero's files. A consumer waits for Redis in any case."""

    ping_timeout: timedelta = timedelta(seconds=5)
    """How long an attempt to connect may take."""

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        for one in str(self.host).split(","):
            try:
                read_endpoint(one)
            except ConfigError:
                problems.append(Problem("host", self.host, "host:port, as in 127.0.0.1:6379"))
                break
        if self.type not in ("node", "cluster"):
            problems.append(Problem("type", self.type, "'node' or 'cluster'"))
        if problems:
            raise ConfigError.of(problems)
        self.options()

    def options(self) -> ConnectionOptions:
        """The same in our words."""
        return ConnectionOptions(
            addresses=tuple(Address(*read_endpoint(one)) for one in self.host.split(",")),
            topology=Topology.CLUSTER if self.type == "cluster" else Topology.SINGLE,
            username=self.user or None,
            password=self.pass_ or None,
            tls=Tls() if self.tls else None,
            db=self.db,
            connect_timeout=self.ping_timeout.total_seconds(),
        )


@dataclass(frozen=True, slots=True)
class DqConf:
    """What a consumer needs: the nodes, and the Redis in which copies of one message are told."""

    beanstalks: tuple[Beanstalk, ...]
    """At least one."""

    redis: RedisConf | str | ConnectionOptions | Connection | HasOptions
    """`RedisConf`, a URL, `ConnectionOptions`, or a `Connection` that is shared."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "beanstalks", read_nodes(self.beanstalks, least=1))
        self.redis_place()

    def redis_place(self) -> ConnectionOptions | Connection:
        """Where Redis is, in our words.

        Raises:
            ConfigError: It is nothing of the kind, or a URL that cannot be read.
        """
        given = self.redis
        if isinstance(given, ConnectionOptions | Connection):
            return given
        if isinstance(given, str):
            return ConnectionOptions.from_url(given)
        if isinstance(given, HasOptions):
            return given.options()
        raise ConfigError("redis", given, "a RedisConf, a URL, ConnectionOptions or a Connection")


def read_nodes(given: object, *, least: int) -> tuple[Beanstalk, ...]:
    """The nodes that were given.

    Raises:
        ConfigError: They are no nodes, or too few.
    """
    nodes = tuple(cast("Sequence[object]", given)) if isinstance(given, Sequence) else ()
    found = tuple(node for node in nodes if isinstance(node, Beanstalk))
    if not nodes or len(found) != len(nodes):
        raise ConfigError("beanstalks", nodes, 'nodes such as [Beanstalk("127.0.0.1:11300", "orders"), …]')
    if len(found) < least:
        raise ConfigError("beanstalks", nodes, f"at least {least} nodes, on different machines")
    return found


def require_different(nodes: Sequence[Beanstalk]) -> None:
    """Refuse nodes of which two are the same server: the loss of one would be the loss of both copies.

    Raises:
        ConfigError: Two have the same endpoint.
    """
    endpoints = [node.endpoint for node in nodes]
    for endpoint in endpoints:
        if endpoints.count(endpoint) > 1:
            raise ConfigError(
                "beanstalks", endpoint, "endpoints that are all different: copies are for when one is lost"
            )

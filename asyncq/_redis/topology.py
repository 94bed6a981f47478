"""Which server answers for a key: one server, the primary that sentinels name, or a cluster node.

A topology knows addresses and nothing of connections, except for the questions it must ask to
learn them.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import RedisError

from asyncq._redis.link import keeping_cancellations, tls_settings
from asyncq.connection import Address, ConnectionOptions
from asyncq.connection import Topology as Kind
from asyncq.embedded import EmbeddedServer, open_embedded
from asyncq.errors import BrokerUnavailableError

Ask = Callable[[Address, tuple[Any, ...]], Awaitable[Any]]
"""Send one command to one address and return the answer."""


class Topology(Protocol):
    """What the router needs to know about the other end."""

    is_cluster: bool

    def slot_of(self, key: str) -> int:
        """The number of the place where a key lives. Keys of one call must share it."""
        ...

    async def locate(self, slot: int) -> Address:
        """The server that answers for a slot now. May ask around when that is not known."""
        ...

    def known(self, slot: int) -> Address | None:
        """The same without asking; `None` when it has to be asked."""
        ...

    def owner(self, slot: int) -> Address | None:
        """The server that was said to answer for a slot last, for messages: it may have gone away since."""
        ...

    def forget(self, address: Address | None = None) -> None:
        """What was known of this server, or of all, may be no longer true: the next `locate` asks again."""
        ...

    def moved(self, slot: int, address: Address) -> None:
        """The cluster told us where a slot went."""
        ...

    def everywhere(self) -> list[Address]:
        """All servers known to hold keys; empty before the first `locate`."""
        ...

    async def aclose(self) -> None:
        """Let go of what the questions needed."""
        ...


def cluster_slot(key: str) -> int:
    """The slot that any cluster keeps this key in."""
    return int(key_slot(key.encode()))


def _untyped(library: Any) -> Any:
    """A part of the client library that has no types of its own."""
    return library


class _OneAddress:
    """What single servers and sentinels share: there is only one place for keys."""

    is_cluster = False

    def __init__(self) -> None:
        self._address: Address | None = None

    def slot_of(self, key: str) -> int:  # noqa: ARG002 - one place for all keys
        return 0

    def known(self, slot: int) -> Address | None:  # noqa: ARG002 - one place for all keys
        return self._address

    def owner(self, slot: int) -> Address | None:
        return self.known(slot)

    def moved(self, slot: int, address: Address) -> None:  # noqa: ARG002 - there is one slot
        self._address = address

    def everywhere(self) -> list[Address]:
        return [self._address] if self._address is not None else []


class Single(_OneAddress):
    """One server at a fixed address."""

    def __init__(self, options: ConnectionOptions) -> None:
        super().__init__()
        self._address: Address | None = options.addresses[0]
        self._fixed = options.addresses[0]

    async def locate(self, slot: int) -> Address:  # noqa: ARG002 - one place for all keys
        return self._fixed

    def forget(self, address: Address | None = None) -> None:
        """Nothing to forget: the address is given."""

    async def aclose(self) -> None:
        """Nothing to let go of."""


class Embedded(_OneAddress):
    """A server that we start ourselves, or that another process started for the same path."""

    def __init__(self, options: ConnectionOptions) -> None:
        super().__init__()
        self._path = options.embedded_path
        self._server: EmbeddedServer | None = None
        self._starting = asyncio.Lock()

    async def locate(self, slot: int) -> Address:  # noqa: ARG002 - one place for all keys
        async with self._starting:
            server = self._server
            if server is None:
                server = self._server = await asyncio.to_thread(open_embedded, self._path)
            elif self._address is None:
                # The connection broke. A server that crashed comes back by itself; one whose guardian was
                # killed does not, and has to be asked for.
                await asyncio.to_thread(server.ensure_running)
            self._address = Address(path=str(server.socket_path))
            return self._address

    def forget(self, address: Address | None = None) -> None:  # noqa: ARG002 - there is one
        self._address = None

    async def aclose(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await asyncio.to_thread(server.close)


class SentinelPrimary(_OneAddress):
    """The primary that a group of sentinels agrees on."""

    def __init__(self, options: ConnectionOptions) -> None:
        super().__init__()
        self._options = options
        settings: dict[str, Any] = {
            "socket_timeout": options.connect_timeout,
            "socket_connect_timeout": options.connect_timeout,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),  # how often to ask is for the router to say
            "username": options.sentinel_username,
            "password": options.sentinel_password,
        }
        if options.tls:
            settings |= {"ssl": True, **tls_settings(options)}
        self._sentinel: Any = _untyped(Sentinel)(
            [(a.host, a.port) for a in options.addresses], sentinel_kwargs=settings
        )

    async def locate(self, slot: int) -> Address:  # noqa: ARG002 - one place for all keys
        if self._address is None:
            try:
                with keeping_cancellations():
                    host, port = await self._sentinel.discover_master(self._options.master)
            except (RedisError, OSError) as error:
                raise BrokerUnavailableError(
                    self._options.describe(),
                    # The library appends the clients it has asked, as Python shows them.
                    str(error).partition(" : ")[0] or type(error).__name__,
                    "do the sentinels run, and do they know this name? ?master=NAME in the URL sets it",
                ) from error
            self._address = Address(host=host, port=port)
        return self._address

    def forget(self, address: Address | None = None) -> None:
        if address is None or address == self._address:
            self._address = None

    async def aclose(self) -> None:
        for client in self._sentinel.sentinels:
            await client.aclose()


class Cluster:
    """A cluster: 16,384 slots, each on one of several primaries."""

    is_cluster = True

    def __init__(self, options: ConnectionOptions, ask: Ask) -> None:
        self._seeds = options.addresses
        self._where = options.describe()
        self._ask = ask
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._owners: list[Address] = []
        self._exceptions: dict[int, Address] = {}
        self._stale = True
        # Nodes that were not reached: their slots are asked for again. Those of the others are not, so
        # that a node that is away holds nobody up but who needs it.
        self._doubtful: set[Address] = set()
        self._learning = asyncio.Lock()

    def slot_of(self, key: str) -> int:
        return cluster_slot(key)

    def known(self, slot: int) -> Address | None:
        owner = None if self._stale else self.owner(slot)
        return None if owner in self._doubtful else owner

    def owner(self, slot: int) -> Address | None:
        found = self._exceptions.get(slot)
        if found is None:
            at = bisect_right(self._starts, slot) - 1
            found = self._owners[at] if at >= 0 and slot <= self._ends[at] else None
        return found

    async def locate(self, slot: int) -> Address:
        found = self.known(slot)
        if found is None:
            async with self._learning:
                if self._stale or self.known(slot) is None:
                    await self._learn()
            found = self.known(slot)
        if found is None:
            raise BrokerUnavailableError(
                self._where, f"no node serves slot {slot}", "CLUSTER INFO on a node says more"
            )
        return found

    async def _learn(self) -> None:
        """Ask the nodes we know, then the ones we were given, until one answers; doubtful ones last."""
        reasons: list[str] = []
        known = dict.fromkeys([*self._owners, *self._seeds])
        for address in sorted(known, key=self._doubtful.__contains__):
            try:
                slots = await self._ask(address, ("CLUSTER", "SLOTS"))
            except BrokerUnavailableError as error:
                reasons.append(f"{address}: {error.why}")
                continue
            if slots:
                self._adopt(slots, asked=address)
                return
            reasons.append(f"{address}: serves no slots")
        raise BrokerUnavailableError(
            self._where, "; ".join(reasons), "is at least one node of the cluster running?"
        )

    def _adopt(self, slots: list[list[Any]], *, asked: Address) -> None:
        ranges = sorted((int(first), int(last), node[0]) for first, last, node, *_ in slots)
        self._starts = [first for first, _, _ in ranges]
        self._ends = [last for _, last, _ in ranges]
        # A node that does not know its own name yet leaves it empty: it is the one we asked.
        by_range = {int(entry[0]): entry[2] for entry in slots}
        self._owners = [
            Address(host=(by_range[first][0] or b"").decode() or asked.host, port=int(by_range[first][1]))
            for first in self._starts
        ]
        self._exceptions.clear()
        self._doubtful.clear()
        self._stale = False

    def forget(self, address: Address | None = None) -> None:
        if address is None:
            self._stale = True
        else:
            self._doubtful.add(address)

    def moved(self, slot: int, address: Address) -> None:
        self._exceptions[slot] = address

    def everywhere(self) -> list[Address]:
        return list(dict.fromkeys(self._owners)) if not self._stale else []

    async def aclose(self) -> None:
        """Nothing to let go of."""


def topology_for(options: ConnectionOptions, ask: Ask) -> Topology:
    """The topology that the options name."""
    match options.topology:
        case Kind.SINGLE:
            return Single(options)
        case Kind.SENTINEL:
            return SentinelPrimary(options)
        case Kind.CLUSTER:
            return Cluster(options, ask)
        case Kind.EMBEDDED:
            return Embedded(options)

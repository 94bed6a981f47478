"""Where queues live: the slot of each, the nodes of a cluster, and what Redis says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from asyncq._broker.basis import Basis
from asyncq._broker.checkup import facts_of, identity
from asyncq._broker.rounds import Round
from asyncq._clock import from_unix
from asyncq._redis.topology import cluster_slot
from asyncq.connection import Address
from asyncq.errors import BrokerError, BrokerUnavailableError

Role = Literal["primary", "replica"]


@dataclass(frozen=True, slots=True)
class Node:
    """A Redis server that holds keys: a node of a cluster, or the one server there is."""

    id: str
    address: str
    role: Role


@dataclass(frozen=True, slots=True)
class RedisInfo:
    """What a Redis server says of itself."""

    address: str
    server: str  #: name and version, such as `valkey 8.1.1`
    role: Role
    uptime: float  #: seconds
    clients: int  #: connections
    memory_used: int  #: bytes
    memory_peak: int
    memory_max: int | None  #: beyond which it takes no more; `None` when there is no limit
    eviction_policy: str  #: should be `noeviction`
    keys: int  #: in all of its databases
    operations: int  #: commands a second, by its own short mean
    fragmentation: float  #: bytes that the system gave it for each that it uses; 0 when it does not say
    appends: bool  #: whether every write goes to a file (append-only)
    append_failed: bool  #: whether the last of these writes failed
    snapshot_failed: bool  #: whether the last snapshot failed; as a rule it then takes no writes
    snapshot_at: datetime | None  #: when the last snapshot was made, or it was started
    unsaved: int  #: changes since then


_ROLES: Final[dict[str, Role]] = {"master": "primary", "slave": "replica"}


class Nodes:
    """The area of nodes."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    def slot(self, queue: str) -> int:
        """The slot that a cluster keeps this queue in, whether or not this is one."""
        return cluster_slot(self._basis.queue(queue).pending)

    async def of(self, queue: str) -> list[Node]:
        """The nodes that hold a queue, the primary first."""
        basis = self._basis
        if not basis.router.is_cluster:
            return await self._single()
        slot = basis.slot(queue)
        asked, ranges = await self._slots()
        for first, last, *nodes in ranges:
            if first <= slot <= last:
                return [_node(node, asked, "replica" if at else "primary") for at, node in enumerate(nodes)]
        return []

    async def _slots(self) -> tuple[Address, Any]:
        """Who serves what, as the first node says that answers, and which node that is."""
        basis = self._basis
        for node in sorted(await basis.router.holders(), key=basis.away.__contains__):
            answer = await basis.router.ask_in_vain(node, "CLUSTER", "SLOTS")
            if isinstance(answer, BrokerUnavailableError):
                basis.away.add(node)
                continue
            if isinstance(answer, BrokerError):
                raise answer
            return node, answer
        # Nobody is there: wait as patiently as other calls.
        answer = await basis.router.command("CLUSTER", "SLOTS", patience=basis.patience)
        return await basis.router.address_of(), answer

    async def _single(self) -> list[Node]:
        basis = self._basis
        answer = await basis.router.command("INFO", patience=basis.patience)
        address, facts = await basis.router.address_of(), facts_of(answer)
        found = [Node(facts.get("run_id", ""), str(address), _ROLES.get(facts.get("role", ""), "primary"))]
        for at in range(int(facts.get("connected_slaves", "0"))):
            told: dict[str, str] = {}
            for pair in facts.get(f"slave{at}", "").split(","):
                name, _, value = pair.partition("=")
                told[name] = value
            if "ip" in told and "port" in told:
                place = Address(host=told["ip"], port=int(told["port"]))
                found.append(Node("", str(place), "replica"))
        return found

    async def info(self, round_: Round) -> list[RedisInfo]:
        """Every server that holds keys, and answers."""
        router = self._basis.router
        if not router.is_cluster:
            # Waits as patiently as other calls.
            await router.command("PING", patience=self._basis.patience)
        answers = round_.sort(await router.ask_each("INFO"))
        return [_info(str(address), facts_of(answer)) for address, answer in answers.items()]


def _node(node: list[Any], asked: Address, role: Role) -> Node:
    # A node that does not know its own name yet leaves it empty: it is the one we asked.
    host = node[0].decode() if node[0] else asked.host
    return Node(node[2].decode(), str(Address(host=host, port=int(node[1]))), role)


def _info(address: str, facts: dict[str, str]) -> RedisInfo:
    def number(name: str) -> int:
        text = facts.get(name, "0")
        return int(text) if text.isdigit() else 0

    keys = 0
    for name, value in facts.items():
        if name.startswith("db") and value.startswith("keys="):
            keys += int(value.removeprefix("keys=").partition(",")[0])
    return RedisInfo(
        address=address,
        server=identity(facts),
        role=_ROLES.get(facts.get("role", ""), "primary"),
        uptime=float(number("uptime_in_seconds")),
        clients=number("connected_clients"),
        memory_used=number("used_memory"),
        memory_peak=number("used_memory_peak"),
        memory_max=number("maxmemory") or None,
        eviction_policy=facts.get("maxmemory_policy", "noeviction"),
        keys=keys,
        operations=number("instantaneous_ops_per_sec"),
        fragmentation=_ratio(facts.get("mem_fragmentation_ratio", "")),
        appends=facts.get("aof_enabled") == "1",
        append_failed=facts.get("aof_last_write_status", "ok") != "ok",
        snapshot_failed=facts.get("rdb_last_bgsave_status", "ok") != "ok",
        snapshot_at=from_unix(saved) if (saved := number("rdb_last_save_time")) else None,
        unsaved=number("rdb_changes_since_last_save"),
    )


def _ratio(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0

"""A real Redis Cluster on this machine, formed without any command-line tool."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from redis.cluster import RedisCluster
from redis.crc import key_slot

from asyncq._wire.keys import Keys

from .servers import RedisOptions, RedisProcess
from .waiting import wait_until_sync

__all__ = ["ClusterProcesses", "SlotMove", "queue_on"]

_SLOTS = 16384


class ClusterProcesses:
    """Nodes of a cluster as child processes: the primaries first, then their replicas.

    Args:
        primaries: At least three, so that a majority can vote one out.
        replicas: For each primary. One is needed to see a fail-over.
        node_timeout: Seconds after which a silent node counts as failed.
        full_coverage: Whether nothing is served while a node without a replica is away.
        durable: Write through to disk before answering, so that a killed node loses nothing.
        binary: The program, if not the one that `embedded://` uses.
        bus_offset: As in `RedisOptions`.
    """

    def __init__(
        self,
        primaries: int = 3,
        replicas: int = 0,
        node_timeout: float = 1.0,
        *,
        full_coverage: bool = True,
        durable: bool = True,
        binary: Path | None = None,
        bus_offset: int = 0,
    ) -> None:
        self._primaries = primaries
        self._replicas = replicas
        options = RedisOptions(
            transport="tcp",
            appendonly=durable,
            binary=binary,
            bus_offset=bus_offset,
            extra={
                "cluster-enabled": "yes",
                "cluster-node-timeout": int(node_timeout * 1000),
                "cluster-announce-ip": "127.0.0.1",
                "cluster-require-full-coverage": "yes" if full_coverage else "no",
                # Any replica may take over, however long it had no news.
                "cluster-replica-validity-factor": 0,
                "repl-diskless-sync-delay": 0,
            },
        )
        self.nodes = [RedisProcess(options) for _ in range(primaries * (1 + replicas))]

    @property
    def url(self) -> str:
        """All nodes, in the form that asyncq reads."""
        return "redis-cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def client(self) -> RedisCluster:
        """Open a plain redis-py cluster client, for assertions. The caller closes it."""
        living = next(node for node in self.nodes if node.is_alive)
        return RedisCluster(host="127.0.0.1", port=living.port, driver_info=None)

    def start(self) -> None:
        """Start all nodes, form the cluster, and wait until every node serves it."""
        for node in self.nodes:
            node.start()
        self._introduce()
        self._share_slots()
        self._attach_replicas()
        self.wait_ok()

    def owner_of(self, key: str | bytes) -> RedisProcess:
        """Return the living node that serves a key at the moment."""
        slot = key_slot(key if isinstance(key, bytes) else key.encode())
        ports: set[int] = set()
        for node in self._living():
            for first, last, primary, *_ in cast("list[Any]", _ask(node, "CLUSTER", "SLOTS")):
                if first <= slot <= last:
                    ports.add(primary[1])
        found = [node for node in self._living() if node.port in ports and _role(node) == "master"]
        if len(found) != 1:
            raise LookupError(f"{len(found)} living nodes serve slot {slot}")
        return found[0]

    def replica_of(self, primary: RedisProcess) -> RedisProcess:
        """Return a living replica of a node."""
        for node in self._living():
            role = cast("list[Any]", _ask(node, "ROLE"))
            if role[0] == b"slave" and role[2] == primary.port:
                return node
        raise LookupError(f"the node at port {primary.port} has no living replica")

    def is_in_sync(self, node: RedisProcess) -> bool:
        """Tell whether a node is a replica that has all data of its primary."""
        role = cast("list[Any]", _ask(node, "ROLE"))
        return bool(role[0] == b"slave" and role[3] == b"connected")

    def fail_over(self, primary: RedisProcess) -> None:
        """Let a replica take over in agreement with its primary, and wait for it."""
        replica = self.replica_of(primary)
        _ask(replica, "CLUSTER", "FAILOVER")
        wait_until_sync(lambda: _role(replica) == "master", "the replica to take over")
        wait_until_sync(lambda: _role(primary) == "slave", "the primary to step down")
        self.wait_ok()

    def wait_promoted(self, replica: RedisProcess, timeout: float = 20.0) -> None:
        """Wait until a replica has taken over from a killed primary, and all is served again."""
        wait_until_sync(lambda: _role(replica) == "master", "the replica to take over", timeout)
        self.wait_ok(timeout)

    def wait_ok(self, timeout: float = 20.0) -> None:
        """Wait until every living node says that the cluster serves all slots."""
        wait_until_sync(
            lambda: all(_info(node)["cluster_state"] == "ok" for node in self._living()),
            "the cluster to serve all slots",
            timeout,
        )

    def wait_agreed(self) -> None:
        """Wait until all living nodes say the same of who serves what, and since which epoch."""
        wait_until_sync(
            lambda: len({_claims(node) for node in self._living()}) == 1, "the nodes to agree", 20.0
        )

    def flush(self) -> None:
        """Delete everything from every living primary."""
        for node in self._living():
            if _role(node) == "master":
                _ask(node, "FLUSHALL")

    def close(self) -> None:
        """End all nodes and delete their data."""
        for node in self.nodes:
            node.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _living(self) -> list[RedisProcess]:
        return [node for node in self.nodes if node.is_alive]

    def _introduce(self) -> None:
        for epoch, node in enumerate(self.nodes, 1):
            _ask(node, "CLUSTER", "SET-CONFIG-EPOCH", epoch)
        # Each to each: that takes one exchange, while gossip takes a second a step.
        for index, node in enumerate(self.nodes):
            for other in self.nodes[index + 1 :]:
                _ask(node, "CLUSTER", "MEET", "127.0.0.1", other.port, other.bus_port)
        # By name, and not by number: until they have shaken hands, a node is counted under a name that
        # was made up for it, and nobody can be told to follow it.
        names = {cast("bytes", _ask(node, "CLUSTER", "MYID")) for node in self.nodes}
        wait_until_sync(
            lambda: all(_known_names(node) == names for node in self.nodes), "the nodes to know each other"
        )

    def _share_slots(self) -> None:
        bounds = [_SLOTS * index // self._primaries for index in range(self._primaries + 1)]
        for node, first, end in zip(self.nodes, bounds, bounds[1:], strict=False):
            _ask(node, "CLUSTER", "ADDSLOTS", *range(first, end))

    def _attach_replicas(self) -> None:
        for index, node in enumerate(self.nodes[self._primaries :]):
            primary = self.nodes[index % self._primaries]
            identity = cast("bytes", _ask(primary, "CLUSTER", "MYID"))
            _ask(node, "CLUSTER", "REPLICATE", identity)
        wait_until_sync(
            lambda: all(self.is_in_sync(node) for node in self.nodes[self._primaries :]),
            "the replicas to have the data",
            20.0,
        )


def queue_on(cluster: ClusterProcesses, node: RedisProcess, beginning: str = "queue") -> str:
    """Return the name of a queue that lives on a node."""
    slots = cast("list[Any]", _ask(node, "CLUSTER", "SLOTS"))
    served = [(first, last) for first, last, primary, *_ in slots if primary[1] == node.port]
    for number in range(1000):
        slot = key_slot(Keys().queue(name := f"{beginning}-{number}").pending.encode())
        if any(first <= slot <= last for first, last in served):
            return name
    raise LookupError(f"no queue lives on the node at port {node.port}")


class SlotMove:
    """A slot on its way from one node to another, key by key, as `redis-cli --cluster reshard` moves it.

    Args:
        cluster: Where.
        key: Any key of the slot; the node that serves it now gives it away.
        target: The node that takes it.
    """

    def __init__(self, cluster: ClusterProcesses, key: str, target: RedisProcess) -> None:
        self.slot = key_slot(key.encode())
        self.source, self.target = cluster.owner_of(key), target
        self._cluster = cluster
        self._names = {node: cast("bytes", _ask(node, "CLUSTER", "MYID")) for node in (self.source, target)}

    def begin(self) -> None:
        """From now on each key is on one of the two nodes."""
        _ask(self.target, "CLUSTER", "SETSLOT", self.slot, "IMPORTING", self._names[self.source])
        _ask(self.source, "CLUSTER", "SETSLOT", self.slot, "MIGRATING", self._names[self.target])

    def left(self) -> list[str]:
        """Return the keys that have not moved yet."""
        keys = _ask(self.source, "CLUSTER", "GETKEYSINSLOT", self.slot, 1_000_000)
        return sorted(key.decode() for key in cast("list[bytes]", keys))

    def carry(self, *keys: str) -> None:
        """Move keys; it is an error if the target has one of them already."""
        if keys:
            _ask(self.source, "MIGRATE", "127.0.0.1", self.target.port, "", 0, 5000, "KEYS", *keys)

    def end(self, *, unwatched: bool = False) -> None:
        """Move what is left, and let all nodes know.

        Args:
            unwatched: No client is at work that could be sent in a circle meanwhile. Then the source is told
                first: a target that has not heard yet of the source's latest epoch would believe a claim
                of the source that is still under way, and drop what it has just been given.
        """
        self.carry(*self.left())
        both = (self.source, self.target) if unwatched else (self.target, self.source)
        for node in (*both, *self._cluster.nodes):
            _ask(node, "CLUSTER", "SETSLOT", self.slot, "NODE", self._names[self.target])


def _ask(node: RedisProcess, *command: str | int | bytes) -> object:
    """Send one command to one node, without a cluster client's own ideas about where to."""
    with node.client() as client:
        client.response_callbacks.clear()
        answer: object = client.execute_command(*command)
        return answer


def _known_names(node: RedisProcess) -> set[bytes]:
    lines = cast("bytes", _ask(node, "CLUSTER", "NODES")).splitlines()
    return {line.split()[0] for line in lines if b"handshake" not in line}


def _claims(node: RedisProcess) -> frozenset[tuple[bytes, ...]]:
    """Name, epoch and slots of each node, as one of them sees it, less the slots that move."""
    lines = [line.split() for line in cast("bytes", _ask(node, "CLUSTER", "NODES")).splitlines()]
    return frozenset((line[0], line[6], *(part for part in line[8:] if part[:1] != b"[")) for line in lines)


def _info(node: RedisProcess) -> dict[str, str]:
    lines = cast("bytes", _ask(node, "CLUSTER", "INFO")).decode().split()
    return dict(line.split(":", 1) for line in lines)


def _role(node: RedisProcess) -> str:
    return cast("list[bytes]", _ask(node, "ROLE"))[0].decode()

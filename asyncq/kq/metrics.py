"""Metrics for Prometheus: what queues and pushers of Kafka did. Needs the extra `metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from asyncq.kq.pusher import Pusher
from asyncq.kq.queue import Queue
from asyncq.metrics.families import Families, Filler
from asyncq.metrics.naming import require_different

__all__ = ["PusherCollector", "QueueCollector"]

_OF_QUEUE: Final[Mapping[str, str]] = {
    "received": "Messages that came.",
    "handled": "Messages that a handler succeeded with.",
    "skipped": "Messages that failed for good and were committed all the same.",
    "failures": "Attempts that failed.",
    "dropped": "Messages that were given back unfinished, to come again.",
    "commits": "Commits that Kafka took.",
    "commit_failures": "Commits that Kafka did not take.",
    "rebalances": "How often partitions were assigned.",
}

_OF_PUSHER: Final[Mapping[str, str]] = {
    "pushed": "Messages that were pushed.",
    "stored": "Messages that Kafka has.",
    "failed": "Messages that Kafka does not have, as far as is known.",
    "chunks": "How often a chunk was sent.",
}


class QueueCollector(Filler):
    """Shows what queues of this process did since they started.

        REGISTRY.register(QueueCollector(queue))

    Or hand it to `asyncq.app.set_up`. All numbers come from memory.

    Args:
        queues: Usually one. Several need different names (`KqConf.name`), which the label `queue` has.
        namespace: What every name begins with.

    Raises:
        ConfigError: Two queues have the same name, or the namespace cannot be one.
    """

    def __init__(self, *queues: Queue, namespace: str = "asyncq") -> None:
        require_different([queue.name for queue in queues], label="queue")
        super().__init__(namespace)
        self._queues: Final = queues

    def _fill(self, to: Families) -> None:
        """Add what each did."""
        for queue in self._queues:
            stats, conf = queue.stats, queue.conf
            labels = {"queue": queue.name, "topic": conf.topic, "group": conf.group}
            for name, help_ in _OF_QUEUE.items():
                to.count(f"kq_{name}", help_, getattr(stats, name), **labels)
            to.gauge("kq_running", "Messages that are being handled.", stats.running, **labels)
            to.gauge("kq_partitions", "Partitions that the queue has.", len(queue.partitions), **labels)


class PusherCollector(Filler):
    """Shows what pushers of this process did since they started, those to one topic together.

        REGISTRY.register(PusherCollector(pusher))

    Args:
        pushers: As many as there are.
        namespace: What every name begins with.

    Raises:
        ConfigError: The namespace cannot be one.
    """

    def __init__(self, *pushers: Pusher, namespace: str = "asyncq") -> None:
        super().__init__(namespace)
        self._pushers: Final = pushers

    def _fill(self, to: Families) -> None:
        """Add what those to each topic did."""
        for topic, sums in self._by_topic().items():
            for name, help_ in _OF_PUSHER.items():
                to.count(f"kq_pusher_{name}", help_, sums[name], topic=topic)
            to.gauge("kq_pusher_pending", "Messages that are on their way.", sums["pending"], topic=topic)
            help_ = "Bytes of their keys and values."
            to.gauge("kq_pusher_pending_bytes", help_, sums["pending_bytes"], topic=topic)

    def _by_topic(self) -> Mapping[str, Counter[str]]:
        found: dict[str, Counter[str]] = {}
        for pusher in self._pushers:
            stats, sums = pusher.stats, found.setdefault(pusher.topic, Counter())
            for name in (*_OF_PUSHER, "pending", "pending_bytes"):
                sums[name] += getattr(stats, name)
        return found

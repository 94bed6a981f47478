"""The metrics of the whole: what stands in the queues, and who works on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from prometheus_client.core import Metric

from asyncq.inspector import QueueInfo, RedisInfo, SchedulerInfo, ServerInfo
from asyncq.measures import MeasuredPoint, total
from asyncq.metrics.families import Families

OTHER: Final = "other"
"""Stands for all queues that have no labels of their own."""

QUANTILES: Final = (0.5, 0.95, 0.99)

HEALTHS: Final = ("ok", "stalled", "stopped")


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment."""

    at: datetime
    queues: Sequence[QueueInfo] = ()
    servers: Sequence[ServerInfo] = ()
    schedulers: Sequence[SchedulerInfo] = ()
    redis: Sequence[RedisInfo] = ()
    recent: Sequence[MeasuredPoint] = ()  #: the last minutes that are over
    memory: Mapping[str, int] = field(default_factory=dict[str, int])  #: by queue, where it is known
    missing: int = 0  #: things on nodes of a cluster that are away


@dataclass(slots=True)
class _Queue:
    """A queue, or all those that have no label of their own."""

    states: Counter[str]
    latency: float
    orphaned: int
    processed: int
    failed: int
    paused: int
    slots: int
    memory: int | None

    @property
    def work(self) -> int:
        """Tasks that are ready or running."""
        return self.states["pending"] + self.states["active"]

    def add(self, other: _Queue) -> None:
        """Another one of those."""
        self.states.update(other.states)
        self.latency = max(self.latency, other.latency)
        self.orphaned += other.orphaned
        self.processed += other.processed
        self.failed += other.failed
        self.paused += other.paused
        self.slots += other.slots
        self.memory = None


def load(work: int, capacity: int) -> float:
    """The figure to scale by: tasks that are ready or running, for each slot.

    Without any server as if there was one slot: nobody could do anything with infinity.
    """
    return work / max(1, capacity)


class Labels:
    """Which queues have labels of their own: as many as there may be, the others share `other`.

    A queue stays where it was put first. Else counters of `other` would go down, which is a reset to
    Prometheus, whenever one grows out of it.
    """

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._labels: dict[str, str] = {}

    def of(self, queues: Iterable[QueueInfo]) -> dict[str, str]:
        """The label of each queue; of new ones, the largest are served first."""
        by_size = sorted(queues, key=lambda info: (-info.size, info.name))
        before, self._labels = self._labels, {}
        for info in by_size:
            if info.name in before:
                self._labels[info.name] = before[info.name]
        own = sum(label != OTHER for label in self._labels.values())
        for info in by_size:
            if info.name not in self._labels:
                has_room = own < self._most and info.name != OTHER
                self._labels[info.name] = info.name if has_room else OTHER
                own += has_room
        return self._labels


def families_of(look: Look, labels: Mapping[str, str], *, namespace: str) -> list[Metric]:
    """Turn what was seen into metrics.

    Args:
        look: What was seen.
        labels: The label of each queue.
        namespace: What every name begins with.
    """
    to = Families(namespace)
    for name, queue in _queues(look, labels).items():
        _fill_queue(to, name, queue)
    _fill_servers(to, look)
    _fill_schedulers(to, look)
    _fill_recent(to, look.recent)
    for node in look.redis:
        to.gauge(
            "redis_memory_bytes", "Memory that a Redis server uses.", node.memory_used, node=node.address
        )
        limit = node.memory_max or 0
        to.gauge("redis_memory_max_bytes", "What it may use; 0 for no limit.", limit, node=node.address)
    help_ = "Queues, servers and nodes that could not be looked at: a node of a cluster is away."
    to.gauge("missing", help_, look.missing)
    return to.all()


def _queues(look: Look, labels: Mapping[str, str]) -> dict[str, _Queue]:
    slots: Counter[str] = Counter()
    for server in look.servers:
        for served in server.queues:
            slots[served] += server.concurrency
    shown: dict[str, _Queue] = {}
    for info in look.queues:
        queue = _Queue(
            Counter(info.sizes),
            info.latency,
            info.orphaned,
            info.processed_total,
            info.failed_total,
            int(info.is_paused),
            slots[info.name],
            look.memory.get(info.name),
        )
        label = labels[info.name]
        if label in shown:
            shown[label].add(queue)
        else:
            shown[label] = queue
    return shown


def _fill_queue(to: Families, name: str, queue: _Queue) -> None:
    to.gauge("queue_size", "Tasks in a queue, whatever their state.", queue.states.total(), queue=name)
    help_ = "How long the task that is taken next has been ready; 0 when none is."
    to.gauge("queue_latency_seconds", help_, queue.latency, queue=name)
    if queue.memory is not None:
        help_ = "Memory that a queue takes, estimated from some of its tasks."
        to.gauge("queue_memory_usage_approx_bytes", help_, queue.memory, queue=name)
    for state, size in sorted(queue.states.items()):
        to.gauge("tasks_enqueued_total", "Tasks in a queue by state.", size, queue=name, state=state)
    to.count("tasks_processed", "Attempts that ended, well or badly.", queue.processed, queue=name)
    to.count("tasks_failed", "Attempts that failed.", queue.failed, queue=name)
    to.gauge(
        "queue_paused_total", "Whether a queue is paused; how many of `other` are.", queue.paused, queue=name
    )
    help_ = "Active tasks whose lease ran out: their server died, hangs, or lost Redis."
    to.gauge("queue_orphaned_tasks", help_, queue.orphaned, queue=name)
    help_ = "Slots of the servers that serve a queue; one that serves several counts for each."
    to.gauge("queue_slots", help_, queue.slots, queue=name)
    help_ = "Tasks that are ready or running, for each of these slots; without any, as if for one."
    to.gauge("queue_load", help_, load(queue.work, queue.slots), queue=name)


def _fill_servers(to: Families, look: Look) -> None:
    statuses = Counter(server.status for server in look.servers)
    for status in sorted({"active", *statuses}):
        to.gauge(
            "servers",
            "Servers that are there, by what they say of themselves.",
            statuses[status],
            status=status,
        )
    slots = sum(server.concurrency for server in look.servers)
    work = sum(info.pending + info.active for info in look.queues)
    to.gauge("slots", "Tasks that all servers can run at the same time.", slots)
    busy = sum(server.active for server in look.servers)
    to.gauge("slots_busy", "Tasks that they run, as they said at most some seconds ago.", busy)
    help_ = "Tasks that are ready or running, for each slot of all servers: the figure to scale by."
    to.gauge("load", help_, load(work, slots))


def _fill_schedulers(to: Families, look: Look) -> None:
    healths = Counter(scheduler.health for scheduler in look.schedulers)
    for health in sorted({*HEALTHS, *healths}):
        to.gauge("schedulers", "Schedulers that are there, by health.", healths[health], health=health)
    late = [look.at - one.overdue_since for one in look.schedulers if one.overdue_since is not None]
    help_ = "For how long the time that is overdue longest has been due; 0 when none is."
    lateness = max((one.total_seconds() for one in late), default=0.0)
    to.gauge("scheduler_lateness_seconds", help_, max(0.0, lateness))
    entries = max((one.entries for one in look.schedulers), default=0)
    to.gauge("scheduler_entries", "Entries that the scheduler with the most of them has.", entries)
    help_ = "Schedulers whose manager could not take over what its provider gave."
    to.gauge("scheduler_sync_failing", help_, sum(bool(one.sync_error) for one in look.schedulers))


def _fill_recent(to: Families, recent: Sequence[MeasuredPoint]) -> None:
    spreads = {
        "wait": "waited until they were taken",
        "run": "ran",
        "lateness": "were late, if they were delayed",
    }
    for name, what in spreads.items():
        spread = total(getattr(point, name) for point in recent)
        if spread.count:
            for quantile in QUANTILES:
                help_ = f"How long tasks {what}, of those of the last five minutes; all servers together."
                value = spread.percentile(100 * quantile)
                to.gauge(f"recent_{name}_seconds", help_, value, quantile=repr(quantile))

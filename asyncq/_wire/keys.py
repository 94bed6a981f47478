"""Every name in Redis, made in one place.

`docs/concepts/keyspace.md` lists the same names; a test compares the two.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID, uuid5

NATIVE_PREFIX: Final = "asyncq:"
ASYNQ_PREFIX: Final = "asynq:"


class QueueKeys:
    """The keys of one queue. All carry the hash tag `{queue}`, so all are in one cluster slot."""

    __slots__ = (
        "active",
        "aggregation_sets",
        "archived",
        "awaited",
        "base",
        "completed",
        "failed",
        "fence_prefix",
        "flow",
        "gathering",
        "group_prefix",
        "groups",
        "hours",
        "lease",
        "minutes",
        "name",
        "paused",
        "pending",
        "processed",
        "receipt_prefix",
        "retry",
        "scheduled",
        "task_prefix",
        "tick_prefix",
        "unique_prefix",
        "waiting",
    )

    def __init__(self, prefix: str, queue: str) -> None:
        base = f"{prefix}{{{queue}}}:"
        self.name = queue
        self.base = base
        self.pending = base + "pending"
        self.lease = base + "lease"
        self.active = base + "active"
        self.scheduled = base + "scheduled"
        self.retry = base + "retry"
        self.archived = base + "archived"
        self.completed = base + "completed"
        self.paused = base + "paused"
        self.processed = base + "processed"
        self.failed = base + "failed"
        self.groups = base + "groups"
        self.aggregation_sets = base + "aggregation_sets"
        self.gathering = base + "gathering"
        self.flow = base + "flow"
        self.waiting = base + "waiting"
        self.awaited = base + "awaited"
        self.minutes = base + "minutes"
        self.hours = base + "hours"
        self.task_prefix = base + "t:"
        self.group_prefix = base + "g:"
        self.unique_prefix = base + "unique:"
        self.receipt_prefix = base + "receipt:"
        self.tick_prefix = base + "tick:"
        self.fence_prefix = base + "fence:"

    @property
    def moments(self) -> tuple[str, str]:
        """The exact times of delayed tasks beside `scheduled` and `retry`, in the asynq wire."""
        return self.scheduled + ":moments", self.retry + ":moments"

    def task(self, task_id: str) -> str:
        """The hash of one task."""
        return self.task_prefix + task_id

    def unique(self, suffix: str) -> str:
        """The lock of a unique task; holds the id of its owner."""
        return self.unique_prefix + suffix

    def group(self, name: str) -> str:
        """The tasks that wait in one group."""
        return self.group_prefix + name

    def receipt(self, sender: str) -> str:
        """What the last call of one client or server did, so that the same call sent again does nothing."""
        return self.receipt_prefix + sender

    def tick(self, entry_id: str) -> str:
        """The last time of an entry of schedulers that was enqueued here, and what follows from it."""
        return self.tick_prefix + entry_id

    def fence(self, entry_id: str) -> str:
        """The least version of an entry of schedulers that may be enqueued here."""
        return self.fence_prefix + entry_id

    def day(self, counter: str, when: float) -> str:
        """A daily counter, `processed` or `failed`, of the UTC day of `when`."""
        return f"{self.base}{counter}:{utc_day(int(when // 86400))}"


class SemaphoreKeys:
    """The keys of one semaphore. All carry the hash tag `{scope}`."""

    __slots__ = ("holders", "parked", "queue", "standing")

    def __init__(self, prefix: str, scope: str) -> None:
        self.holders = f"{prefix}sema:{{{scope}}}"
        self.queue = self.holders + ":queue"
        self.standing = self.holders + ":standing"
        self.parked = self.holders + ":parked"


class ClaimKeys:
    """The keys of one claim. The lock has no prefix, for it is that of go-queue; both are in one slot.

    A name has no braces, so a cluster finds the place of the lock by all of it, and that is the tag.
    """

    __slots__ = ("lock", "story")

    def __init__(self, prefix: str, name: str) -> None:
        self.lock = name
        self.story = f"{prefix}claim:{{{name}}}"


class EntryKeys:
    """The stored entries of schedulers. All carry the hash tag `{entries}`."""

    __slots__ = ("changes", "entries", "removed", "state")

    def __init__(self, prefix: str) -> None:
        self.entries = f"{prefix}schedule:{{entries}}"
        self.changes = self.entries + ":changes"
        self.state = self.entries + ":state"
        self.removed = self.entries + ":removed"


class MeasuresKeys:
    """The numbers of all queues together. All carry the hash tag `{all}`."""

    __slots__ = ("hours", "minutes", "receipt_prefix")

    def __init__(self, prefix: str) -> None:
        base = f"{prefix}measures:{{all}}:"
        self.minutes = base + "minutes"
        self.hours = base + "hours"
        self.receipt_prefix = base + "receipt:"

    def receipt(self, sender: str) -> str:
        """The last call of one server, so that the same call sent again does nothing."""
        return self.receipt_prefix + sender


class GoKeys:
    """Where Go's servers and schedulers say what they are, and ours too, so that Go's tools show them.

    `process` is what one of them is called there: `process_name` says it for ours.
    """

    __slots__ = ("cancel", "prefix", "schedulers", "servers", "workers")

    def __init__(self, prefix: str = ASYNQ_PREFIX) -> None:
        self.prefix = prefix
        self.servers = prefix + "servers"
        self.workers = prefix + "workers"
        self.schedulers = prefix + "schedulers"
        self.cancel = prefix + "cancel"

    def server(self, process: str) -> str:
        """The record of a server."""
        return f"{self.servers}:{{{process}}}"

    def running(self, process: str) -> str:
        """The records of the tasks that a server runs."""
        return f"{self.workers}:{{{process}}}"

    def scheduler(self, process: str) -> str:
        """The entries of a scheduler."""
        return f"{self.schedulers}:{{{process}}}"

    def history(self, entry_id: str) -> str:
        """The tasks that an entry has enqueued."""
        return f"{self.prefix}scheduler_history:{entry_id}"


_OURS: Final = "asyncq-"


def process_name(host: str, pid: int, own_id: str) -> str:
    """Return what a server or scheduler of ours is called among those of Go. One can see that it is ours."""
    return f"{host}:{pid}:{_OURS}{own_id}"


def is_ours(process: str) -> bool:
    """Whether this is a server or scheduler of ours."""
    return process.rpartition(":")[2].startswith(_OURS)


_NOT_IN_A_PATH: Final = re.compile(r"[/?#%\\\x00-\x1f\x7f]|^\.{1,2}\Z")


def go_entry_id(entry_id: str) -> str:
    """Return what an entry of ours is called for Go's tools: asynqmon asks for its history in a URL.

    An id that does not fit into a path is shown as a UUID, always the same one.
    """
    if _NOT_IN_A_PATH.search(entry_id):
        return str(uuid5(_ENTRIES, entry_id.encode("utf-8", "surrogatepass").hex()))
    return entry_id


_ENTRIES: Final = UUID("6c3a1ef2-9a53-5f0e-9d0d-8b2f3f9d6a11")


class Keys:
    """The keys outside queues, and the way to those of a queue.

    `own` is the prefix of what only asyncq reads. In the native wire that is everything; in the asynq wire
    Go's servers and schedulers have names of their own for some of it.
    """

    __slots__ = (
        "_queues",
        "entries",
        "measures",
        "own",
        "prefix",
        "queues",
        "schedulers",
        "servers",
        "trail",
    )

    def __init__(self, prefix: str = NATIVE_PREFIX, *, own: str | None = None) -> None:
        self.prefix = prefix
        self.own = prefix if own is None else own
        self.queues = prefix + "queues"
        self.servers = self.own + "servers"
        self.schedulers = self.own + "schedulers"
        self.trail = self.own + "trail"
        self.entries = EntryKeys(self.own)
        self.measures = MeasuresKeys(self.own)
        self._queues: dict[str, QueueKeys] = {}

    def queue(self, name: str) -> QueueKeys:
        """The keys of one queue; the object is made once."""
        found = self._queues.get(name)
        if found is None:
            found = self._queues[name] = QueueKeys(self.prefix, name)
        return found

    def semaphore(self, scope: str) -> SemaphoreKeys:
        """The keys of one semaphore."""
        return SemaphoreKeys(self.own, scope)

    def claim(self, name: str) -> ClaimKeys:
        """The keys of one claim."""
        return ClaimKeys(self.own, name)

    def server(self, server_id: str) -> str:
        """What a server says of itself; expires when it stops saying it."""
        return f"{self.own}servers:{{{server_id}}}"

    def scheduler(self, scheduler_id: str) -> str:
        """What a scheduler says of itself and its entries; expires when it stops saying it."""
        return f"{self.own}schedulers:{{{scheduler_id}}}"

    def history(self, entry_id: str) -> str:
        """What became of the last times of one entry."""
        return f"{self.own}scheduler_history:{{{entry_id}}}"

    def channel(self, server_id: str) -> str:
        """Where one server listens: wake-ups and cancellations; and who waits for a slot of a semaphore."""
        return f"{self.own}to:{server_id}"

    @property
    def news(self) -> str:
        """Where all servers listen: something became due earlier than they knew."""
        return self.own + "news"

    @property
    def entry_news(self) -> str:
        """Where all schedulers listen: an entry was added, changed or removed."""
        return self.own + "news:entries"


@lru_cache(maxsize=64)
def utc_day(day_number: int) -> str:
    """The date of a day counted from 1970-01-01, as asynq writes it."""
    return datetime.fromtimestamp(day_number * 86400, tz=UTC).strftime("%Y-%m-%d")

"""What an audit can find, in words for the one who has to decide what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from asyncq.errors import Missing


class Kind(StrEnum):
    """What is wrong."""

    ORPHAN = "orphan"  #: a task in no list or set
    GHOST = "ghost"  #: an id in a list or set, of a task that has no message
    HOLLOW = "hollow"  #: a hash without a message, in no list or set
    TWICE = "twice"  #: a task in two places
    DUPLICATE = "duplicate"  #: a task several times in the pending list
    WRONG_STATE = "wrong_state"  #: the hash names another state than the place
    NO_TOKEN = "no_token"  # noqa: S105 - no password #: an active task without an owner
    STALE_TOKEN = "stale_token"  # noqa: S105 - no password #: a task that is not active and has an owner
    NO_LEASE = "no_lease"  #: an active task that nobody would ever take back (asynq wire)
    BARE_LEASE = "bare_lease"  #: an active task that Go could not settle (asynq wire)
    WRONG_TYPE = "wrong_type"  #: a key that holds something else than it should
    DEAD_LOCK = "dead_lock"  #: a unique lock whose owner is not there
    STRAY_LOCK = "stray_lock"  #: a unique lock of which its owner knows nothing
    UNNAMED_LOCK = "unnamed_lock"  #: a unique lock that only the message of its owner names
    COUNTERS = "counters"  #: created is not what is there and what is gone
    UNLISTED_QUEUE = "unlisted_queue"  #: a queue that tools do not see
    UNLISTED_GROUP = "unlisted_group"  #: a group that nobody will aggregate
    EMPTY_GROUP = "empty_group"  #: the name of a group in which nothing waits
    UNREADABLE = "unreadable"  #: a message that cannot be decoded
    STALE_SET = "stale_set"  #: tasks taken out of a group, and nobody aggregates them (asynq wire)
    EXPIRED_LEASE = "expired_lease"  #: leases that ran out, and nobody took the tasks back
    ENTRY_INDEX = "entry_index"  #: what schedulers are told of the stored entries is not what is there
    UNREADABLE_ENTRY = "unreadable_entry"  #: a stored entry that nobody can run
    UNFENCED = "unfenced"  #: a change of an entry that does not hold everywhere
    LASTING = "lasting"  #: what a queue remembers of an entry for ever
    STUCK_TIME = "stuck_time"  #: a time of an entry that waits and must not run
    UNATTENDED = "unattended"  #: times of an entry for which something is to be done that nobody does
    NOT_COUNTED = "not_counted"  #: too many groups to count them all at one moment


NOTICES: Final = frozenset(
    {
        Kind.EMPTY_GROUP,
        Kind.UNREADABLE,
        Kind.STALE_SET,
        Kind.EXPIRED_LEASE,
        Kind.UNATTENDED,
        Kind.NOT_COUNTED,
    }
)
"""Worth saying, and no damage: the system deals with it, or it does no harm."""

BEYOND_REPAIR: Final = frozenset(
    {
        Kind.WRONG_TYPE,
        Kind.UNREADABLE,
        Kind.UNREADABLE_ENTRY,
        Kind.EXPIRED_LEASE,
        Kind.UNATTENDED,
        Kind.NOT_COUNTED,
    }
)

OF_ENTRIES: Final = frozenset({Kind.ENTRY_INDEX, Kind.UNFENCED, Kind.LASTING, Kind.STUCK_TIME})
"""What is repaired for stored entries of schedulers."""

OF_TASKS: Final = frozenset(
    {
        Kind.ORPHAN,
        Kind.GHOST,
        Kind.HOLLOW,
        Kind.TWICE,
        Kind.DUPLICATE,
        Kind.WRONG_STATE,
        Kind.NO_TOKEN,
        Kind.STALE_TOKEN,
        Kind.NO_LEASE,
        Kind.BARE_LEASE,
    }
)
"""What one script repairs: it puts the task where it belongs, whatever was wrong with it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    kind: Kind
    queue: str  #: '' for what is of no queue: the stored entries
    key: str  #: id of the task or entry, suffix of the lock, name of the group or queue
    text: str  #: what is wrong
    remedy: str  #: what a repair does about it, or what you can do
    raw: bytes = field(default=b"", repr=False)  #: `key` as it is in Redis
    seen_in: tuple[bytes, ...] = field(default=(), repr=False)  #: groups in which the id was seen
    home: str = field(default="", repr=False)  #: where a task belongs; of entries, what a repair needs
    unseen: bytes = field(default=b"", repr=False)  #: trace of a task that was not in the pending list

    @property
    def is_damage(self) -> bool:
        """Whether an invariant is broken; otherwise it is a notice."""
        return self.kind not in NOTICES

    @property
    def repairable(self) -> bool:
        """Whether a repair changes it."""
        return self.kind not in BEYOND_REPAIR


MOST_FINDINGS: Final = 100_000
"""Findings of one kind in one queue that a report holds; the rest is counted.

A repair goes on until none is left."""


@dataclass(slots=True)
class Report:
    """What an audit found."""

    findings: list[Finding] = field(default_factory=list[Finding])
    counts: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """Tasks of each queue in each state, of one moment for each queue."""

    flow: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """The counters of each queue: tasks created, done, revoked, … since the queue exists."""

    paused: set[str] = field(default_factory=set[str])
    examined: int = 0  #: tasks that were looked at
    left_out: int = 0  #: findings beyond `MOST_FINDINGS`
    missing: list[Missing] = field(default_factory=list[Missing])
    """What was not looked at and not judged, as its node of a cluster did not answer. Empty, unless a
    partial report was asked for."""

    _numbers: dict[tuple[Kind, str], int] = field(default_factory=dict[tuple[Kind, str], int])

    @property
    def is_clean(self) -> bool:
        """Whether all was looked at, and no invariant is broken. Notices do not count."""
        return not self.missing and not any(finding.is_damage for finding in self.findings)

    @property
    def damage(self) -> list[Finding]:
        """The findings that are no notices."""
        return [finding for finding in self.findings if finding.is_damage]

    def add(self, finding: Finding) -> None:
        """Keep a finding, or count it when there are too many like it."""
        number = self._numbers.get((finding.kind, finding.queue), 0)
        self._numbers[finding.kind, finding.queue] = number + 1
        if number < MOST_FINDINGS:
            self.findings.append(finding)
        else:
            self.left_out += 1

    def take(self, part: Report) -> None:
        """Take over what was found in one queue."""
        self.findings += part.findings
        self.counts |= part.counts
        self.flow |= part.flow
        self.paused |= part.paused
        self.examined += part.examined
        self.left_out += part.left_out

    def __str__(self) -> str:
        """For a test that expected it to be clean."""
        lines = [f"{f.queue}: {f.kind}: {f.key} {f.text}" for f in self.findings[:50]]
        lines += [f"not looked at: {missing}" for missing in self.missing]
        return "\n".join([f"{self.examined} tasks examined, {len(self.findings)} findings", *lines])


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an audit is."""

    step: str  #: what is being done, with the name of the queue if it is about one
    done: int
    total: int  #: an estimate; 0 when there is none


OnProgress = Callable[[Progress], None]

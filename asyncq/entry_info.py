"""What can be said about an entry of schedulers, and about one of its times."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from asyncq._checks import require_whole
from asyncq._cron import parse
from asyncq._entry_rules import Rules
from asyncq.codecs import Codecs
from asyncq.errors import ConfigError
from asyncq.options import DEFAULT_QUEUE, TaskOptions

__all__ = ["EnqueueEvent", "EntryInfo", "GoEntryInfo"]

_MOST_UPCOMING: Final = 1000
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """An entry as it is stored, and what came of it, as it was when somebody looked."""

    id: str
    spec: str
    timezone: str
    type: str
    queue: str
    options: TaskOptions
    rules: Rules  #: what becomes of missed and overlapping times
    version: int  #: another one after each change; for `upsert` and `remove`
    origin: Literal["code", "client"]  #: declared in code, or put by a client
    application: str  #: whose code it is
    created_at: datetime
    changed_at: datetime
    paused_at: datetime | None  #: since when nothing is enqueued; `None` when it is not paused
    pause_reason: str
    orphaned_at: datetime | None  #: when it was found that no code declares it any more
    next_at: datetime | None  #: when it is due; `None` for never again, while it is paused, and for an orphan
    previous_at: datetime | None  #: the last of its times that was enqueued; `None` when nobody remembers
    lateness: float | None  #: seconds by which that one was late; `None` when nobody remembers
    last_error: str  #: why the last time was not enqueued; empty when it was
    raw: bytes = field(repr=False)  #: the payload
    _codec: str = field(repr=False)
    _codecs: Codecs = field(repr=False, compare=False)
    is_redacted: bool = False  #: whether a redactor has decided what is seen of payload, headers and error

    @property
    def is_paused(self) -> bool:
        """Whether it is enqueued by hand only."""
        return self.paused_at is not None

    @property
    def is_orphan(self) -> bool:
        """Whether it was declared in code, and no running scheduler declares it any more."""
        return self.orphaned_at is not None

    @property
    def payload(self) -> Any:
        """The payload, decoded; `None` when there is none.

        Raises:
            WireError: It cannot be decoded, or by no codec that is known here.
        """
        return self._codecs.decode(self._codec, self.raw, where=f"the payload of entry {self.id!r}")

    def upcoming(self, count: int = _SHOWN) -> list[datetime]:
        """The next times, without their jitter; none while it is paused, and for an orphan.

        Args:
            count: How many at the most; up to 1,000.

        Raises:
            ConfigError: `count` is not from 1 to 1,000.
        """
        return _upcoming(self.spec, self.timezone, self.next_at, count)


@dataclass(frozen=True, slots=True)
class GoEntryInfo:
    """An entry of a scheduler of Go's, as that scheduler said it some seconds ago.

    It is in the code of that scheduler alone: it can be looked at, and not be changed.
    """

    id: str  #: made anew each time its scheduler starts
    spec: str
    type: str
    options: TaskOptions
    unread: tuple[str, ...]  #: options as text that cannot be read: of a newer version, perhaps
    next_at: datetime | None
    previous_at: datetime | None  #: `None` when it was not enqueued yet since its scheduler has started
    scheduler_id: str
    host: str
    pid: int
    raw: bytes = field(repr=False)  #: the payload
    _codec: str = field(repr=False)
    _codecs: Codecs = field(repr=False, compare=False)
    is_redacted: bool = False  #: whether a redactor has decided what is seen of payload and headers

    @property
    def queue(self) -> str:
        """Where its tasks go."""
        return self.options.get("queue", DEFAULT_QUEUE)

    @property
    def payload(self) -> Any:
        """The payload, decoded; `None` when there is none.

        Raises:
            WireError: It cannot be decoded: Go's payloads may be any bytes, see `raw`.
        """
        codec = self._codec if self.raw else ""
        return self._codecs.decode(codec, self.raw, where=f"the payload of entry {self.id!r}")

    def upcoming(self, count: int = _SHOWN) -> list[datetime]:
        """The next times. As `EntryInfo.upcoming`; the next one alone where only Go can read the spec."""
        return _upcoming(self.spec, "UTC", self.next_at, count)


def _upcoming(spec: str, timezone: str, next_at: datetime | None, count: int) -> list[datetime]:
    require_whole("count", count, least=1)
    if count > _MOST_UPCOMING:
        raise ConfigError("count", count, f"at most {_MOST_UPCOMING}")
    found: list[datetime] = []
    try:
        schedule = parse(spec, timezone)
    except ConfigError:
        return found if next_at is None else [next_at]
    while next_at is not None and len(found) < count:
        found.append(next_at)
        next_at = schedule.next(next_at)
    return found


@dataclass(frozen=True, slots=True)
class EnqueueEvent:
    """What became of one time of an entry, or of several in a row; or what was done to the entry."""

    entry_id: str
    task_id: str  #: empty when none was enqueued
    queue: str
    enqueued_at: datetime  #: when this was noted
    nominal_at: datetime  #: when it was due
    error: str  #: why it was not enqueued; empty when it was
    scheduler_id: str  #: of the scheduler, or of the client that ran, paused or resumed it
    reason: str = ""  #: of what was not enqueued: missed, too_old, overlap, paused, changed, several, failed
    is_manual: bool = False  #: whether `run_now` did it
    count: int = 1  #: of how many times in a row this tells
    until: datetime | None = None  #: the last of them, if there are several

    @property
    def outcome(self) -> Literal["enqueued", "skipped", "failed", "paused", "resumed"]:
        """What became of it, in a word."""
        if self.task_id:
            return "enqueued"
        if not self.count and self.reason in ("paused", "resumed"):
            return "paused" if self.reason == "paused" else "resumed"
        return "failed" if self.error and self.reason in ("", "failed") else "skipped"

    @property
    def lateness(self) -> float | None:
        """Seconds from when it was due until it was enqueued; `None` of what was not, or by hand."""
        if not self.task_id or self.is_manual:
            return None
        return max(0.0, (self.enqueued_at - self.nominal_at).total_seconds())

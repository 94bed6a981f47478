"""What happened to a task and when, as a list to be read from top to bottom. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from asyncq.task_info import Attempt, TaskInfo

_OUTCOMES: Final[Mapping[str, str]] = {
    "retry": "failed, to run again",
    "lost": "lost with its server",
    "exhausted": "failed, no retries left",
    "skip_retry": "failed, not to be retried",
    "cancelled": "cancelled",
    "unreadable": "could not be read",
}

_REASONS: Final[Mapping[str, str]] = {
    "exhausted": "no retries were left",
    "skip_retry": "the handler said that it is not to be retried",
    "cancelled": "it was cancelled",
    "lost": "its server vanished too often",
    "unreadable": "its message could not be read",
    "requested": "somebody asked for it",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, or will."""

    at: datetime | None
    what: str
    tone: str = ""
    note: str = ""
    server_id: str = ""
    seconds: float | None = None  #: how long it took
    error: str = ""
    traceback: str = ""


def timeline(info: TaskInfo) -> list[Event]:
    """The events of a task, the earliest first."""
    events = [Event(info.enqueued_at, "Enqueued", note="by the clock of the client")]
    known = {attempt.number for attempt in info.attempts}
    earlier = min(known, default=1) - 1
    if earlier:
        events.append(Event(None, f"{earlier} earlier deliveries", note="no record is kept of them"))
    events += [_failed(attempt) for attempt in info.attempts]
    events += _last(info, known)
    return events


def _failed(attempt: Attempt) -> Event:
    seconds = None
    if attempt.started_at and attempt.ended_at:
        seconds = max(0.0, (attempt.ended_at - attempt.started_at).total_seconds())
    return Event(
        attempt.started_at or attempt.ended_at,
        f"Delivery {attempt.number}: {_OUTCOMES.get(attempt.outcome, attempt.outcome)}",
        "warn" if attempt.outcome in ("retry", "lost") else "bad",
        server_id=attempt.server_id,
        seconds=seconds,
        error=attempt.error,
        traceback=attempt.traceback,
    )


def _last(info: TaskInfo, known: set[int]) -> list[Event]:
    """What came last, and what comes next."""
    state, events = info.state.value, list[Event]()
    if info.last_error and not known:
        # Of before records were kept, or of a server of Go's.
        events.append(Event(info.last_failed_at, "Failed", "warn", error=info.last_error))
    if state == "active":
        note = "its lease ran out: it is about to be taken back" if info.is_orphaned else ""
        events.append(
            Event(
                info.delivered_at,
                f"Delivery {info.deliveries}: running",
                "warn" if info.is_orphaned else "good",
                note=note,
                server_id=info.server_id,
            )
        )
    elif state == "completed":
        seconds = None
        if info.completed_at and info.delivered_at:
            seconds = max(0.0, (info.completed_at - info.delivered_at).total_seconds())
        events.append(Event(info.completed_at, "Succeeded", "good", seconds=seconds))
    elif state == "archived":
        events.append(Event(None, "Archived", "bad", note=_REASONS.get(info.reason, info.reason)))
    elif state == "pending":
        events.append(Event(None, "Waits for a server"))
    elif state == "aggregating":
        events.append(Event(None, f"Waits in the group {info.group}"))
    else:
        events.append(Event(info.next_process_at, "Runs again" if state == "retry" else "Runs"))
    return events

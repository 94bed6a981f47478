"""One record of the trail: who did what, with which outcome."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, cast

from asyncq._clock import from_unix

Outcome = Literal["begun", "done", "failed", "refused", "interrupted"]

OUTCOMES: Final = ("begun", "done", "failed", "refused", "interrupted")

LONGEST: Final = 1000
"""Characters of one text of a record. The trail is for people, and has to fit into Redis."""

Texts = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailRecord:
    """What somebody did, or tried to do."""

    id: str = ""  #: its place in the trail; empty when it could not be written there
    at: datetime  #: when it was written, by the clock of Redis
    actor: str  #: who
    via: str  #: by which tool
    action: str  #: name of the right that it needs
    queue: str = ""  #: empty for what is of no queue
    target: str = ""  #: id of the task or entry, or which ones
    outcome: Outcome
    """What came of it. Work on many has a record `begun` and another one at its end. `interrupted` is what
    was cancelled on its way, and may have been done."""

    reason: str = ""  #: why it was refused, or failed; of what was done, more of what came of it
    count: int | None = None  #: of work on many: how many were changed
    changes: Mapping[str, Texts] = field(default_factory=dict[str, Texts])
    """What was changed by an edit: text from before and of now, as whoever did it could see it."""

    is_redacted: bool = False  #: whether a redactor stood between the changes and who made them
    operation: str = ""  #: the same for all records of one change

    def fields(self) -> dict[str, str]:
        """The fields of the stream: what says nothing is left out."""
        changes = {name: list(texts) for name, texts in self.changes.items()}
        found = {
            "actor": self.actor,
            "via": self.via,
            "action": self.action,
            "queue": self.queue,
            "target": self.target,
            "outcome": self.outcome,
            "reason": self.reason,
            "count": "" if self.count is None else str(self.count),
            "changes": json.dumps(changes, ensure_ascii=False) if changes else "",
            "redacted": "1" if changes and self.is_redacted else "",
            "operation": self.operation,
        }
        return {name: _storable(text) for name, text in found.items() if text}


def record_of(identity: str, fields: Mapping[str, str]) -> TrailRecord | None:
    """Read a record; `None` for what is none of ours."""
    if fields.get("outcome") not in OUTCOMES or not fields.get("action"):
        return None
    count = fields.get("count", "")
    return TrailRecord(
        id=identity,
        at=from_unix(int(identity.partition("-")[0]) / 1000),
        actor=fields.get("actor", ""),
        via=fields.get("via", ""),
        action=fields["action"],
        queue=fields.get("queue", ""),
        target=fields.get("target", ""),
        outcome=cast("Outcome", fields["outcome"]),
        reason=fields.get("reason", ""),
        count=int(count) if count.isdecimal() else None,
        changes=_changes(fields.get("changes", "")),
        is_redacted=bool(fields.get("redacted")),
        operation=fields.get("operation", ""),
    )


def _changes(text: str) -> dict[str, Texts]:
    try:
        found: Any = json.loads(text) if text else {}
        return {str(name): (str(before), str(after)) for name, (before, after) in found.items()}
    except (ValueError, TypeError, AttributeError):  # somebody wrote there by hand
        return {}


def shortened(text: str) -> str:
    """A text that fits into a record."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def text_of(value: object) -> str:
    """A value as people read it."""
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return shortened(repr(value[:LONGEST]))
    try:
        return shortened(json.dumps(value, ensure_ascii=False, default=str))
    except (TypeError, ValueError):  # keys that are no text, or a value within itself
        return shortened(reprlib.repr(value))


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")

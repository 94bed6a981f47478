"""What a handler is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from asyncq.dq.stamp import from_ns


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is due."""

    body: bytes
    due_ns: int
    """When it was to be handled, in Unix nanoseconds."""

    key: str
    """By what its copies are known to be copies: the same on each node, and in each attempt."""

    endpoint: str
    tube: str
    job_id: int
    attempt: int = 1
    """1 the first time, and one more after each failure."""

    @property
    def due(self) -> datetime:
        """When it was to be handled."""
        return from_ns(self.due_ns)

    @property
    def id(self) -> str:
        """Of this copy: `endpoint/tube/number`."""
        return f"{self.endpoint}/{self.tube}/{self.job_id}"


@dataclass(frozen=True, slots=True)
class Discarded:
    """A message that is not handled, and why."""

    reason: Literal["late", "unreadable"]
    """Due too long ago (`guard`), or a job that no producer of dq has put."""

    raw: bytes
    """The whole of the job."""

    id: str
    """Of the copy that was met first: `endpoint/tube/number`."""

    message: Message | None
    """The message that is late."""

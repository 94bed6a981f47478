"""What both orders of a delivery have in common: the job, the message in it, and the tools."""

from __future__ import annotations

import secrets
import string
import time
from dataclasses import dataclass
from typing import Final, Protocol

from asyncq.beanstalk import Client, Job
from asyncq.claims import Claims
from asyncq.dq.calling import Caller
from asyncq.dq.conf import Beanstalk
from asyncq.dq.message import Discarded, Message
from asyncq.dq.settings import ConsumerConfig, Handler
from asyncq.dq.stamp import key_of, unwrap
from asyncq.dq.watch import Watch

KEEP: Final = 3600.5
"""Seconds for which go-queue remembers that a message is done, and so do we."""

_LETTERS: Final = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Tools:
    """What a delivery works with."""

    config: ConsumerConfig
    handler: Handler
    claims: Claims
    caller: Caller
    watch: Watch


class Order(Protocol):
    """The order in which a delivery is done."""

    async def deliver(self, client: Client, node: Beanstalk, job: Job) -> None:
        """Do with a job that was reserved on this connection whatever is to be done."""
        ...

    def abandon(self) -> None:
        """Stop the handlers that still run."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job that came, and what is in it."""

    node: Beanstalk
    job: Job
    key: str
    due_ns: int | None
    """`None` when it cannot be read."""
    body: bytes
    is_late: bool

    @classmethod
    def of(cls, node: Beanstalk, job: Job, guard_ns: int | None) -> Arrival:
        """Read a job."""
        found = unwrap(job.body)
        due, body = found or (None, b"")
        is_late = due is not None and guard_ns is not None and due + guard_ns < time.time_ns()
        return cls(node, job, key_of(job.body), due, body, is_late)

    @property
    def id(self) -> str:
        """Of this copy."""
        return f"{self.node.endpoint}/{self.node.tube}/{self.job.id}"

    def message(self, attempt: int = 1) -> Message | None:
        """The message in it, if it can be read."""
        if self.due_ns is None:
            return None
        return Message(
            self.body, self.due_ns, self.key, self.node.endpoint, self.node.tube, self.job.id, attempt
        )

    def discarded(self) -> Discarded:
        """The same as what is not handled."""
        message = self.message()
        return Discarded("late" if message else "unreadable", self.job.body, self.id, message)


def new_token() -> str:
    """What go-queue writes into a lock: 16 letters and digits. With it we tell our claims apart, too."""
    return "".join(secrets.choice(_LETTERS) for _ in range(16))


def say_discarded(tools: Tools, found: Discarded) -> None:
    """Log and count what is not handled."""
    tools.watch.count(discarded=1)
    tools.watch.log.warning(
        "%s discards %s: %s",
        tools.watch.name,
        found.id,
        "it was due too long ago" if found.reason == "late" else "no producer of dq has put it",
        extra={"event": "message_discarded", "message_id": found.id, "reason": found.reason},
    )


def say_failed(tools: Tools, message: Message, error: Exception) -> None:
    """Log and count an attempt that failed."""
    tools.watch.count(failed=1)
    tools.watch.log.warning(
        "%s failed with attempt %d of %s: %s",
        tools.watch.name,
        message.attempt,
        message.id,
        error,
        exc_info=error,
        extra={"event": "message_failed", "message_id": message.id, "attempt": message.attempt},
    )

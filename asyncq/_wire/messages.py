"""What is written once for a task, and what is handed to the enqueue area."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

_NO_HEADERS: Final = cast("Callable[[], dict[str, str]]", dict)
"""Not `dict[str, str]`, which takes ten times as long to make an empty one: one is made for every task."""


@dataclass(frozen=True, slots=True)
class Past:
    """What became of a task so far, where the wire keeps that inside the message."""

    retried: int = 0
    error: str = ""  #: of the last attempt that failed
    failed_at: float = 0.0  #: Unix seconds, 0 for never
    completed_at: float = 0.0  #: Unix seconds, 0 for not yet


@dataclass(slots=True)
class Envelope:
    """The part of a task that does not change after it was enqueued.

    It is stored encoded in the hash field `msg`. What does change (how often the task was
    retried, its last error, who holds it) are fields of their own beside it, so that no script
    has to decode or rewrite an envelope. Queue and id are not in here: the key says them.
    """

    type: str
    payload: bytes
    codec: str = ""  #: name of the payload codec, empty for raw bytes
    max_retry: int = 25
    timeout: float = 1800.0  #: seconds for one attempt, 0 for none
    deadline: float = 0.0  #: Unix seconds, 0 for none
    retention: float = 0.0  #: seconds to keep the task after success
    expires_at: float = 0.0  #: Unix seconds, 0 for never: not started by then, it is dropped
    unique_key: str = ""  #: suffix of the lock key: "<type>:<md5 of the payload>"
    group: str = ""
    retry_policy: str = ""  #: name of a policy the server knows, empty for the server's own
    headers: dict[str, str] = field(default_factory=_NO_HEADERS)
    enqueued_at: float = 0.0  #: by the client's clock, to be shown; nothing is decided by it
    nonce: str = ""  #: set when the caller chose the id, so that a re-send is recognised
    past: Past | None = None  #: as the message itself has it; None in the native wire, where it has not


@dataclass(frozen=True, slots=True)
class Claim:
    """Makes a task the one of a certain time of an entry: of all schedulers, one enqueues it."""

    entry_id: str
    nominal: float  #: when it was due, Unix seconds
    gap: float  #: seconds that lie between two times at least
    keep: int  #: seconds for which the claim is remembered
    task_id: str = ""  #: the id that each scheduler gives to the task of this time
    since: float = 0.0  #: the time before it; what was claimed last before that was missed
    is_strict: bool = False  #: whether a time that was missed has to come first
    version: int = 0  #: of the entry; one that has changed since is refused
    overlap: str = ""  #: what to do when the last run is not over; empty: nothing
    begun: float = 0.0  #: since when times count while no last one is known; 0 if nobody can say
    is_release: bool = False  #: whether this time was claimed and waits for the end of the last run


@dataclass(slots=True)
class NewTask:
    """A task on its way into Redis."""

    queue: str
    id: str
    envelope: Envelope
    at: float = 0.0  #: due at this Unix second; 0 for not given
    delay: float = 0.0  #: due this many seconds after Redis reads it; 0 for not given
    unique_ttl: float = 0.0  #: above 0: take the lock `envelope.unique_key` for so long
    claim: Claim | None = None  #: of the scheduler that enqueues it

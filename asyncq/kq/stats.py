"""What a pusher and a queue did so far."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PusherStats", "QueueStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PusherStats:
    """What a pusher did since it started."""

    pushed: int  #: messages that were pushed
    stored: int  #: of them, those that Kafka has
    failed: int  #: of them, those that it does not have, as far as we know
    chunks: int  #: how often a chunk was sent
    pending: int  #: messages that are on their way
    pending_bytes: int  #: their keys and values


@dataclass(slots=True, kw_only=True)
class QueueStats:
    """What a queue did since it started, all its readers together."""

    received: int = 0  #: messages that came
    handled: int = 0  #: of them, those that a handler succeeded with
    skipped: int = 0  #: of them, those that failed for good and were committed all the same
    failures: int = 0  #: attempts that failed
    dropped: int = 0  #: messages that were given back unfinished, to come again here or elsewhere
    running: int = 0  #: messages that are being handled
    commits: int = 0  #: commits that Kafka took
    commit_failures: int = 0  #: commits that it did not take
    rebalances: int = 0  #: how often partitions were assigned

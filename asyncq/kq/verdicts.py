"""What becomes of a message when its handler is over."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal

from asyncq.errors import RetryIn, RevokeTask, SkipRetry

FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0

Fate = Literal["done", "skipped", "again", "halt"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a message."""

    fate: Fate
    """`done`: it may be committed. `skipped`: the same, though it failed. `again`: hand it out after `delay`.
    `halt`: it may neither be committed nor tried again, so the queue stops."""

    delay: float = 0.0


def decide(
    error: BaseException | None, attempt: int, *, force_commit: bool, max_attempts: int | None
) -> Verdict:
    """Say what becomes of a message.

    Args:
        error: What the handler raised; None when it returned.
        attempt: Which attempt it was, from 1.
        force_commit: Whether a message that failed may be committed.
        max_attempts: Attempts before it has failed for good. None: one with `force_commit`, as in go-queue,
            and any number without.
    """
    if error is None or isinstance(error, RevokeTask):
        return Verdict("done")
    if isinstance(error, SkipRetry):
        return Verdict("skipped")
    if isinstance(error, RetryIn) and (not error.counts or max_attempts is None or attempt < max_attempts):
        return Verdict(
            "again", error.delay
        )  # it asks for another attempt, whatever the settings say of errors
    most = max_attempts if max_attempts is not None else 1 if force_commit else None
    if most is None or attempt < most:
        return Verdict("again", delay_after(attempt))
    return Verdict("skipped" if force_commit else "halt")


def delay_after(attempt: int) -> float:
    """Seconds until the next attempt: one, doubled each time up to thirty, less up to half by chance."""
    longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempt - 1, 10))
    return random.uniform(longest / 2, longest)

"""The bytes of a message in beanstalkd, as go-queue writes them: `<due in Unix nanoseconds>/<body>`."""

from __future__ import annotations

import hashlib
import re
import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final

from asyncq._clock import DURATION, INSTANT
from asyncq.errors import ConfigError

SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST: Final = 2**63 - 1
_SIGNED: Final = re.compile(rb"[+-]?[0-9]+")


def wrap(body: bytes, due_ns: int) -> bytes:
    """What is put into beanstalkd."""
    return b"%d/%b" % (due_ns, body)


def unwrap(raw: bytes, now_ns: int | None = None) -> tuple[int, bytes] | None:
    """When a message is due, in Unix nanoseconds, and its body. `None` where go-queue would discard it.

    The first `/` must stand among as many bytes as the time of today has digits, and two more.
    """
    window = len(str(time.time_ns() if now_ns is None else now_ns)) + 2
    at = raw[:window].find(b"/")
    if at < 0 or not _SIGNED.fullmatch(raw[:at]):
        return None
    due = int(raw[:at])
    return (due, raw[at + 1 :]) if -_LARGEST - 1 <= due <= _LARGEST else None


def key_of(raw: bytes) -> str:
    """By what the copies of a message are known to be copies: the key of its lock, as in go-queue."""
    return hashlib.md5(raw, usedforsecurity=False).hexdigest()


def instant_ns(when: object) -> int:
    """An aware datetime in Unix nanoseconds, exactly.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(when, datetime) or when.utcoffset() is None:
        raise ConfigError("when", when, INSTANT)
    return (when - _EPOCH) // timedelta(microseconds=1) * 1000


def duration_ns(delay: object) -> int:
    """A duration in nanoseconds, exactly.

    Raises:
        ConfigError: It is none, or negative.
    """
    found: Fraction | None = None
    if isinstance(delay, timedelta):
        found = Fraction(delay // timedelta(microseconds=1), 1_000_000)
    elif isinstance(delay, int | float) and not isinstance(delay, bool) and abs(delay) < float("inf"):
        found = Fraction(delay)
    if found is None or found < 0:
        raise ConfigError("delay", delay, f"{DURATION}, and nothing negative")
    return int(found * SECOND)


def from_ns(due_ns: int) -> datetime:
    """An instant in Unix nanoseconds as a datetime in UTC, which has microseconds only."""
    return _EPOCH + timedelta(microseconds=due_ns // 1000)

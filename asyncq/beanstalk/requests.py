"""What is sent to a beanstalkd, and which words answer it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asyncq.beanstalk.protocol import require_numbers


@dataclass(frozen=True, slots=True)
class Request:
    """Something to send, and the words that answer it."""

    name: str
    data: bytes
    words: tuple[bytes, ...]


def ask(name: str, *args: object, words: Sequence[bytes], body: bytes | None = None) -> Request:
    """A command with its arguments, and with a body where it has one."""
    line = " ".join([name, *map(str, args)]).encode()
    tail = b"" if body is None else body + b"\r\n"
    return Request(name, line + b"\r\n" + tail, tuple(words))


def reserve_job(job_id: int) -> Request:
    """Take one job."""
    require_numbers(job_id=job_id)
    return ask("reserve-job", job_id, words=(b"RESERVED",))


def release(job_id: int, priority: int, delay: int) -> Request:
    """Give a job back."""
    require_numbers(job_id=job_id, priority=priority, delay=delay)
    return ask("release", job_id, priority, delay, words=(b"RELEASED",))


def bury(job_id: int, priority: int) -> Request:
    """Set a job aside."""
    require_numbers(job_id=job_id, priority=priority)
    return ask("bury", job_id, priority, words=(b"BURIED",))

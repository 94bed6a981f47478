"""The connections of the fake beanstalkd: they read commands and answer them."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.support.fake_beanstalkd import FakeBeanstalkd

__all__ = ["Conn", "FakeJob", "State"]

State = Literal["ready", "delayed", "reserved", "buried"]

_TUBE = re.compile(r"[A-Za-z0-9+/;.$_()][A-Za-z0-9\-+/;.$_()]{0,199}")


@dataclass
class FakeJob:
    """A job, and what happened to it."""

    id: int
    pri: int
    delay: int
    ttr: int
    body: bytes
    tube: str
    state: State = "ready"
    until: float = 0.0
    holder: Conn | None = None
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("reserves", "timeouts", "releases", "buries", "kicks"), 0)
    )


class Conn(asyncio.Protocol):
    """One connection to it."""

    _made = 0

    def __init__(self, server: FakeBeanstalkd) -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.used = "default"
        self.watched = ["default"]
        self.waits_until: float | None = None
        self._is_muted = False
        Conn._made += 1
        self.number = Conn._made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        if not self._server.is_listening:  # accepted in the moment of its end
            transport.abort()
            return
        self._transport = transport
        self._server.conns.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever goes leaves its jobs to others."""
        self._server.conns.discard(self)
        for job in [job for job in self._server.jobs.values() if job.holder is self]:
            self._server.give_back(job)
        self._server.turn()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def read(self, *, is_reading: bool) -> None:
        """Read what comes, or leave it where it is."""
        if self._transport is not None:
            (self._transport.resume_reading if is_reading else self._transport.pause_reading)()

    def data_received(self, data: bytes) -> None:
        """Take what came, and do what is whole. While a reserve waits, the rest waits behind it."""
        self._buffer += data
        self._pump()

    def _pump(self) -> None:
        while self.waits_until is None and b"\r\n" in self._buffer and self in self._server.conns:
            line, _, rest = self._buffer.partition(b"\r\n")
            name, *args = line.decode("latin-1").split(" ")
            body = b""
            if name == "put" and len(args) == 4 and args[3].isdigit():
                size = int(args[3])
                if len(rest) < size + 2:
                    return
                body, rest = rest[: size + 2], rest[size + 2 :]
            self._buffer = rest
            self._obey(name, args, body)

    def _obey(self, name: str, args: list[str], body: bytes) -> None:
        self._server.seen.append(" ".join([name, *args]))
        faults = self._server.faults
        fault = faults.get(" ".join([name, *args[:1]])) or faults.get(name)
        if fault == "cut":
            self.abort()
        if fault in ("cut", "hang"):
            return
        if fault is not None and fault.isupper():
            if fault == "BURIED" and args and (job := self._mine(args[0])) is not None:
                job.state, job.holder = "buried", None
            self.say(fault)
            return
        self._is_muted = fault in ("mute", "cut after")
        method = getattr(self, "_do_" + name.replace("-", "_"), None)
        try:
            self.say(method(*args, *([body] if name == "put" else [])) if method else "UNKNOWN_COMMAND")
        except (TypeError, ValueError):
            self.say("BAD_FORMAT")
        if fault == "cut after":
            self.abort()

    def say(self, answer: str | None, body: bytes | None = None) -> None:
        """Answer; `None` comes later."""
        if answer is None or self._transport is None:
            return
        if not self._is_muted:
            self._transport.write(answer.encode() + b"\r\n" + (b"" if body is None else body + b"\r\n"))

    def serve_waiting(self) -> None:
        """Answer a reserve that waits, if there is something to say."""
        if self.waits_until is None or self not in self._server.conns:
            return
        job = self._server.next_for(self)
        if job is not None:
            self.waits_until = None
            self._server.reserve(self, job)
            self.say(f"RESERVED {job.id} {len(job.body)}", job.body)
        elif self._server.is_late(self):
            self.waits_until = None
            self.say("DEADLINE_SOON")
        elif self.waits_until <= self._server.now():
            self.waits_until = None
            self.say("TIMED_OUT")
        else:
            return
        self._pump()

    # --- the commands --------------------------------------------------------------------------

    def _do_put(self, pri: str, delay: str, ttr: str, size: str, body: bytes) -> str:
        numbers = [_number(text) for text in (pri, delay, ttr)]
        if _number(size) > self._server.max_job_size:
            return "JOB_TOO_BIG"
        if body[-2:] != b"\r\n":
            return "EXPECTED_CRLF"
        if self._server.is_draining:
            return "DRAINING"
        return f"INSERTED {self._server.add(self, numbers, body[:-2])}"

    def _do_use(self, tube: str) -> str:
        self.used = _tube(tube)
        return f"USING {tube}"

    def _do_watch(self, tube: str) -> str:
        if _tube(tube) not in self.watched:
            self.watched.append(tube)
        return f"WATCHING {len(self.watched)}"

    def _do_ignore(self, tube: str) -> str:
        if _tube(tube) in self.watched:
            if len(self.watched) == 1:
                return "NOT_IGNORED"
            self.watched.remove(tube)
        return f"WATCHING {len(self.watched)}"

    def _do_reserve(self) -> str | None:
        return self._wait(math.inf)

    def _do_reserve_with_timeout(self, seconds: str) -> str | None:
        return self._wait(self._server.now() + _number(seconds))

    def _wait(self, until: float) -> None:
        self.waits_until = until
        self.serve_waiting()
        if self.waits_until is not None:
            self._server.turn()

    def _do_reserve_job(self, number: str) -> str | None:
        job = self._server.jobs.get(_number(number))
        if job is None or job.state == "reserved":
            return "NOT_FOUND"
        self._server.reserve(self, job)
        return self._show("RESERVED", job)

    def _do_delete(self, number: str) -> str:
        job = self._server.jobs.get(_number(number))
        if job is None or job.holder not in (None, self):
            return "NOT_FOUND"
        del self._server.jobs[job.id]
        return "DELETED"

    def _do_release(self, number: str, pri: str, delay: str) -> str:
        pause = _number(delay)
        job = self._mine(number)
        if job is None:
            return "NOT_FOUND"
        job.pri = _number(pri)
        job.counts["releases"] += 1
        self._server.give_back(job, pause)
        return "RELEASED"

    def _do_bury(self, number: str, pri: str) -> str:
        job = self._mine(number)
        if job is None:
            return "NOT_FOUND"
        job.pri, job.state, job.holder = _number(pri), "buried", None
        job.counts["buries"] += 1
        return "BURIED"

    def _do_touch(self, number: str) -> str:
        job = self._mine(number)
        if job is None:
            return "NOT_FOUND"
        job.until = self._server.now() + job.ttr
        self._server.turn()
        return "TOUCHED"

    def _do_peek(self, number: str) -> str | None:
        return self._show("FOUND", self._server.jobs.get(_number(number)))

    def _do_peek_ready(self) -> str | None:
        jobs = self._server.in_tube(self.used, "ready")
        return self._show("FOUND", min(jobs, key=lambda job: (job.pri, job.id), default=None))

    def _do_peek_delayed(self) -> str | None:
        jobs = self._server.in_tube(self.used, "delayed")
        return self._show("FOUND", min(jobs, key=lambda job: job.until, default=None))

    def _do_peek_buried(self) -> str | None:
        return self._show("FOUND", next(iter(self._server.in_tube(self.used, "buried")), None))

    def _do_kick(self, bound: str) -> str:
        jobs = self._server.in_tube(self.used, "buried") or self._server.in_tube(self.used, "delayed")
        some = jobs[: _number(bound)]
        for job in some:
            job.counts["kicks"] += 1
            self._server.give_back(job)
        return f"KICKED {len(some)}"

    def _do_kick_job(self, number: str) -> str:
        job = self._server.jobs.get(_number(number))
        if job is None or job.state not in ("buried", "delayed"):
            return "NOT_FOUND"
        job.counts["kicks"] += 1
        self._server.give_back(job)
        return "KICKED"

    def _do_pause_tube(self, tube: str, seconds: str) -> str:
        if _tube(tube) not in self._server.tubes():
            return "NOT_FOUND"
        self._server.paused[tube] = self._server.now() + _number(seconds)
        self._server.turn()
        return "PAUSED"

    def _do_stats(self) -> None:
        settings = {"max-job-size": self._server.max_job_size, "version": '"1.12"', "hostname": '"fake"'}
        self._document({**self._states(None), **settings, "uptime": 1, "rusage-utime": "0.000100"})

    def _do_stats_job(self, number: str) -> str | None:
        job = self._server.jobs.get(_number(number))
        if job is None:
            return "NOT_FOUND"
        left = (
            max(0, math.floor(job.until - self._server.now())) if job.state in ("delayed", "reserved") else 0
        )
        named = {"id": job.id, "tube": f'"{job.tube}"', "state": job.state, "pri": job.pri}
        times = {"age": 0, "delay": job.delay, "ttr": job.ttr, "time-left": left, "file": 0}
        return self._document({**named, **times, **job.counts})

    def _do_stats_tube(self, tube: str) -> str | None:
        if _tube(tube) not in self._server.tubes():
            return "NOT_FOUND"
        watching = sum(tube in conn.watched for conn in self._server.conns)
        return self._document({"name": f'"{tube}"', **self._states(tube), "current-watching": watching})

    def _do_list_tubes(self) -> None:
        self._lines(sorted(self._server.tubes()))

    def _do_list_tube_used(self) -> str:
        return f"USING {self.used}"

    def _do_list_tubes_watched(self) -> None:
        self._lines(self.watched)

    def _do_quit(self) -> None:
        self.abort()

    def _mine(self, number: str) -> FakeJob | None:
        job = self._server.jobs.get(_number(number))
        return job if job is not None and job.holder is self else None

    def _states(self, tube: str | None) -> dict[str, object]:
        jobs = [job for job in self._server.jobs.values() if tube in (None, job.tube)]
        names = ("ready", "reserved", "delayed", "buried")
        return {f"current-jobs-{name}": sum(job.state == name for job in jobs) for name in names}

    def _show(self, word: str, job: FakeJob | None) -> str | None:
        if job is None:
            return "NOT_FOUND"
        self.say(f"{word} {job.id} {len(job.body)}", job.body)
        return None

    def _document(self, values: dict[str, object]) -> None:
        self._ok("".join(f"{name}: {value}\n" for name, value in values.items()))

    def _lines(self, names: list[str]) -> None:
        self._ok("".join(f"- {name}\n" for name in names))

    def _ok(self, text: str) -> None:
        body = f"---\n{text}".encode()
        self.say(f"OK {len(body)}", body)


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise ValueError(text)
    return int(text)


def _tube(name: str) -> str:
    if not _TUBE.fullmatch(name):
        raise ValueError(name)
    return name

"""A beanstalkd for tests that need none installed: the whole protocol, in this event loop.

It keeps to what beanstalkd 1.12 does, and the tests of the client run against both. Its clock can be moved
(`advance`), so that a delay of ten seconds takes no time, and a command can be given a fault (`faults`).
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from asyncq._http import stop_accepting

from .fake_beanstalkd_conn import Conn, FakeJob, State
from .waiting import wait_until

__all__ = ["FakeBeanstalkd", "FakeJob", "Fault", "fakes_in_a_thread"]

Fault = str
"""`mute`: do it and say nothing. `hang`: do nothing and say nothing. `cut`: close the connection before it is
done. `cut after`: do it, and close the connection then. A word of refusal: do nothing, and say that; with
`BURIED` the job is buried."""

_MARGIN = 1.0  # a reserver is warned when one of its jobs has less than a second left


class FakeBeanstalkd:
    """The server.

    Args:
        durable: Keep jobs over `kill`, as with a write-ahead log.
        max_job_size: Bytes in a job.
    """

    def __init__(self, *, durable: bool = False, max_job_size: int = 65_535) -> None:
        self.jobs: dict[int, FakeJob] = {}
        self.faults: dict[str, Fault] = {}
        """By command, or by command and first argument, as in `delete 7`."""
        self.seen: list[str] = []
        self.conns: set[Conn] = set()
        self.paused: dict[str, float] = {}
        self.max_job_size = max_job_size
        self.is_draining = False
        self.port = 0
        self._durable = durable
        self._moved = 0.0
        self._last_id = 0
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def endpoint(self) -> str:
        """As a client is told."""
        return f"127.0.0.1:{self.port}"

    @property
    def is_listening(self) -> bool:
        """Whether it takes connections."""
        return self._server is not None

    # --- what tests do to it -------------------------------------------------------------------

    async def start(self) -> None:
        """Listen, on the port of before if there was one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Conn(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.turn()

    async def kill(self) -> None:
        """End as a crash does."""
        server, self._server = self._server, None
        if server is not None:
            await stop_accepting(server)
        for conn in list(self.conns):
            conn.abort()
        if self._timer is not None:
            self._timer.cancel()
        await wait_until(lambda: not self.conns, "connections to be closed")
        if not self._durable:
            self.jobs.clear()

    async def restart(self) -> None:
        """Crash and come back on the same port."""
        await self.kill()
        await self.start()

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self._moved += seconds
        self.turn()

    def in_tube(self, tube: str, state: State | None = None) -> list[FakeJob]:
        """The jobs of a tube, of one state if that is asked."""
        return [job for job in self.jobs.values() if job.tube == tube and state in (None, job.state)]

    def cut(self) -> None:
        """Close all connections."""
        for conn in list(self.conns):
            conn.abort()

    def freeze(self) -> None:
        """Read nothing from the connections that there are, until `thaw`."""
        for conn in self.conns:
            conn.read(is_reading=False)

    def thaw(self) -> None:
        """Go on reading."""
        for conn in self.conns:
            conn.read(is_reading=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    # --- what connections ask ------------------------------------------------------------------

    def now(self) -> float:
        """Seconds, of a clock that tests move."""
        return asyncio.get_running_loop().time() + self._moved

    def add(self, conn: Conn, numbers: list[int], body: bytes) -> int:
        """Store a job."""
        self._last_id += 1
        pri, delay, ttr = numbers
        job = FakeJob(self._last_id, pri, delay, max(1, ttr), body, conn.used)
        self.jobs[job.id] = job
        self.give_back(job, delay)
        return job.id

    def give_back(self, job: FakeJob, delay: int = 0) -> None:
        """Make a job ready, or delayed."""
        job.holder = None
        job.state, job.delay = ("delayed" if delay else "ready"), delay
        job.until = self.now() + delay
        self.turn()

    def reserve(self, conn: Conn, job: FakeJob) -> None:
        """Hand a job to a connection."""
        job.state, job.holder, job.until = "reserved", conn, self.now() + job.ttr
        job.counts["reserves"] += 1
        conn.waits_until = None
        self.turn()

    def next_for(self, conn: Conn) -> FakeJob | None:
        """The most urgent ready job of the tubes that a connection watches."""
        tubes = {tube for tube in conn.watched if self.paused.get(tube, 0.0) <= self.now()}
        ready = [job for job in self.jobs.values() if job.state == "ready" and job.tube in tubes]
        return min(ready, key=lambda job: (job.pri, job.id), default=None)

    def is_late(self, conn: Conn) -> bool:
        """Whether a job that a connection holds has less than a second left."""
        held = [job.until for job in self.jobs.values() if job.holder is conn]
        return bool(held) and min(held) - self.now() <= _MARGIN

    def tubes(self) -> set[str]:
        """The tubes that exist: somebody uses or watches them, or they hold a job."""
        named = {tube for conn in self.conns for tube in (conn.used, *conn.watched)}
        return {"default"} | named | {job.tube for job in self.jobs.values()}

    def turn(self) -> None:
        """Do what is due by now, and set the clock for what is due next."""
        now = self.now()
        for job in list(self.jobs.values()):
            if job.state == "delayed" and job.until <= now:
                job.state = "ready"
            elif job.state == "reserved" and job.until <= now:
                job.counts["timeouts"] += 1
                job.state, job.holder = "ready", None
        for conn in sorted(self.conns, key=lambda one: one.number):
            conn.serve_waiting()
        moments = [job.until for job in self.jobs.values() if job.state in ("delayed", "reserved")]
        moments += [job.until - _MARGIN for job in self.jobs.values() if job.state == "reserved"]
        moments += [conn.waits_until for conn in self.conns if conn.waits_until is not None]
        moments += self.paused.values()
        due = min((moment for moment in moments if now < moment < math.inf), default=None)
        if self._timer is not None:
            self._timer.cancel()
        if due is not None and self._server is not None:
            self._timer = asyncio.get_running_loop().call_later(due - now, self.turn)


@contextmanager
def fakes_in_a_thread(count: int) -> Iterator[list[str]]:
    """Run some for a program of its own, which needs their endpoints only."""
    servers: list[FakeBeanstalkd] = []
    ready, over = threading.Event(), threading.Event()

    async def run() -> None:
        for _ in range(count):
            servers.append(FakeBeanstalkd())
            await servers[-1].start()
        ready.set()
        await asyncio.to_thread(over.wait)
        for server in servers:
            await server.kill()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="fake beanstalkds")
    thread.start()
    try:
        assert ready.wait(30.0)
        yield [server.endpoint for server in servers]
    finally:
        over.set()
        thread.join()

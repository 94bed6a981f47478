"""beanstalkd nodes, and a look into them that does not go through the client of ours."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support._processes import spawn
from tests.support.servers import free_port
from tests.support.waiting import wait_until

from .missing import ServiceMissingError, find_program, not_tested

__all__ = ["BeanstalkdNode", "beanstalkd_node"]

_TIMEOUT = 20.0
# Somebody else can take a port between our look and the server's bind.
_PORT_ATTEMPTS = 20


class BeanstalkdNode:
    """One node. Restarted, it has its port and, with a binlog, its jobs again."""

    def __init__(self, folder: Path, binlog: Path | None, max_job_size: int | None) -> None:
        if binlog is not None:
            binlog.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._binlog = binlog
        self._max_job_size = max_job_size
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        """Host and port, as Go writes them."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "the node does not run"
        return self._process.pid

    def log(self) -> str:
        """Return what the server has said."""
        return (self._folder / "log").read_text(errors="replace")

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        if self.port:  # others know the port by now
            await self._launch()
            return
        for _ in range(_PORT_ATTEMPTS):
            self.port = free_port()
            try:
                await self._launch()
                return
            except _EndedError:
                if "in use" not in self.log():
                    raise
        message = "found no free port"
        raise RuntimeError(message)

    async def kill(self) -> None:
        """End it as a crash does. Without a binlog, its jobs are gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it as its administrator does."""
        await self._end(signal.SIGTERM)

    async def restart(self) -> None:
        """Kill it if it runs, and start it again."""
        await self.kill()
        await self.start()

    def drain(self) -> None:
        """Have it take no more jobs, until it is started anew."""
        self._signal(signal.SIGUSR1)

    def pause(self) -> None:
        """Freeze it: connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen one go on."""
        self._signal(signal.SIGCONT)

    async def ask(self, *commands: str, data: bytes | None = None) -> tuple[str, bytes]:
        """Send commands on a connection of its own, and return the last answer: its line and its data.

        Args:
            commands: As in `"use mails", "peek-ready"`.
            data: Of the last command, if it is `put`.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            line = ""
            async with asyncio.timeout(_TIMEOUT):
                for number, command in enumerate(commands, 1):
                    body = data + b"\r\n" if data is not None and number == len(commands) else b""
                    writer.write(command.encode() + b"\r\n" + body)
                    line = (await reader.readuntil(b"\r\n")).decode().rstrip()
                words = line.split()
                if words[0] not in {"OK", "FOUND", "RESERVED"}:
                    return line, b""
                return line, (await reader.readexactly(int(words[-1]) + 2))[:-2]
        finally:
            writer.close()
            await writer.wait_closed()

    async def put(self, tube: str, body: bytes, *, delay: int = 0, priority: int = 2, ttr: int = 5) -> int:
        """Put a job, by default as Go's producer does, and return its id."""
        words, _ = await self.ask(f"use {tube}", f"put {priority} {delay} {ttr} {len(body)}", data=body)
        assert words.startswith("INSERTED"), words
        return int(words.split()[1])

    async def job(self, number: int) -> tuple[dict[str, str], bytes]:
        """Return what the node says about a job, and its body.

        Raises:
            LookupError: There is no such job.
        """
        words, body = await self.ask(f"peek {number}")
        stats, said = await self.ask(f"stats-job {number}")
        if "NOT_FOUND" in (words, stats):
            raise LookupError(number)
        return _read_stats(said), body

    async def tube(self, name: str) -> dict[str, int]:
        """Return the numbers of a tube: ready, delayed, reserved, buried, and those deleted so far."""
        words, said = await self.ask(f"stats-tube {name}")
        stats = {} if words == "NOT_FOUND" else _read_stats(said)
        numbers = {name: int(stats.get(f"current-jobs-{name}", 0)) for name in _STATES}
        return {**numbers, "deleted": int(stats.get("cmd-delete", 0))}

    async def left(self, name: str) -> int:
        """Return how many jobs a tube has, in whatever state."""
        numbers = await self.tube(name)
        return sum(numbers[state] for state in _STATES)

    async def _launch(self) -> None:
        binary = find_program("beanstalkd", "beanstalkd")
        (self._folder / "log").unlink(missing_ok=True)
        arguments: list[str | Path] = ["-V", "-l", "127.0.0.1", "-p", str(self.port)]
        if self._binlog is not None:
            # What was answered is on the disk.
            arguments += ["-b", self._binlog, "-f0"]
        if self._max_job_size is not None:
            arguments += ["-z", str(self._max_job_size)]
        self._process = spawn([binary, *arguments], cwd=self._folder, log=self._folder / "log")
        await wait_until(self._is_answering, "beanstalkd to answer", _TIMEOUT)

    async def _is_answering(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise _EndedError(f"beanstalkd did not start:\n{self.log()}")
        try:
            return (await self.ask("list-tube-used"))[0].startswith("USING")
        except (OSError, asyncio.IncompleteReadError):
            return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the node does not run"
        self._process.send_signal(number)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        await asyncio.to_thread(process.wait, _TIMEOUT)


@asynccontextmanager
async def beanstalkd_node(
    binlog: Path | None = None, max_job_size: int | None = None
) -> AsyncIterator[BeanstalkdNode]:
    """Start a node, and end it with the block. Where there is no beanstalkd, the test is skipped.

    Args:
        binlog: The folder where it keeps its jobs; made if it is not there.
        max_job_size: In bytes; by default 65,535.
    """
    with tempfile.TemporaryDirectory(prefix="aq-") as folder:
        node = BeanstalkdNode(Path(folder), binlog, max_job_size)
        try:
            try:
                await node.start()
            except ServiceMissingError as error:
                not_tested("beanstalkd", error)
            yield node
        finally:
            await node.kill()


_STATES = ("ready", "delayed", "reserved", "buried")


def _read_stats(said: bytes) -> dict[str, str]:
    pairs = (line.partition(": ") for line in said.decode().splitlines() if ": " in line)
    return {name: value.strip('"') for name, _, value in pairs}


class _EndedError(RuntimeError):
    """It ended at once: the port was taken, most likely."""

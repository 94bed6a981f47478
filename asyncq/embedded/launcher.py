"""Opens the server of a directory: starts it, or joins those who use it already."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
import warnings
import weakref
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from asyncq.embedded.binary import ADVICE, find_server_binary, platform_name
from asyncq.errors import BrokerUnavailableError, ClosedError, ConfigError, EmbeddedUnavailableError

if sys.platform != "win32":
    import fcntl

__all__ = ["EmbeddedServer", "open_embedded"]

# The address of a unix socket may have 108 bytes on Linux and 104 on macOS, with a
# closing zero. Some are left for the process id that Redis may append.
_LONGEST_SOCKET_PATH = 96
_STEP = 0.005
_LOG_TAIL = 2_000

_GUARDIAN = Path(__file__).with_name("guardian.py")


def open_embedded(
    path: str | os.PathLike[str],
    *,
    timeout: float = 30.0,
    find_binary: Callable[[], Path] = find_server_binary,
) -> EmbeddedServer:
    """Start the server that keeps its data in `path`, or join it where it runs already.

    It serves every process that opens the same directory, and leaves when the last of
    them has closed it or is gone. May be called from any thread; it blocks for about a
    tenth of a second when the server has to be started.

    Args:
        path: Directory for data, log and locks; made if it is not there.
        timeout: Seconds to wait for others who start or stop the server, and for it to
            answer. The time it takes to load its data does not count.
        find_binary: Says which program to run, if it has to be started.

    Raises:
        ConfigError: `path` cannot be used.
        EmbeddedUnavailableError: There is no program to run on this machine.
        BrokerUnavailableError: The server did not start; the text has the end of its log.
    """
    if sys.platform == "win32":
        raise EmbeddedUnavailableError(f"{platform_name()} is not supported", ADVICE)
    directory = _prepare(Path(path))
    server = EmbeddedServer(directory, timeout=timeout, find_binary=find_binary)
    try:
        server.ensure_running()
    except BaseException:
        server.close()
        raise
    return server


class EmbeddedServer:
    """A claim on the server of one directory; `open_embedded` makes it.

    As long as one claim is open, in whatever process, the server is kept running. A
    forked child does not inherit the claim: it opens its own.
    """

    def __init__(self, path: Path, *, timeout: float, find_binary: Callable[[], Path]) -> None:
        self.path = path
        """The directory, absolute."""
        self._timeout = timeout
        self._find_binary = find_binary
        self._claim: int | None = None
        with _started_by_one(path, timeout):
            claim = _open_lock(path / "users.lock")
            try:
                _take(claim, fcntl.LOCK_SH, path, timeout)
            except BaseException:
                os.close(claim)
                raise
        self._claim = claim
        _open_servers.add(self)

    @property
    def socket_path(self) -> str:
        """Where the server listens."""
        with contextlib.suppress(FileNotFoundError):
            return os.fsdecode((self.path / "socket").read_bytes())
        return str(self.path / "server.sock")

    @property
    def pid(self) -> int:
        """The process id of the server at this moment; it changes if it is restarted."""
        return int((self.path / "server.pid").read_text(encoding="ascii"))

    def ensure_running(self) -> None:
        """Return when the server answers; start it if it is not there.

        A server that dies is started again by itself. This helps in the one other case:
        the process that does so was killed too. Worth a call when a connection broke.

        Raises:
            ClosedError: This claim is closed.
            EmbeddedUnavailableError: There is no program to run on this machine.
            BrokerUnavailableError: The server did not start.
        """
        if self._claim is None:
            what = "EmbeddedServer"
            raise ClosedError(what)
        with _started_by_one(self.path, self._timeout):
            self._start_or_join()

    def close(self) -> None:
        """Give up the claim; the last one ends the server. May be called twice."""
        claim, self._claim = self._claim, None
        _open_servers.discard(self)
        if claim is not None:
            # Explicitly: a copy of the descriptor in a forked child would keep it.
            fcntl.flock(claim, fcntl.LOCK_UN)
            os.close(claim)

    def wait_gone(self, timeout: float = 30.0) -> bool:
        """Wait until the server has ended; false if it is still there after `timeout`.

        For whoever wants to move or delete the directory after the last `close`.
        """
        deadline = time.monotonic() + timeout
        while _has_guardian(self.path):
            if time.monotonic() > deadline:
                return False
            time.sleep(_STEP)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._claim is not None:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)
            self.close()

    def __repr__(self) -> str:
        return f"EmbeddedServer({str(self.path)!r})"

    def _start_or_join(self) -> None:
        deadline = time.monotonic() + self._timeout
        was_launched = False
        while True:
            # The guardian before the server: one that answers without a guardian is
            # about to end, or nobody would ever end it.
            if not _has_guardian(self.path):
                if was_launched:
                    raise self._failure("the server did not start")
                self._launch()
                was_launched = True
            answer = _ping(self.socket_path)
            if answer.startswith(b"+PONG"):
                return
            if answer.startswith(b"-LOADING"):
                deadline = time.monotonic() + self._timeout
            if time.monotonic() > deadline:
                raise self._failure("the server does not answer")
            time.sleep(_STEP)

    def _launch(self) -> None:
        """Start a guardian, which starts the server and stays behind in the background."""
        binary = self._find_binary()
        address = _socket_path(self.path)
        _write(self.path / "socket", os.fsencode(address))
        # No `site`, no user settings, no package: only so is it there in 20 ms. Newer
        # Pythons warn of its fork beside a thread, which does nothing but wait.
        command: list[str | Path] = [sys.executable, "-I", "-S", "-W", "ignore", _GUARDIAN]
        command += [self.path, address, binary, *_server_arguments(address)]
        # A session of its own: Ctrl-C in the user's terminal is not meant for it.
        done = subprocess.run(command, capture_output=True, check=False, start_new_session=True)
        if done.returncode:
            raise self._failure(done.stderr.decode(errors="replace").strip())

    def _failure(self, why: str) -> BrokerUnavailableError:
        log = self.path / "server.log"
        tail = ""
        with contextlib.suppress(OSError):
            tail = log.read_text(errors="replace")[-_LOG_TAIL:].strip()
        advice = f"{log} ends with:\n{tail}" if tail else f"{log} is empty"
        return BrokerUnavailableError(f"embedded://{self.path}", why, advice)


_open_servers: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()


def _forget_claims() -> None:
    """Close the copies of the claims in a forked child.

    Otherwise a child that outlives its parent, such as a worker of a process pool,
    would keep a server running that it knows nothing of. Only the copy is closed:
    unlocking would take the claim from the parent.
    """
    for server in list(_open_servers):
        claim, server._claim = server._claim, None
        if claim is not None:
            os.close(claim)
    _open_servers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_claims)


def _prepare(path: Path) -> Path:
    option = "path"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = path.resolve()
        os.close(_open_lock(directory / "users.lock"))
    except PermissionError as error:
        raise ConfigError(option, str(path), f"a directory that this user may write in ({error})") from error
    except OSError as error:
        raise ConfigError(option, str(path), f"a usable directory ({error})") from error
    return directory


def _server_arguments(address: str) -> Iterator[str]:
    settings = {
        # No TCP at all: nobody else gets in, and there is no port to race for.
        "port": "0",
        "unixsocket": address,
        "unixsocketperm": "700",
        "dir": ".",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        # After a crash the last command in the file may be cut off.
        "aof-load-truncated": "yes",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    for name, value in settings.items():
        yield f"--{name}"
        yield value


def _socket_path(directory: Path) -> str:
    """Name the socket: in the directory, or somewhere short if that is too long."""
    address = str(directory / "server.sock")
    if len(os.fsencode(address)) <= _LONGEST_SOCKET_PATH:
        return address
    user = os.geteuid()
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir(), f"asyncq-{user}-{name}")
    if len(os.fsencode(folder / "server.sock")) > _LONGEST_SOCKET_PATH:
        folder = Path("/tmp", folder.name)  # noqa: S108 - made private, and checked, below
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    # Anybody may write in /tmp, and could have put a folder there for us to use.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != user or status.st_mode & 0o077:
        option = "path"
        expected = f"a shorter path, or {folder} to be a private directory of this user"
        raise ConfigError(option, str(directory), expected)
    return str(folder / "server.sock")


def _ping(address: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(address)
            connection.sendall(b"PING\r\n")
            return connection.recv(64)
        except OSError:
            return b""


def _has_guardian(directory: Path) -> bool:
    lock = _open_lock(directory / "guardian.lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@contextlib.contextmanager
def _started_by_one(directory: Path, timeout: float) -> Generator[None]:
    lock = _open_lock(directory / "start.lock")
    try:
        _take(lock, fcntl.LOCK_EX, directory, timeout)
        yield
    finally:
        os.close(lock)


def _take(lock: int, kind: int, directory: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
            return
        if time.monotonic() > deadline:
            why = f"another process has been starting or stopping the server for {timeout:g} s"
            raise BrokerUnavailableError(f"embedded://{directory}", why, f"see {directory / 'server.log'}")
        time.sleep(_STEP)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _write(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever reads half of it."""
    scratch = path.with_suffix(".new")
    scratch.write_bytes(content)
    scratch.replace(path)

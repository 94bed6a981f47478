"""A program that keeps one embedded server running while somebody uses it.

    python guardian.py DIRECTORY SOCKET BINARY ARGUMENT ...

It goes to the background and starts the server. It then waits for two things at once:

- the server ends: it is started again, because there are users who need it. Redis reads
  its append-only file, and the users reconnect;
- the last user lets go of `users.lock`, by closing it or by dying in any way: the server
  is ended in order, and then the guardian.

If the guardian itself is killed, the server must not stay behind without anybody who
would ever end it. Linux ends it by a death signal; elsewhere the next guardian does.

It is run by its path, without `site` and without the package around it, so that it is
there after 20 ms: nothing but the standard library may be imported here.
"""

# No pathlib: it takes longer to load than all that is imported here.
# ruff: noqa: PTH105, PTH106, PTH108, PTH109, PTH116, PTH120, PTH123

from __future__ import annotations

import _thread
import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
# Redis writes its file and leaves within milliseconds. Beyond this it hangs.
_STOP_TIMEOUT = 10.0
# Time for the server of a guardian that was killed to go by itself.
_ORPHAN_PATIENCE = 1.0
# A server that ran shorter than this has not got over its start.
_SETTLED_AFTER = 1.0
_LONGEST_BACKOFF = 5.0
_LOG_LIMIT = 1_000_000


class _StopRequested(Exception):  # noqa: N818 - a signal, not an error
    """Nobody uses the server any more, or somebody wants the guardian to leave."""


class _Guardian:
    """Starts the server, starts it again when it dies, and ends it in the end."""

    def __init__(self, socket: str, command: list[str], *, server_lock: int) -> None:
        self._socket = socket
        self._command = command
        self._server_lock = server_lock
        self._pid = 0

    def run(self) -> None:
        """Keep the server running until nobody uses it, or it cannot be started."""
        main_thread = _thread.get_ident()
        signal.signal(signal.SIGTERM, _request_stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            _thread.start_new_thread(_watch_users, (main_thread,))
            self._keep_running()
        except _StopRequested:
            self._end_server()
        self._remove_socket()

    def _keep_running(self) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            self._start_server()
            _, status = os.waitpid(self._pid, 0)
            self._pid = 0
            is_settled = time.monotonic() - started >= _SETTLED_AFTER
            _say(f"the server ended with {os.waitstatus_to_exitcode(status)}")
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) and not is_settled:
                # It said no: a broken file, a full disk. The reason is in the log, and
                # the next one that opens is told.
                return
            failures = 0 if is_settled else failures + 1
            time.sleep(min(0.1 * failures, _LONGEST_BACKOFF))

    def _start_server(self) -> None:
        libc_prctl = _load_prctl()
        guardian = os.getpid()
        # Without this a stop between `fork` and the next line would forget the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        self._pid = os.fork()
        if self._pid == 0:
            try:
                if libc_prctl is not None:
                    libc_prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
                    if os.getppid() != guardian:
                        os._exit(1)  # it died before the line above
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
                os.set_inheritable(self._server_lock, True)  # noqa: FBT003 - no name for it
                os.execv(self._command[0], self._command)  # noqa: S606 - no shell is wanted
            except BaseException as error:  # noqa: BLE001 - a copy of the guardian may not go on
                _say(f"cannot run {self._command[0]}: {error}")
                os._exit(127)
        with open("server.pid.new", "w", encoding="ascii") as file:
            file.write(f"{self._pid}\n")
        os.replace("server.pid.new", "server.pid")  # nobody reads half of it
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def _end_server(self) -> None:
        if not self._pid:
            return
        os.kill(self._pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT
        while os.waitpid(self._pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                _say("the server does not end; killing it")
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                return
            time.sleep(0.002)

    def _remove_socket(self) -> None:
        # The record goes first: it is what tells others where to look.
        for file in ("socket", "server.pid", self._socket):
            with contextlib.suppress(OSError):
                os.unlink(file)
        folder = os.path.dirname(self._socket)
        if folder != os.getcwd():
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def main(arguments: list[str]) -> int:
    """Go to the background and guard; the answer 0 means that the guardian is there."""
    directory, socket, *command = arguments
    os.umask(0o077)
    os.chdir(directory)
    # Opened in this order because the kernel closes in this order when we are killed:
    # nobody may find `users.lock` free and still take us for alive.
    guardian_lock = _open_lock("guardian.lock")
    if not _try_lock(guardian_lock):
        return 0
    server_lock = _open_lock("server.lock")
    if not _await_orphan(server_lock):
        sys.stderr.write("the server of an earlier guardian is still running\n")
        return 1
    if os.fork():
        return 0
    _redirect_output()
    try:
        _Guardian(socket, command, server_lock=server_lock).run()
    except BaseException as error:  # noqa: BLE001 - nobody is there to see it but the log
        _say(f"gave up: {error!r}")
    finally:
        os.close(guardian_lock)
        # Not `sys.exit`: the watching thread may still wait for its lock.
        os._exit(0)


def _watch_users(main_thread: int) -> None:
    fcntl.flock(_open_lock("users.lock"), fcntl.LOCK_EX)
    # The lock is kept until the process ends, so whoever comes now waits for that, and
    # then starts a guardian of its own.
    signal.pthread_kill(main_thread, signal.SIGTERM)


def _request_stop(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one is enough, and ends in order
    raise _StopRequested


def _await_orphan(server_lock: int) -> bool:
    """Take the server's lock, from the server of a killed guardian if need be."""
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number is not None:
            with contextlib.suppress(OSError, ValueError):
                with open("server.pid", encoding="ascii") as file:
                    pid = int(file.read())
                os.kill(pid, number)
        deadline = time.monotonic() + _ORPHAN_PATIENCE
        while time.monotonic() < deadline:
            if _try_lock(server_lock):
                return True
            time.sleep(0.002)
    return False


def _open_lock(name: str) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT, 0o600)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _load_prctl() -> Callable[..., int] | None:
    """Load what must not be loaded between `fork` and `exec`."""
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415 - another 10 ms where it is no use

    prctl: Callable[..., int] = ctypes.CDLL(None).prctl
    return prctl


def _redirect_output() -> None:
    with contextlib.suppress(FileNotFoundError):
        if os.stat("server.log").st_size > _LOG_LIMIT:
            os.replace("server.log", "server.log.1")
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open("server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _say(text: str) -> None:
    moment = time.strftime("%Y-%m-%d %H:%M:%S")
    os.write(2, f"guardian {os.getpid()} {moment}: {text}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`embedded://PATH`: one server for all who name the path, and none for nobody."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from asyncq.embedded import EmbeddedServer, open_embedded
from asyncq.errors import BrokerUnavailableError, ClosedError, ConfigError, EmbeddedUnavailableError
from tests.support.servers import wait_until_gone
from tests.support.waiting import wait_until_sync

# Opens the path, says which server it got, and keeps its claim until it is killed or its
# input ends.
_USER = """
import sys
from asyncq.embedded import open_embedded
with open_embedded(sys.argv[1]) as server:
    print(server.pid, flush=True)
    sys.stdin.read()
"""

# The thread that starts servers for tests is there, and does nothing during the fork.
_FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


class _User:
    """Another process that uses the embedded server."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _USER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def server_pid(self) -> int:
        """Wait until it has opened the server, and return the server's process id."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return int(line)

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.communicate()

    def leave(self) -> None:
        """Let it close its claim and end."""
        _, errors = self.process.communicate("")
        assert self.process.returncode == 0, errors


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A directory for a server, of which nothing is left when the test is over."""
    directory = tmp_path / "data"
    yield directory
    if directory.is_dir():
        wait_until_sync(lambda: not (directory / "server.pid").exists(), "the server to be gone")


def _client(server: EmbeddedServer) -> Redis:
    return Redis(unix_socket_path=server.socket_path)


def _guardian_pid(server_pid: int) -> int:
    fields = Path(f"/proc/{server_pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1])


def test_data_is_there_again_after_a_restart(path: Path) -> None:
    """The demo and a developer's queue survive the end of the program."""
    with open_embedded(path) as server, _client(server) as client:
        client.set("kept", "yes")
        first = server.pid
    assert server.wait_gone()
    wait_until_gone(first)
    with open_embedded(path) as server, _client(server) as client:
        assert client.get("kept") == b"yes"
        assert server.pid != first


def test_many_processes_that_open_at_once_share_one_server(path: Path) -> None:
    """No port to race for, and nobody sees a half-started server."""
    users = [_User(path) for _ in range(8)]
    pids = {user.server_pid() for user in users}
    for user in users:
        user.leave()
    assert len(pids) == 1
    wait_until_gone(pids.pop())


def test_threads_of_one_process_share_one_server(path: Path) -> None:
    """Each has a claim of its own, and the last one counts."""
    servers: list[EmbeddedServer] = []
    threads = [threading.Thread(target=lambda: servers.append(open_embedded(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(servers) == 8
    pid = servers[0].pid
    for server in servers[1:]:
        server.close()
    with _client(servers[0]) as client:
        assert client.info()["process_id"] == pid
    servers[0].close()
    wait_until_gone(pid)


def test_the_server_listens_to_nobody_else_and_never_evicts(path: Path) -> None:
    """Only this user may connect, nothing is reachable by TCP, and no task is evicted."""
    with open_embedded(path) as server, _client(server) as client:
        mode = Path(server.socket_path).stat().st_mode
        settings = client.config_get("port", "appendonly", "maxmemory-policy")
    assert mode & 0o077 == 0
    assert settings == {"port": "0", "appendonly": "yes", "maxmemory-policy": "noeviction"}
    assert path.stat().st_mode & 0o077 == 0


def test_it_is_gone_after_its_only_user_was_killed(path: Path) -> None:
    """`kill -9` runs no clean-up code; the kernel lets go of the lock all the same."""
    user = _User(path)
    pid = user.server_pid()
    guardian = _guardian_pid(pid)
    user.kill()
    wait_until_gone(pid)
    wait_until_gone(guardian)


def test_it_stays_while_another_user_lives(path: Path) -> None:
    """The one that started it is nothing special."""
    user = _User(path)
    pid = user.server_pid()
    with open_embedded(path) as server, _client(server) as client:
        user.kill()
        run_id = client.info()["run_id"]
        # A newcomer joins: had the guardian begun to shut down, it would get another one.
        with open_embedded(path) as other, _client(other) as other_client:
            assert other_client.info()["run_id"] == run_id
        assert server.pid == pid
    wait_until_gone(pid)


def test_a_newcomer_during_the_shutdown_gets_a_server_that_stays(path: Path) -> None:
    """Closing and opening in quick succession never leads to a server about to end."""
    for round_number in range(15):
        with open_embedded(path) as server, _client(server) as client:
            assert client.incr("rounds") == round_number + 1


def test_a_crashed_server_comes_back_with_its_data(path: Path) -> None:
    """The users only have to reconnect."""
    with open_embedded(path) as server:
        with _client(server) as client:
            client.set("kept", "yes")
            # The file is flushed to the kernel before the answer; a crash loses nothing.
            first = server.pid
            os.kill(first, signal.SIGKILL)
        wait_until_gone(first)
        server.ensure_running()
        with _client(server) as client:
            assert client.get("kept") == b"yes"
        assert server.pid != first


def test_a_cut_off_file_is_loaded_again(path: Path) -> None:
    """A machine that lost power leaves half a command at the end of the file."""
    with open_embedded(path) as server, _client(server) as client:
        client.set("kept", "yes")
    assert server.wait_gone()
    (file,) = (path / "appendonlydir").glob("*.incr.aof")
    with file.open("ab") as data:
        data.write(b"*3\r\n$3\r\nSET\r\n$3\r\nhal")
    with open_embedded(path) as server, _client(server) as client:
        assert client.get("kept") == b"yes"


def test_the_server_does_not_outlive_a_killed_guardian(path: Path) -> None:
    """Otherwise nobody would ever end it."""
    with open_embedded(path) as server:
        pid = server.pid
        os.kill(_guardian_pid(pid), signal.SIGKILL)
        wait_until_gone(pid)
        server.ensure_running()
        second = server.pid
        with _client(server) as client:
            assert client.ping()
    assert second != pid
    wait_until_gone(second)


def test_a_server_left_over_by_a_killed_guardian_is_replaced(path: Path) -> None:
    """Where there is no death signal, the next guardian ends the orphan; so does it here."""
    with open_embedded(path) as server:
        orphan = server.pid
        os.kill(orphan, signal.SIGSTOP)  # so that the death signal has no effect yet
        os.kill(_guardian_pid(orphan), signal.SIGKILL)
        server.ensure_running()
        assert server.pid != orphan
        with _client(server) as client:
            assert client.ping()
    wait_until_gone(orphan)


def test_a_terminated_guardian_ends_the_server_in_order(path: Path) -> None:
    """A machine that shuts down sends SIGTERM to everybody."""
    with open_embedded(path) as server:
        pid = server.pid
        os.kill(_guardian_pid(pid), signal.SIGTERM)
        wait_until_gone(pid)
        assert server.wait_gone()
    assert "ready to exit" in (path / "server.log").read_text()


@_FORKS
def test_a_forked_child_has_no_claim(path: Path) -> None:
    """A worker of a process pool that outlives its parent keeps no server alive."""
    server = open_embedded(path)
    pid = server.pid
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)  # lives until the test lets it go
        os._exit(0)
    os.close(reader)
    try:
        server.close()
        wait_until_gone(pid)
    finally:
        os.close(writer)
        os.waitpid(child, 0)


@pytest.mark.parametrize("length", [30, 85, 120, 200])
def test_a_path_may_be_long(tmp_path: Path, length: int) -> None:
    """The address of a unix socket may have about a hundred bytes; a path may have more."""
    path = tmp_path / ("d" * length)
    with open_embedded(path) as server, _client(server) as client:
        assert client.ping()
        address = server.socket_path
        with open_embedded(path) as other:
            assert other.socket_path == address
    assert server.wait_gone()
    assert len(os.fsencode(address)) < 104
    assert not Path(address).exists()
    assert Path(address).parent == path or not Path(address).parent.exists()


def test_a_folder_prepared_by_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may write in a shared temporary directory."""
    path = tmp_path / ("d" * 200)  # too long for a socket
    with tempfile.TemporaryDirectory(prefix="aq-") as shared:  # and `tmp_path` may be, too
        monkeypatch.setattr(tempfile, "tempdir", shared)
        with open_embedded(path) as server:
            folder = Path(server.socket_path).parent
        assert server.wait_gone()
        assert folder.parent == Path(shared)
        folder.mkdir(mode=0o755)
        with pytest.raises(ConfigError, match="private directory"):
            open_embedded(path)


def test_relative_paths_and_links_lead_to_the_same_server(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory counts, not how it is written."""
    monkeypatch.chdir(path.parent)
    (path.parent / "link").symlink_to(path)
    with open_embedded("data") as server, open_embedded(path.parent / "link") as other:
        assert server.pid == other.pid
        assert server.path == other.path == path


def test_without_a_binary_the_error_names_platform_and_way_out(path: Path) -> None:
    """A platform without a wheel is told what to do instead."""

    def find_none() -> Path:
        raise EmbeddedUnavailableError("found no Redis or Valkey program for plan9-mips", "pip install x")

    with pytest.raises(EmbeddedUnavailableError, match=r"plan9-mips.*pip install x"):
        open_embedded(path, find_binary=find_none)


def test_a_server_that_does_not_start_shows_its_log(path: Path, tmp_path: Path) -> None:
    """The reason is in its last words."""
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\necho the disk is made of cheese\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(BrokerUnavailableError, match="did not start") as caught:
        open_embedded(path, find_binary=lambda: program)
    assert "made of cheese" in str(caught.value)
    # Nothing is in the way of the next one.
    with open_embedded(path) as server, _client(server) as client:
        assert client.ping()


def test_a_program_that_cannot_run_is_said_so(path: Path, tmp_path: Path) -> None:
    """Such as one for another processor."""
    program = tmp_path / "broken"
    program.write_bytes(b"\x7fELF nonsense")
    program.chmod(0o755)
    with pytest.raises(BrokerUnavailableError, match="cannot run"):
        open_embedded(path, find_binary=lambda: program)


def test_a_server_that_never_answers_is_given_up(path: Path, tmp_path: Path) -> None:
    """And it does not stay behind."""
    program = tmp_path / "deaf"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    began = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match="does not answer"):
        open_embedded(path, timeout=0.3, find_binary=lambda: program)
    assert time.monotonic() - began < 5.0


def test_waiting_for_others_has_an_end(path: Path) -> None:
    """Somebody frozen in the middle of a start must not hang everybody for ever."""
    path.mkdir()
    with (path / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BrokerUnavailableError, match="starting or stopping"):
            open_embedded(path, timeout=0.1)


def test_a_file_in_place_of_the_directory_is_a_wrong_option(tmp_path: Path) -> None:
    """Reported as such, before anything is started."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match="usable directory"):
        open_embedded(file)
    with pytest.raises(ConfigError, match="usable directory"):
        open_embedded(file / "below")


@_FORKS
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_directory_of_another_user_is_a_wrong_option() -> None:
    """Two users cannot share one: the socket is private."""
    # Not `tmp_path`, into which the other user could not even look.
    path = Path(tempfile.mkdtemp(prefix="aq-"))
    path.chmod(0o755)
    with open_embedded(path) as server:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            try:
                open_embedded(path)
            except ConfigError as error:
                os.write(writer, str(error).encode())
            os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        text = os.read(reader, 1000).decode()
        os.close(reader)
    assert server.wait_gone()
    shutil.rmtree(path)
    assert "may write in" in text


def test_a_closed_claim_stays_closed(path: Path) -> None:
    """Closing twice is fine, using it after that is not."""
    server = open_embedded(path)
    server.close()
    server.close()
    with pytest.raises(ClosedError):
        server.ensure_running()


def test_a_forgotten_claim_is_reported_and_closed(path: Path) -> None:
    """As Python does it with files."""
    server = open_embedded(path)
    pid = server.pid
    with pytest.warns(ResourceWarning, match="was not closed"):
        del server
    wait_until_gone(pid)

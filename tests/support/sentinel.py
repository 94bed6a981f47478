"""A primary, its replica, and the sentinels that watch them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from .servers import RedisOptions, RedisProcess, connect_to
from .waiting import wait_until_sync

__all__ = ["SentinelProcesses"]

_MASTER = "mymaster"


class SentinelProcesses:
    """Two servers under real sentinels, which promote the replica when the primary dies.

    Args:
        sentinels: How many watch; a majority decides. One is enough, and starts sooner.
        down_after: Seconds of silence after which a sentinel takes a server for dead.
        durable: Write through to disk before answering, as a queue's servers should.
    """

    def __init__(self, sentinels: int = 3, down_after: float = 0.5, *, durable: bool = True) -> None:
        self._down_after = down_after
        self._quorum = sentinels // 2 + 1
        self._durable = durable
        self.servers = [RedisProcess(self._server_options())]
        self.sentinels: list[RedisProcess] = []
        self._sentinel_count = sentinels

    @property
    def url(self) -> str:
        """The sentinels, in the form that asyncq reads."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis-sentinel://{hosts}/0?master={_MASTER}"

    def primary(self) -> RedisProcess:
        """Return the server that the sentinels call the primary at the moment."""
        sentinel = next(process for process in self.sentinels if process.is_alive)
        with sentinel.client() as client:
            client.response_callbacks.clear()
            answer = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", _MASTER)
        port = int(cast("list[bytes]", answer)[1])
        return next(server for server in self.servers if server.port == port)

    def client(self) -> Redis:
        """Open a plain client to the present primary, for assertions. The caller closes it."""
        return self.primary().client()

    def start(self) -> None:
        """Start everything and wait until the sentinels could handle a fail-over."""
        first = self.servers[0]
        first.start()
        replica = RedisProcess(self._server_options(replicaof=["127.0.0.1", str(first.port)]))
        self.servers.append(replica)
        replica.start()
        wait_until_sync(lambda: _is_in_sync(replica), "the replica to have the data")
        for _ in range(self._sentinel_count):
            sentinel = _Sentinel(first.port, quorum=self._quorum, down_after=self._down_after)
            self.sentinels.append(sentinel)
            sentinel.start()
        wait_until_sync(self._is_ready, "the sentinels to know each other and the replica", 20.0)

    def kill_primary(self) -> RedisProcess:
        """Kill the primary, and return the server that is to take over."""
        primary = self.primary()
        primary.kill()
        return next(server for server in self.servers if server is not primary)

    def wait_promoted(self, server: RedisProcess, timeout: float = 30.0) -> None:
        """Wait until a server is the primary, in its own eyes and in those of a sentinel."""
        wait_until_sync(lambda: self._is_promoted(server), "the replica to be promoted", timeout)

    def flush(self) -> None:
        """Delete everything."""
        with self.client() as client:
            client.flushall()

    def close(self) -> None:
        """End everything and delete the data."""
        for process in (*self.sentinels, *self.servers):
            process.close()

    def __enter__(self) -> Self:
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
        self.close()

    def _server_options(self, **extra: Any) -> RedisOptions:
        return RedisOptions(
            transport="tcp",
            appendonly=self._durable,
            extra={"repl-diskless-sync-delay": 0, "replica-announce-ip": "127.0.0.1", **extra},
        )

    def _is_promoted(self, server: RedisProcess) -> bool:
        # A sentinel that promotes a server cuts all its connections, ours too.
        with contextlib.suppress(RedisConnectionError):
            return bool(_role(server)[0] == b"master") and self.primary() is server
        return False

    def _is_ready(self) -> bool:
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                state = client.sentinel_master(_MASTER)
            if state["num-other-sentinels"] != self._sentinel_count - 1 or state["num-slaves"] != 1:
                return False
        return True


class _Sentinel(RedisProcess):
    """One sentinel: the same program, with a configuration file that it rewrites itself."""

    def __init__(self, watched_port: int, *, quorum: int, down_after: float) -> None:
        super().__init__(RedisOptions(transport="tcp"))
        self._lines = (
            f"sentinel monitor {_MASTER} 127.0.0.1 {watched_port} {quorum}",
            f"sentinel down-after-milliseconds {_MASTER} {int(down_after * 1000)}",
            f"sentinel failover-timeout {_MASTER} 3000",
            f"sentinel parallel-syncs {_MASTER} 1",
        )
        self._written_for = 0

    def _command(self) -> list[str | Path]:
        binary, *_ = super()._command()
        file = self.directory / "sentinel.conf"
        # After a restart the file holds what the sentinel has learnt since.
        if self._written_for != self.port:
            own = (f"port {self.port}", "bind 127.0.0.1", f"dir {self.directory}")
            file.write_text("\n".join((*own, *self._lines)) + "\n")
            self._written_for = self.port
        return [binary, file, "--sentinel"]


def _role(server: RedisProcess) -> list[Any]:
    with connect_to(server.url) as client:
        client.response_callbacks.clear()
        return cast("list[Any]", client.execute_command("ROLE"))


def _is_in_sync(server: RedisProcess) -> bool:
    role = _role(server)
    return bool(role[0] == b"slave" and role[3] == b"connected")

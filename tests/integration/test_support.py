"""The servers for tests do what the tests rely on.

A fault that never happened makes every fault test pass, so the faults are proven here
against redis-py, with nothing of asyncq in between.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, OutOfMemoryError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from tests.conftest import AnyRedis
from tests.support.certificates import Certificate
from tests.support.cluster import ClusterProcesses
from tests.support.proxy import Proxy
from tests.support.sentinel import SentinelProcesses
from tests.support.servers import RedisOptions, RedisProcess, connect_to, is_answering, wait_until_gone
from tests.support.waiting import wait_until, wait_until_sync


@pytest.fixture
def proxy(redis_process: RedisProcess, redis_client: Redis) -> Iterator[Proxy]:
    """A proxy in front of the session's server, which is empty."""
    with Proxy(redis_process) as running:
        yield running


def _through(proxy: Proxy, *, timeout: float = 10.0) -> Redis:
    return Redis(port=proxy.port, retry=Retry(NoBackoff(), 0), socket_timeout=timeout, protocol=2)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_a_server_keeps_its_address_and_data_over_a_crash(transport: str) -> None:
    """`restart` is what fault tests do under load."""
    assert transport in {"unix", "tcp"}
    options = RedisOptions(transport="tcp" if transport == "tcp" else "unix", appendonly=True)
    with RedisProcess(options) as process:
        url, pid = process.url, process.pid
        with process.client() as client:
            client.set("kept", "yes")
        process.restart()
        assert (process.url, process.pid != pid) == (url, True)
        with process.client() as client:
            assert client.get("kept") == b"yes"
        pid = process.pid
    wait_until_gone(pid)
    assert not process.directory.exists()


@pytest.mark.parametrize("user", [None, "bob"])
def test_a_password_is_asked_for(user: str | None) -> None:
    """By URL it works, without it does not."""
    with RedisProcess(RedisOptions(password="p/w:1@", user=user)) as process:
        with process.client() as client:
            assert client.set("key", "value")
            assert client.acl_whoami() == (user or "default")
        with connect_to(f"unix://{process.address}") as client, pytest.raises(AuthenticationError):
            client.get("key")


def test_further_settings_reach_the_server() -> None:
    """Such as a memory that is too small."""
    with RedisProcess(RedisOptions(extra={"maxmemory": "1mb"})) as process, process.client() as client:
        with pytest.raises(OutOfMemoryError):
            client.set("key", "x" * 2_000_000)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_wrong_setting_shows_the_log() -> None:
    """Instead of a time-out without a reason."""
    process = RedisProcess(RedisOptions(extra={"no-such-setting": "1"}))
    try:
        with pytest.raises(RuntimeError, match="no-such-setting"):
            process.start()
    finally:
        process.close()


def test_a_paused_server_answers_after_it_was_resumed() -> None:
    """Frozen, not dead: connections stay."""
    with RedisProcess() as process:
        with Redis(unix_socket_path=str(process.address), socket_timeout=0.1) as client:
            client.ping()
            process.pause()
            with pytest.raises(RedisTimeoutError):
                Redis.from_url(process.url, socket_timeout=0.1, retry=Retry(NoBackoff(), 0)).ping()
            process.resume()
            assert client.ping()
        process.pause()
        process.stop()
        assert not process.is_alive


def test_a_server_dies_with_the_process_that_started_it() -> None:
    """Also when that is killed, so that nothing is left behind by a test run."""
    code = (
        "import sys; from tests.support.servers import RedisProcess\n"
        "process = RedisProcess(); process.start()\n"
        "print(process.pid, process.directory, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid, directory = parent.stdout.readline().split()
    parent.kill()
    parent.communicate()
    wait_until_gone(int(pid))
    shutil.rmtree(directory)


def test_a_server_outlives_the_thread_that_started_it() -> None:
    """The kernel's death signal goes by thread."""
    process = RedisProcess()
    thread = threading.Thread(target=process.start)
    thread.start()
    thread.join()
    with process:
        assert is_answering(process.address)


def test_every_kind_of_redis_is_empty_and_serves_all_keys(any_redis: AnyRedis) -> None:
    """A thousand keys hit every node of a cluster."""
    assert not list(any_redis.client.scan_iter())
    for number in range(1000):
        any_redis.client.set(f"key:{number}", number)
    assert all(any_redis.client.get(f"key:{number}") == b"%d" % number for number in range(1000))


@pytest.mark.cluster
def test_a_cluster_spreads_the_slots_over_its_nodes(cluster: ClusterProcesses) -> None:
    """Otherwise it would not find a key outside of its hash tag."""
    owners = {cluster.owner_of(f"key:{number}").port for number in range(100)}
    assert owners == {node.port for node in cluster.nodes}


@pytest.mark.cluster
@pytest.mark.faults
def test_a_cluster_survives_a_killed_node() -> None:
    """In order by `fail_over`, and by itself after a crash."""
    with ClusterProcesses(replicas=1) as cluster:
        with cluster.client() as client:
            client.set("key", "value")
        first = cluster.owner_of("key")
        second = cluster.replica_of(first)
        cluster.fail_over(first)
        assert cluster.owner_of("key") is second
        wait_until_sync(lambda: cluster.is_in_sync(first), "the old primary to follow")
        second.kill()
        cluster.wait_promoted(first)
        assert cluster.owner_of("key") is first
        second.start()
        cluster.wait_ok()
        wait_until_sync(lambda: cluster.is_in_sync(second), "the killed node to follow")
        with cluster.client() as client:
            assert client.get("key") == b"value"


@pytest.mark.sentinel
@pytest.mark.faults
def test_sentinels_promote_the_replica() -> None:
    """Three of them, of which two decide."""
    with SentinelProcesses() as sentinel:
        assert sentinel.url.count("127.0.0.1:") == 3
        first = sentinel.primary()
        with sentinel.client() as client:
            client.set("key", "value")
            assert client.wait(1, 5000) == 1
        second = sentinel.kill_primary()
        sentinel.wait_promoted(second)
        assert sentinel.primary() is second is not first
        with sentinel.client() as client:
            assert client.get("key") == b"value"
            client.set("key", "new")


def test_the_proxy_passes_and_counts(proxy: Proxy, redis_client: Redis) -> None:
    """Large values come in several pieces."""
    value = b"x" * 3_000_000
    with _through(proxy) as client:
        client.set("key", value)
        assert client.get("key") == value
        assert proxy.connections == 1
        with client.pipeline(transaction=False) as pipe:
            for number in range(500):
                pipe.set(f"key:{number}", number)
            pipe.execute()
    assert redis_client.get("key:499") == b"499"
    assert proxy.commands["SET"] == 501
    assert proxy.commands["GET"] == 1
    wait_until_sync(lambda: proxy.connections == 0, "the proxy to see the end")
    assert proxy.accepted == 1


def test_the_proxy_loses_the_answer_of_what_did_happen(proxy: Proxy, redis_client: Redis) -> None:
    """The case for which an enqueue must be safe to send again."""
    with _through(proxy) as client:
        proxy.lose_reply("INCRBY", containing=b"counted", times=2)
        client.incr("other")
        for count in (1, 2):
            with pytest.raises(RedisConnectionError):
                client.incr("counted")
            assert redis_client.get("counted") == b"%d" % count
        assert client.incr("counted") == 3
    assert proxy.losses == 2


def test_the_proxy_loses_the_answer_inside_a_pipeline(proxy: Proxy, redis_client: Redis) -> None:
    """What stands behind it does not happen."""
    with _through(proxy) as client, client.pipeline(transaction=False) as pipe:
        proxy.lose_reply("INCRBY")
        pipe.set("before", 1).incr("counted").set("after", 1)
        with pytest.raises(RedisConnectionError):
            pipe.execute()
    assert redis_client.mget("before", "counted", "after") == [b"1", b"1", None]


def test_the_proxy_loses_a_request(proxy: Proxy, redis_client: Redis) -> None:
    """The same error for the client, and nothing happened."""
    with _through(proxy) as client:
        proxy.lose_request("incrby")
        with pytest.raises(RedisConnectionError):
            client.incr("counted")
        assert redis_client.get("counted") is None
        assert client.incr("counted") == 1


def test_the_proxy_cuts_and_refuses(proxy: Proxy) -> None:
    """A cut connection can be made again, a refused one only after `start`."""
    with _through(proxy) as client:
        client.ping()
        with client.monitor() as monitor:
            proxy.cut()
            # A pool would look at its connection first, and make a new one.
            with pytest.raises(RedisConnectionError):
                monitor.next_command()
        assert client.ping()
        port = proxy.port
        proxy.refuse()
        for _ in range(2):
            with pytest.raises(RedisConnectionError):
                client.ping()
        proxy.start()
        assert proxy.port == port
        assert client.ping()


def test_the_proxy_freezes(proxy: Proxy) -> None:
    """No answer, no error, and everything arrives in the end."""
    with _through(proxy, timeout=0.2) as client:
        client.ping()
        proxy.freeze()
        with pytest.raises(RedisTimeoutError):
            client.incr("counted")
        with pytest.raises(RedisTimeoutError):
            client.ping()  # a new connection, which is accepted and then ignored
        proxy.thaw()
        wait_until_sync(lambda: client.get("counted") == b"1", "the late command")


def test_a_frozen_proxy_can_be_cut(proxy: Proxy) -> None:
    """And closed, as at the end of every test that failed half-way."""
    with _through(proxy) as client:
        client.ping()
        proxy.freeze()
        proxy.cut()
        wait_until_sync(lambda: proxy.connections == 0, "the connection to go")


def test_the_proxy_delays(proxy: Proxy) -> None:
    """A slow network, not a broken one."""
    with _through(proxy) as client:
        client.ping()
        proxy.delay(0.15)
        began = time.monotonic()
        client.ping()
        assert time.monotonic() - began >= 0.15
        proxy.delay(0.0)


async def test_the_proxy_half_closes(proxy: Proxy, redis_client: Redis) -> None:
    """The client reads the end of file, and what it still sends arrives."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"*1\r\n$4\r\nPING\r\n")
    assert await reader.readline() == b"+PONG\r\n"
    proxy.half_close()
    assert await reader.read() == b""
    writer.write(b"*2\r\n$4\r\nINCR\r\n$7\r\ncounted\r\n")
    await wait_until(lambda: redis_client.get("counted") == b"1", "the command to arrive")
    writer.close()
    await writer.wait_closed()


async def test_the_proxy_works_while_the_loop_of_the_test_is_blocked(proxy: Proxy) -> None:
    """As it is in tests of handlers that block."""
    with _through(proxy) as client:  # a blocking client, on the loop
        assert client.ping()


async def test_the_proxy_speaks_tls(redis_process: RedisProcess, certificate: Certificate) -> None:
    """The packaged server has no TLS, so the proxy does it."""
    with Proxy(redis_process, tls=certificate.server_context()) as proxy:
        assert proxy.url.startswith("rediss://")
        async with AsyncRedis.from_url(proxy.url, ssl_ca_certs=str(certificate.certificate)) as client:
            assert await client.echo("hello")
        async with AsyncRedis.from_url(proxy.url, retry=Retry(NoBackoff(), 0)) as client:
            with pytest.raises((RedisConnectionError, ssl.SSLError)):
                await client.echo("hello")


async def test_waiting_takes_coroutines_and_says_what_it_waited_for() -> None:
    """A time-out without a name is a riddle."""
    turns = iter([False, False, True])

    async def later() -> bool:
        return next(turns)

    await wait_until(later, "the third turn")
    with pytest.raises(AssertionError, match="for a miracle"):
        await wait_until(lambda: False, "a miracle", timeout=0.01)
    with pytest.raises(AssertionError, match="for a miracle"):
        wait_until_sync(lambda: False, "a miracle", timeout=0.01)

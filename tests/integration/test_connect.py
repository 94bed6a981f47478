"""Reaching Redis: every way in, every way in which it fails, and what is sent how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis

from asyncq._redis.router import Router
from asyncq._redis.script import Script, Text
from asyncq.client import Client
from asyncq.connection import ConnectionOptions, Tls
from asyncq.errors import (
    AuthenticationError,
    BrokerError,
    BrokerReplyError,
    BrokerUnavailableError,
    ServerTooOldError,
    UnsafeServerError,
)
from asyncq.mux import Mux
from asyncq.server import Server
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.support.census import take_census
from tests.support.certificates import Certificate
from tests.support.doors import door
from tests.support.proxy import Proxy
from tests.support.servers import RedisOptions, RedisProcess, free_port
from tests.support.waiting import wait_until


async def _pong(url: str) -> Any:
    async with Client(url) as client:
        return await client.ping()


async def test_every_kind_of_redis_answers(any_redis: AnyRedis) -> None:
    """With what it is, and how long a round trip takes."""
    pong = await _pong(any_redis.url)
    assert pong.server.split()[0] in {"redis", "valkey"}
    assert 0 < pong.latency < 1
    assert pong.where


async def test_connections_say_who_they_are(redis_url: str, redis_client: Redis) -> None:
    """CLIENT LIST on a Redis in trouble should not be a riddle."""

    def names() -> set[str]:
        return {entry["name"].rsplit(":", 1)[0] for entry in redis_client.client_list()}

    async with Server(redis_url).running(Mux()):
        await wait_until(lambda: {"asyncq:vitals", "asyncq:listener"} <= names(), "all to be connected")


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("user", [None, "bob"])
async def test_passwords_may_have_any_characters(transport: Any, user: str | None) -> None:
    """Percent-encoded in the URL, and never shown."""
    with RedisProcess(RedisOptions(transport=transport, password="p/w:1@ü%", user=user)) as process:
        async with Client(process.url) as client:
            pong = await client.ping()
            await client.enqueue(Task("t"))
        with process.client() as look:
            assert take_census(look).created == 1
    assert "p/w" not in pong.where


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("login", ["", ":wrong@", "nobody:secret@"])
async def test_a_wrong_password_is_said_so(transport: Any, login: str) -> None:
    """Trying again will not help: it is no outage."""
    with RedisProcess(RedisOptions(transport=transport, password="secret")) as process:
        scheme, _, rest = process.url.partition("://")
        url = f"{scheme}://{login}{rest.rpartition('@')[2]}"
        for call in (_pong, _enqueue, _serve):
            with pytest.raises(AuthenticationError) as caught:
                await call(url)
            assert "password" in caught.value.advice
            assert "wrong" not in str(caught.value).replace("wrong number", "")


async def _enqueue(url: str) -> None:
    async with Client(url) as client:
        await client.enqueue(Task("t"))


async def _serve(url: str) -> None:
    await Server(url, start_patience=0.2).start(Mux())


async def test_a_user_without_permission_is_said_so(redis_url: str, redis_client: Redis) -> None:
    """With where to read which permissions are needed."""
    redis_client.acl_setuser("weak", enabled=True, passwords=["+p"], keys=["*"], commands=["+ping", "+info"])
    try:
        url = redis_url.replace("unix://", "unix://weak:p@")
        with pytest.raises(AuthenticationError) as caught:
            await _enqueue(url)
        assert "docs/guides/redis.md" in caught.value.advice
    finally:
        redis_client.acl_deluser("weak")


# -- nobody there ---------------------------------------------------------------------------------


def _nobody(tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    port = free_port()
    yield f"redis://user:secret@127.0.0.1:{port}", f"127.0.0.1:{port}", "is Redis running there"
    yield f"unix://:secret@{tmp_path}/no.sock", f"{tmp_path}/no.sock", "is Redis running there"
    yield "redis://:secret@no-such-host.invalid", "no-such-host.invalid:6379", "cannot be resolved"
    yield f"redis-cluster://:secret@127.0.0.1:{port}", f"127.0.0.1:{port}", "is at least one node"
    yield f"redis-sentinel://127.0.0.1:{port}/0?master=m", f"127.0.0.1:{port}", "do the sentinels run"


@pytest.mark.parametrize("number", range(5))
async def test_an_address_without_a_redis_is_said_so(tmp_path: Path, number: int) -> None:
    """Where, why, and what to try; without the password."""
    url, where, advice = list(_nobody(tmp_path))[number]
    with pytest.raises(BrokerUnavailableError) as caught:
        await _pong(url)
    error = caught.value
    assert where in error.where
    assert error.why
    assert "<" not in error.why, "that is no sentence"
    assert advice in error.advice
    assert "secret" not in str(error)


async def test_a_host_that_swallows_packets_is_given_up() -> None:
    """After the time to connect, not after that of TCP."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with door(silent) as address:
        with pytest.raises(BrokerUnavailableError, match="no answer while connecting"):
            await _pong(f"redis://{address}?connect_timeout=0.1")


# -- TLS ------------------------------------------------------------------------------------------


async def test_tls_is_spoken_and_checked(
    redis_process: RedisProcess, redis_url: str, certificate: Certificate
) -> None:
    """With the authority that was named; without it the certificate is refused."""
    with Proxy(redis_process, tls=certificate.server_context()) as proxy:
        await _pong(f"{proxy.url}?tls_ca={certificate.certificate}")
        await _pong(f"{proxy.url}?tls_verify=false")
        by_options = ConnectionOptions.from_url(proxy.url, tls=Tls(ca_file=str(certificate.certificate)))
        async with Client(by_options) as client:
            await client.enqueue(Task("t"))
        with pytest.raises(BrokerUnavailableError) as caught:
            await _pong(proxy.url)
        assert "tls_ca" in caught.value.advice
        with pytest.raises(BrokerError):
            await _pong(proxy.url.replace("rediss", "redis") + "?connect_timeout=0.5")


async def test_tls_to_a_server_without_it_is_said_so(redis_process: RedisProcess, redis_url: str) -> None:
    """A wrong letter in the scheme."""
    with Proxy(redis_process) as proxy, pytest.raises(BrokerUnavailableError) as caught:
        await _pong(proxy.url.replace("redis://", "rediss://") + "?connect_timeout=0.5")
    assert "rediss:// or redis://" in caught.value.advice


# -- not fit for tasks ------------------------------------------------------------------------------


@asynccontextmanager
async def _impostor(**facts: str) -> AsyncGenerator[str]:
    """Something that speaks the protocol and says of itself what it is told to say."""
    info = "".join(f"{name}:{value}\r\n" for name, value in facts.items()).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (line := await reader.readline()).startswith(b"*"):
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            answers = {b"PING": b"+PONG\r\n", b"INFO": b"$%d\r\n%s\r\n" % (len(info), info)}
            writer.write(answers.get(words[0].upper(), b"+OK\r\n"))

    async with door(serve) as address:
        yield f"redis://{address}"


@pytest.mark.parametrize("version", ["2.8.24", "5.0.14", "6.0.16"])
async def test_a_server_that_is_too_old_is_said_so(version: str) -> None:
    """Before the first script fails on it."""
    async with _impostor(redis_version=version) as url:
        for call in (_pong, _serve):
            with pytest.raises(ServerTooOldError, match=rf"{version}.*6\.2"):
                await call(url)


@pytest.mark.parametrize("version", ["6.2.0", "7.0.15", "8.2.1", "10.0.0"])
async def test_a_server_that_is_new_enough_is_fine(version: str) -> None:
    """Ten is more than six."""
    async with _impostor(redis_version=version, role="master") as url:
        assert (await _pong(url)).server == f"redis {version}"


@pytest.mark.parametrize(
    ("policy", "maxmemory", "verdict"),
    [
        ("allkeys-lru", "0", "refused"),
        ("allkeys-random", "100mb", "refused"),
        ("volatile-lru", "100mb", "warned"),
        ("volatile-ttl", "0", "fine"),
        ("noeviction", "100mb", "fine"),
    ],
)
async def test_a_server_that_throws_tasks_away_is_refused(policy: str, maxmemory: str, verdict: str) -> None:
    """When its memory is full; one that may only drop what expires gets a warning."""
    options = RedisOptions(extra={"maxmemory-policy": policy, "maxmemory": maxmemory}, appendonly=True)
    with RedisProcess(options) as process:
        if verdict == "refused":
            for call in (_pong, _serve):
                with pytest.raises(UnsafeServerError, match=policy) as caught:
                    await call(process.url)
                assert "noeviction" in caught.value.advice
        else:
            pong = await _pong(process.url)
            assert any(policy in warning for warning in pong.warnings) == (verdict == "warned")


async def test_a_replica_is_refused() -> None:
    """It would refuse the first write, in the middle of the night."""
    with RedisProcess(RedisOptions(transport="tcp")) as primary:
        extra = {"replicaof": ["127.0.0.1", str(primary.port)]}
        with RedisProcess(RedisOptions(transport="tcp", extra=extra)) as replica:
            with pytest.raises(UnsafeServerError, match=str(primary.port)) as caught:
                await _pong(replica.url)
            assert "redis-sentinel" in caught.value.advice
            async with Client(replica.url, patience=0.2) as client:
                # The task and the name of its queue go together. Whichever is refused first ends the
                # connection for both, and the other one says that.
                with pytest.raises(BrokerUnavailableError, match=r"READONLY|no longer the primary"):
                    await client.enqueue(Task("t"))


@pytest.mark.parametrize("appendonly", [True, False])
async def test_a_server_that_forgets_gets_a_warning(*, appendonly: bool) -> None:
    """Without an append-only file a crash costs what came since the last snapshot."""
    with RedisProcess(RedisOptions(appendonly=appendonly)) as process:
        warnings = (await _pong(process.url)).warnings
    assert any("append-only" in warning for warning in warnings) == (not appendonly)


# -- what is sent how often -------------------------------------------------------------------------


async def test_scripts_that_were_forgotten_are_sent_again(any_redis: AnyRedis) -> None:
    """After a fail-over, a restart, or SCRIPT FLUSH; a server at work notices nothing."""
    done = asyncio.Event()
    mux = Mux()

    @mux.handle("t")
    async def work(task: Task) -> None:
        done.set()

    async with Client(any_redis.url) as client, Server(any_redis.url).running(mux):
        for _ in range(3):
            cast("Any", any_redis.client).script_flush()
            done.clear()
            await client.enqueue(Task("t"))
            await asyncio.wait_for(done.wait(), 10)


def _script(name: str, source: str) -> Script:
    return Script(name, {"native": Text.of(source)})


@asynccontextmanager
async def _router(url: str, **options: Any) -> AsyncGenerator[Router]:
    router = Router(ConnectionOptions.from_url(url, **options), name="asyncq:test")
    try:
        yield router
    finally:
        await router.aclose()


async def test_a_slow_script_runs_once(redis_url: str, redis_client: Redis) -> None:
    """Slow is not lost: nobody below us may lose patience and send it again."""
    slow = _script("slow", "redis.call('INCR', KEYS[1]) local n = 0 for i = 1, 1e8 do n = n + i end return n")
    async with _router(redis_url, connect_timeout=0.2) as router:
        await router.command("PING", patience=5)
        await router.run(slow, ["count"], [], slot=0, patience=5)
    assert redis_client.get("count") == b"1"


@pytest.mark.parametrize("lose", ["reply", "request"])
async def test_without_patience_nothing_is_sent_twice(
    redis_process: RedisProcess, redis_client: Redis, lose: str
) -> None:
    """Whether to send again is our decision, call by call, and never that of the library."""
    count = _script("count", "return redis.call('INCR', KEYS[1])")
    redis_client.script_load(count.texts["native"].source)
    with Proxy(redis_process) as proxy:
        async with _router(proxy.url) as router:
            await router.command("PING", patience=5)
            (proxy.lose_reply if lose == "reply" else proxy.lose_request)("EVALSHA")
            with pytest.raises(BrokerUnavailableError, match="whether it ran is unknown"):
                await router.run(count, ["count"], [], slot=0, patience=0)
            assert proxy.commands["EVALSHA"] == 1
            await router.run(count, ["count"], [], slot=0, patience=5)
    assert redis_client.get("count") == (b"2" if lose == "reply" else b"1")


async def test_with_patience_it_is_sent_again_and_says_so(
    redis_process: RedisProcess, redis_client: Redis
) -> None:
    """The script is told, so that it can look for what the first sending did."""
    told = _script("told", "redis.call('RPUSH', KEYS[1], ARGV[1] .. '.' .. ARGV[2]) return 1")
    redis_client.script_load(told.texts["native"].source)
    with Proxy(redis_process) as proxy:
        async with _router(proxy.url) as router:
            await router.command("PING", patience=5)
            proxy.lose_reply("EVALSHA")
            await router.run(told, ["told"], ["x"], slot=0, patience=5)
    assert redis_client.lrange("told", 0, -1) == [b".x", b"1.x"]


async def test_a_script_that_fails_is_no_outage(redis_url: str, redis_client: Redis) -> None:
    """A bug of ours is reported with its name and the reply, and not tried again."""
    broken = _script("broken", "redis.call('INCR', KEYS[1]) return redis.call('LPUSH', KEYS[1], 'x')")
    async with _router(redis_url) as router:
        with pytest.raises(BrokerReplyError, match="WRONGTYPE") as caught:
            await router.run(broken, ["count"], [], slot=0, patience=5)
    assert caught.value.script == "broken"
    assert redis_client.get("count") == b"1"


async def test_a_redis_that_is_full_is_waited_for(redis_url: str, redis_client: Redis) -> None:
    """Servers drain it. When patience ends the error says what is the matter, and half a task is nowhere."""
    redis_client.config_set("maxmemory", "1")
    try:
        async with Client(redis_url, patience=0.2) as client:
            with pytest.raises(BrokerUnavailableError, match="maxmemory"):
                await client.enqueue(Task("t"), unique=60)
        assert take_census(redis_client).created == 0
    finally:
        redis_client.config_set("maxmemory", "0")


async def test_whoever_closes_while_calls_are_on_their_way_leaves_nobody_waiting(
    redis_process: RedisProcess, redis_client: Redis
) -> None:
    """Each call ends, be it with an error."""
    with Proxy(redis_process) as proxy:
        router = Router(ConnectionOptions.from_url(proxy.url), name="asyncq:test")
        await router.command("PING", patience=5)
        proxy.freeze()
        waiting = [asyncio.ensure_future(router.command("PING", patience=60)) for _ in range(5)]
        await asyncio.sleep(0)
        await router.aclose()
        answers = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
        late = asyncio.ensure_future(router.command("PING", patience=60))
        answers += await asyncio.wait_for(asyncio.gather(late, return_exceptions=True), 5)
    assert {type(answer).__name__ for answer in answers} == {"ClosedError"}

"""docs/guides/redis.md and docs/concepts/keyspace.md against a real Redis with a real ACL user."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any, Final

import pytest
from redis import Redis

from asyncq import (
    Client,
    Context,
    Inspector,
    Limit,
    Mux,
    RevokeTask,
    Scheduler,
    Semaphore,
    Server,
    SkipRetry,
    Task,
)
from asyncq._broker.basis import script
from asyncq.errors import AuthenticationError, DuplicateTaskError
from asyncq.retry import Fixed
from tests.acceptance.pages import DOCS, ROOT, blocks, names, section, table
from tests.integration.serving import inside
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until, wait_until_sync

pytestmark = [pytest.mark.acceptance]

GUIDE: Final = DOCS / "guides" / "redis.md"
KEYSPACE: Final = DOCS / "concepts" / "keyspace.md"
PASSWORD: Final = "s3cret/with@signs"

WORKER, OPERATOR = (
    block.body.strip() for block in blocks(GUIDE, "text") if block.body.startswith("ACL SETUSER")
)


def _allowed(rule: str) -> set[str]:
    return {word[1:].upper().partition("|")[0] for word in rule.split() if word.startswith("+")}


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisProcess]:
    """A server with the users of the guide."""
    with RedisProcess() as process:
        with process.client() as client:
            for rule in (WORKER, OPERATOR):
                client.execute_command(*rule.replace("PASSWORD", PASSWORD).split())
        yield process


@pytest.fixture
def admin(guarded: RedisProcess) -> Iterator[Redis]:
    """One who may look at everything; nothing is in there yet, and nothing was refused."""
    with guarded.client() as client:
        client.flushall()
        client.execute_command("ACL", "LOG", "RESET")
        yield client


def _url(process: RedisProcess, user: str, path: str = "") -> str:
    return f"unix://{user}:s3cret%2Fwith%40signs@{path or process.address}"


def _refused(admin: Redis) -> list[str]:
    log: Any = admin.execute_command("ACL", "LOG")
    return [str(entry) for entry in log]


def _mux() -> Mux:
    mux = Mux()

    @mux.handle("done")
    async def done(_: Task, ctx: Context) -> dict[str, int]:
        ctx.progress(1, 2, "half")
        await ctx.write_result({"so far": 1})
        return {"n": 1}

    @mux.handle("limited", limit=Limit("bank", 1))
    async def limited(_: Task) -> None:
        await asyncio.sleep(0.01)

    @mux.handle("slow")
    async def slow(_: Task) -> None:
        await asyncio.Event().wait()

    @mux.handle("fails")
    async def fails(_: Task, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise OSError("no")

    @mux.handle("hopeless")
    async def hopeless(_: Task) -> None:
        raise SkipRetry("never")

    @mux.handle("revoked")
    async def revoked(_: Task) -> None:
        raise RevokeTask

    return mux


async def _live(url: str, admin: Redis, **options: Any) -> None:
    """Do everything that clients, servers and schedulers do."""
    scheduler = Scheduler(url, waking=options.get("waking", "push"))
    scheduler.register("@every 1s", Task("done", queue="periodic"))
    server = Server(
        url, concurrency=10, queues={"default": 2, "periodic": 1}, retry=Fixed(0.05), lease=1.0, **options
    )
    async with Client(url) as client:
        await client.ping()
        await client.enqueue(Task("done"), expires_in=0.001)
        await client.enqueue(Task("done"), group="some", process_in=0.01)
        await client.enqueue(Task("done"), group="some")
        await client.enqueue(Task("done"), unique=60, process_in=3600)
        with pytest.raises(DuplicateTaskError):
            await client.enqueue(Task("done"), unique=60)
        async with server.running(_mux()), scheduler.running():
            for kind in ("done", "fails", "hopeless", "revoked", "slow"):
                info = await client.enqueue(
                    Task(kind), retention=60, process_in=0.02 if kind == "done" else 0
                )
                if kind == "done" and not options:  # it would try to subscribe
                    assert await client.result(info, 30) == {"n": 1}
            await client.schedules.upsert("@daily", Task("done"), entry_id="stored")
            await client.schedules.pause("stored")
            await client.schedules.resume("stored")
            await client.schedules.upsert("@daily", Task("done"), entry_id="gone")
            await client.schedules.remove("gone")
            await client.enqueue(Task("nobody knows"))
            for _ in range(3):
                await client.enqueue(Task("limited", queue="periodic"))
            async with aclosing(Semaphore(url, "bank", 2)) as semaphore, semaphore:
                assert (await semaphore.held()).count
            await wait_until(lambda: not admin.exists("asyncq:sema:{bank}"), "the limited ones")
            await wait_until(lambda: admin.zcard("asyncq:{default}:completed") == 2, "the completed ones")
            await wait_until(lambda: admin.hget("asyncq:{default}:flow", "revoked"), "the revoked one")
            await wait_until(lambda: admin.zcard("asyncq:{default}:archived") == 1, "the archived one")
            await wait_until(lambda: admin.hget("asyncq:{periodic}:flow", "done"), "a periodic one")
            await server.shutdown(now=True)


@pytest.mark.timeout(90)
async def test_the_worker_of_the_guide_may_do_all_it_needs(guarded: RedisProcess, admin: Redis) -> None:
    """Nothing that we send is refused; and all that is in Redis then is on the page about it."""
    await _live(_url(guarded, "worker"), admin)
    assert _refused(admin) == []
    _assert_documented(admin)


@pytest.mark.timeout(90)
async def test_without_subscriptions_there_is_polling(guarded: RedisProcess, admin: Redis) -> None:
    """What the guide says about managed servers that forbid them."""
    rule = WORKER.replace("+subscribe ", "").replace("SETUSER worker", "SETUSER poller")
    admin.execute_command(*rule.replace("PASSWORD", PASSWORD).split())
    await _live(_url(guarded, "poller"), admin, waking="poll", task_check_interval=0.05)
    assert _refused(admin) == []


async def test_beside_go_two_more_rights_are_needed(guarded: RedisProcess, admin: Redis) -> None:
    """To be told of changes, and for a list that Go has; nothing that we send is refused then."""
    more = " ".join(re.findall(r"`(\+[a-z|]+)`", section(GUIDE, "Beside Go's asynq")))
    rule = f"{WORKER} {more}".replace("SETUSER worker", "SETUSER neighbour").replace("asyncq:", "asynq:")
    admin.execute_command(*rule.replace("PASSWORD", PASSWORD).split())
    server = Server(_url(guarded, "neighbour"), wire="asynq", group_aggregator=lambda group, tasks: tasks[0])
    async with server.running(_mux()):
        (watcher,) = inside(server).watchers
        await wait_until(lambda: watcher.hears, "the server to hear of changes")
        for name in ("scheduled", "retry"):
            admin.zadd(f"asynq:{{default}}:{name}", {"one": 1e10})
        admin.lpush("asynq:{default}:pending", "one")
        await wait_until(lambda: not admin.exists("asynq:{default}:pending"), "it to be taken")
        assert watcher.hears
    assert _refused(admin) == []


async def test_a_wrong_password_is_an_authentication_error(guarded: RedisProcess, admin: Redis) -> None:
    """Not an outage: trying again does not help."""
    del admin
    async with Client(f"unix://worker:wrong@{guarded.address}") as client:
        with pytest.raises(AuthenticationError):
            await client.ping()


async def test_rights_that_do_not_suffice_are_named(guarded: RedisProcess, admin: Redis) -> None:
    """Redis' own words name the command."""
    rule = WORKER.replace("+info ", "").replace("SETUSER worker", "SETUSER blind")
    admin.execute_command(*rule.replace("PASSWORD", PASSWORD).split())
    async with Client(_url(guarded, "blind")) as client:
        with pytest.raises(AuthenticationError, match="info"):
            await client.ping()


@pytest.mark.timeout(90)
async def test_the_doctor_of_the_guide_may_look_and_repair(guarded: RedisProcess, admin: Redis) -> None:
    """A sound and a damaged key space."""
    await _live(_url(guarded, "worker"), admin)
    admin.rpush("asyncq:{default}:pending", "nothing-behind-it")
    admin.hset("asyncq:{default}:t:nowhere", mapping={"msg": b"?"})
    admin.hset("asyncq:schedule:{entries}", "by hand", "no record")
    command = [
        sys.executable,
        "-m",
        "asyncq",
        "doctor",
        "--url",
        _url(guarded, "operator"),
        "--repair",
        "--yes",
    ]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )
    assert _refused(admin) == [], done.stdout + done.stderr
    assert "NOPERM" not in done.stdout + done.stderr
    assert admin.lpos("asyncq:{default}:pending", "nothing-behind-it") is None, done.stdout + done.stderr


# All other scripts are those of `asyncq doctor` and the inspector.
_OF_WORKERS: Final = {
    *("aggregate", "annotate", "await", "collect", "deliver", "dismiss", "enqueue", "extend"),
    *(
        "forward",
        "gather",
        "prolong",
        "record",
        "recover",
        "set_aside",
        "settle",
        "step_aside",
        "sweep",
        "ungather",
    ),
    *("go_entries", "go_server"),
    *("acquire", "hold", "holders", "promote", "release", "vacancy"),
}


_SCRIPTS: Final = sorted(path.stem for path in (ROOT / "asyncq" / "_broker" / "lua").glob("[a-z]*.lua"))


def _commands(name: str, dialect: str) -> set[str]:
    return set(re.findall(r"call\('([A-Z]+)'", script(name).texts[dialect].source))


async def test_an_operator_with_a_name_may_write_and_read_the_trail(
    guarded: RedisProcess, admin: Redis
) -> None:
    """A change that could not be noted would only be in the log."""
    async with (
        Client(_url(guarded, "worker")) as client,
        Inspector(_url(guarded, "operator"), actor="ann") as inspector,
    ):
        await client.enqueue(Task("x"))
        await inspector.queues.pause("default")
        page = await inspector.trail.list(actor="ann")
        assert [(one.action, one.outcome) for one in page] == [("queue.pause", "done")]
    assert _refused(admin) == []


@pytest.mark.parametrize("name", [name for name in _SCRIPTS if not name.startswith("go_")])
def test_the_guide_lists_the_commands_of_each_script(name: str) -> None:
    """Also of the branches that no test above has walked."""
    rule = WORKER if name in _OF_WORKERS else OPERATOR
    assert _commands(name, "native") - _allowed(rule) == set()


@pytest.mark.parametrize("name", _SCRIPTS)
def test_the_guide_lists_what_the_scripts_of_the_asynq_wire_want_besides(name: str) -> None:
    """A user for it is made by the rules of the other wire, and what that section adds."""
    rule = WORKER if name in _OF_WORKERS else OPERATOR
    more = {word.upper() for word in re.findall(r"`\+(\w+)`", section(GUIDE, "Beside Go's asynq"))}
    assert _commands(name, "asynq") - _allowed(rule) <= more


def _assert_documented(admin: Redis) -> None:
    text = section(KEYSPACE, "Keys of a queue") + section(KEYSPACE, "Keys outside queues")
    patterns = [_pattern(name) for row in table(text) for name in names(row[0])]
    fields = {name for row in table(section(KEYSPACE, "Fields of a task")) for name in names(row[0])}
    flow = {name for row in table(section(KEYSPACE, "Fields of flow")) for name in names(row[0])}
    seen: set[str] = set()
    for raw in admin.scan_iter():
        key = raw.decode()
        assert any(pattern.fullmatch(key) for pattern in patterns), f"{key} is not on the page"
        if ":t:" in key:
            found: Any = admin.hkeys(raw)
            seen |= {name.decode() for name in found}
        elif key.endswith(":flow"):
            counted: Any = admin.hkeys(raw)
            assert {name.decode() for name in counted} <= flow
    assert seen <= fields
    assert {"msg", "state", "deliveries", "retried", "error", "reason", "result", "unique"} <= seen


def _pattern(name: str) -> re.Pattern[str]:
    full = name.replace("Q ", "<prefix>{<queue>}:").replace("<prefix>", "asyncq:")
    return re.compile(re.sub(r"<\w+>", ".*", re.escape(full)))


def test_every_url_of_the_guide_is_understood() -> None:
    """Each row of the table, with its optional parts and without."""
    rows = table(section(GUIDE, "URLs"))
    urls = [name for row in rows for name in names(row[0]) if "://" in name]
    assert len(urls) == 6
    for url in urls:
        scheme = url.partition("://")[0]
        full = {
            "redis": "redis://user:password@host:6390/2",
            "rediss": "rediss://user:password@host:6390/2",
            "unix": "unix:///path/to/socket?db=0",
            "redis-sentinel": "redis-sentinel://user:password@host:26379,host:26380/2?master=name",
            "redis-cluster": "redis-cluster://user:password@host:7000,host:7001",
            "embedded": "embedded://PATH",
        }[scheme]
        for one in (full, full.replace("redis", "valkey")):
            assert Client(one)


def test_the_embedded_server_listens_on_its_socket_only(tmp_path: Any) -> None:
    """Nobody from outside, no port."""
    from asyncq.embedded import open_embedded

    with open_embedded(tmp_path / "data") as server, Redis(unix_socket_path=server.socket_path) as redis:
        settings: Any = redis.config_get("*")
        assert settings["port"] == "0"
        assert settings["appendonly"] == "yes"
        assert settings["maxmemory-policy"] == "noeviction"
    wait_until_sync(lambda: server.wait_gone(0.1), "the server to end")

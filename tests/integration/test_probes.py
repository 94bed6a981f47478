"""What an orchestrator is told of servers and schedulers, over HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from asyncq import Mux, Scheduler, Server, Task, _probes
from asyncq._engine.condition import Observer
from asyncq.client import Client
from asyncq.errors import ConfigError
from asyncq.server import Page, Request
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, inside
from tests.support.http import Answer, ask
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.waiting import wait_until

ANY_PORT = "127.0.0.1:0"


@pytest.fixture(autouse=True)
def _asks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is asked every five seconds whether it is there; here nobody has that time."""
    monkeypatch.setattr(_probes, "ASK_EVERY", 0.1)
    monkeypatch.setattr(_probes, "ASK_AGAIN", 0.1)


async def _status(door: Server | Scheduler, path: str) -> int:
    return (await ask(door.probes_url, path)).status


async def _becomes(door: Server | Scheduler, path: str, status: int) -> Answer:
    answers: list[Answer] = []

    async def is_so() -> bool:
        answers.append(await ask(door.probes_url, path))
        return answers[-1].status == status

    await wait_until(is_so, f"{path} to say {status}")
    return answers[-1]


async def test_an_idle_server_is_ready(any_redis: AnyRedis) -> None:
    """In words for people, and as JSON for programs; and the door closes with the server."""
    server = Server(any_redis.url, probes=ANY_PORT)
    assert server.probes_url is None
    async with server.running(Mux()):
        assert (await ask(server.probes_url, "/healthz")).body == "alive (active)\n"
        answer = await ask(server.probes_url, "/readyz")
        assert (answer.status, answer.body) == (200, "ready (active)\n")
        for answer in (
            await ask(server.probes_url, "/readyz?format=json"),
            await ask(server.probes_url, "/readyz", accept="application/json"),
        ):
            assert answer.headers["Content-Type"] == "application/json"
            facts = json.loads(answer.body)
            assert facts["ok"] is True
            assert (facts["status"], facts["reasons"], facts["redis"]) == ("active", [], "ok")
    assert server.probes_url is None


async def test_a_server_that_was_stopped_is_not_ready_and_need_not_be_restarted(redis_url: str) -> None:
    """Nor one that drains: killing it now would be the wrong thing."""
    mux, release = Mux(), asyncio.Event()

    @mux.handle("waits")
    async def waits(task: Task) -> None:
        await release.wait()

    async with at_work(redis_url, mux, probes=ANY_PORT) as (client, server):
        await client.enqueue(Task("waits"))
        await wait_until(lambda: inside(server)._active(), "the handler to run")  # noqa: SLF001
        await server.stop()
        answer = await ask(server.probes_url, "/readyz")
        assert answer.status == 503
        assert "no more tasks" in answer.body
        assert await _status(server, "/healthz") == 200
        await server.resume()
        assert await _status(server, "/readyz") == 200
        leaving = asyncio.ensure_future(server.shutdown())
        answer = await _becomes(server, "/readyz", 503)
        assert "leaving" in answer.body
        assert await _status(server, "/healthz") == 200
        release.set()
        await leaving


async def test_while_redis_is_away_it_is_alive_and_not_ready() -> None:
    """It survives that by itself, and a restart would lose the outcomes that it keeps."""
    with RedisProcess(RedisOptions(appendonly=True)) as redis:
        async with at_work(redis.url, Mux(), probes=ANY_PORT) as (_, server):
            redis.kill()
            answer = await _becomes(server, "/readyz", 503)
            assert "Redis does not answer" in answer.body
            assert await _status(server, "/healthz") == 200
            await asyncio.to_thread(redis.start)
            await _becomes(server, "/readyz", 200)


async def test_before_redis_was_reached_the_door_is_open() -> None:
    """A probe at the start gets an answer, and a server that is told to leave then leaves."""
    with RedisProcess() as redis:
        redis.pause()
        server = Server(redis.url, probes=ANY_PORT, start_patience=60.0)
        starting = asyncio.ensure_future(server.start(Mux()))
        await wait_until(lambda: server.probes_url is not None, "the door to open")
        answer = await ask(server.probes_url, "/readyz")
        assert (answer.status, "starting" in answer.body) == (503, True)
        assert await _status(server, "/healthz") == 200
        redis.resume()
        await starting
        assert await _status(server, "/readyz") == 200
        await server.shutdown()


async def test_a_question_for_work_that_is_never_answered_is_noticed(redis_url: str) -> None:
    """The fetcher hangs though Redis is there: not ready, and to be started again."""
    async with at_work(redis_url, Mux(), probes=ANY_PORT, ready_within=0.5, task_check_interval=0.05) as (
        _,
        server,
    ):
        assert await _status(server, "/readyz") == 200
        fetcher: Any = inside(server).fetcher
        unanswered: list[dict[str, Any]] = []
        fetcher._deliver.request = lambda *_, **how: unanswered.append(how)  # noqa: SLF001 - no answer comes
        answer = await _becomes(server, "/healthz", 503)
        assert "though Redis is there" in answer.body
        facts = json.loads((await ask(server.probes_url, "/readyz?format=json")).body)
        assert facts["ok"] is False
        assert facts["silent_for"] > 0.5
        assert facts["reasons"]
        for how in unanswered:
            how["on_delivered"]([])  # so that leaving need not wait for it


async def test_a_full_server_is_ready_and_one_full_of_handlers_that_do_not_end_is_lost(
    redis_url: str,
) -> None:
    """With all slots taken it has nothing to ask for; but slots that never come back are no slots."""
    mux, release = Mux(), asyncio.Event()

    @mux.handle("stubborn")
    async def stubborn(task: Task) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with at_work(
        redis_url,
        mux,
        probes=ANY_PORT,
        concurrency=1,
        ready_within=0.3,
        task_check_interval=0.05,
        cancel_grace=0.05,
    ) as (client, server):
        await client.enqueue(Task("stubborn"), timeout=2)
        await wait_until(lambda: inside(server)._active(), "the handler to run")  # noqa: SLF001
        assert await _status(server, "/readyz") == 200
        answer = await _becomes(server, "/healthz", 503)
        assert "all 1 slots" in answer.body
        release.set()
        await _becomes(server, "/readyz", 200)


async def test_silence_counts_from_when_there_was_a_free_slot(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was full for an hour is not lost in the moment in which a slot becomes free."""
    async with at_work(redis_url, Mux(), task_check_interval=3600.0) as (_, server):
        supervisor = inside(server)
        executor, fetcher = supervisor.executor, supervisor.fetcher
        assert executor is not None
        assert fetcher is not None
        observer = Observer(supervisor, concurrency=10, ready_within=30.0)
        fetcher.last_answer_at -= 3600.0
        observer._full_at -= 3600.0  # noqa: SLF001 - as if it had been made long ago
        assert observer.condition(None).faults
        with monkeypatch.context() as patched:
            patched.setattr(executor, "_draining", True)
            assert not observer.condition(None).faults
        assert not observer.condition(None).faults


async def test_a_blocked_loop_gives_no_answer(redis_url: str) -> None:
    """That is what a probe with a limit of time notices."""
    mux, begun, may_block = Mux(), asyncio.Event(), asyncio.Event()

    @mux.handle("blocks")
    async def blocks(task: Task) -> None:
        begun.set()
        await may_block.wait()
        time.sleep(0.3)  # noqa: ASYNC251 - the sin that is looked for

    async with at_work(redis_url, mux, probes=ANY_PORT) as (client, server):
        await client.enqueue(Task("blocks"))
        await begun.wait()
        asked_at = time.monotonic()
        asking = asyncio.ensure_future(_status(server, "/healthz"))
        may_block.set()
        assert await asking == 200
        assert time.monotonic() - asked_at >= 0.25


async def test_pages_can_be_added(redis_url: str) -> None:
    """Before the start and after it."""

    def early(request: Request) -> Page:
        return Page("early")

    async def late(request: Request) -> Page:
        return Page("late", 201)

    server = Server(redis_url, probes=ANY_PORT)
    server.add_page("/early", early)
    async with server.running(Mux()):
        server.add_page("/late", late)
        assert (await ask(server.probes_url, "/early")).body == "early"
        assert (await ask(server.probes_url, "/late")).status == 201
        for path in ("/early", "/healthz", "late", "", "/x?y"):
            with pytest.raises(ConfigError, match="path"):
                server.add_page(path, early)
        with pytest.raises(ConfigError, match="page"):
            server.add_page("/other", "text")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="probes"):
        Server(redis_url).add_page("/early", early)


async def test_a_door_that_cannot_open_keeps_the_server_from_starting(redis_url: str) -> None:
    """Otherwise the orchestrator would kill it again and again, and nobody would know why."""
    async with Server(redis_url, probes=ANY_PORT).running(Mux()) as first:
        assert first.probes_url is not None
        taken = first.probes_url.removeprefix("http://")
        with pytest.raises(ConfigError, match="in use"):
            await Server(redis_url, probes=taken).start(Mux())
        with pytest.raises(ConfigError, match="in use"):
            await Scheduler(redis_url, probes=taken).start()


def test_wrong_options_are_refused() -> None:
    """Before anything is connected."""
    for door in (Server, Scheduler):
        with pytest.raises(ConfigError, match=r"probes.*127\.0\.0\.1:8081"):
            door("redis://nowhere", probes="8081")
    with pytest.raises(ConfigError, match="ready_within"):
        Server("redis://nowhere", probes=ANY_PORT, ready_within=5)
    Server("redis://nowhere", ready_within=5)


async def test_a_scheduler_has_probes_too(any_redis: AnyRedis) -> None:
    """One that is stopped is not ready."""
    scheduler = Scheduler(any_redis.url, probes=ANY_PORT)
    scheduler.add_page("/more", lambda request: Page(request.path))
    async with scheduler.running(), Client(any_redis.url):
        assert (await ask(scheduler.probes_url, "/readyz")).body == "ready (running)\n"
        assert (await ask(scheduler.probes_url, "/more")).body == "/more"
        await scheduler.stop()
        assert await _status(scheduler, "/readyz") == 503
        assert await _status(scheduler, "/healthz") == 200
        await scheduler.resume()
        assert await _status(scheduler, "/readyz") == 200
    assert scheduler.probes_url is None


async def test_a_scheduler_that_cannot_reach_redis_is_alive_and_not_ready() -> None:
    """As a server."""
    with RedisProcess() as redis:
        scheduler = Scheduler(redis.url, probes=ANY_PORT)
        async with scheduler.running():
            redis.kill()
            await _becomes(scheduler, "/readyz", 503)
            assert await _status(scheduler, "/healthz") == 200
            redis.start()
            await _becomes(scheduler, "/readyz", 200)

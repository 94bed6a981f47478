"""Groups with servers and schedulers, and groups that own their process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from redis import Redis

from asyncq.app import App, ServiceGroup, Shutdown, with_start
from asyncq.app import group as group_module
from asyncq.client import Client
from asyncq.errors import BrokerUnavailableError, ClosedError
from asyncq.mux import Mux
from asyncq.scheduler import Scheduler
from asyncq.server import Server
from asyncq.shared import Connection
from asyncq.task import Task
from tests.support._processes import spawn
from tests.support.census import take_census
from tests.support.waiting import wait_until, wait_until_sync

NOWHERE = "redis://127.0.0.1:1/0"
AT_ONCE = Shutdown(wrap_up_time=0)


def _noting(ran: list[object]) -> Mux:
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        ran.append(task.payload)

    return mux


async def test_doors_in_a_group(redis_url: str) -> None:
    """Inside the block all of them work; behind it all have left."""
    ran: list[object] = []
    server, scheduler = Server(redis_url), Scheduler(redis_url)
    scheduler.register("@every 1s", Task("work", "tick"))
    other = Scheduler(redis_url)
    group = ServiceGroup().add(server, _noting(ran)).add(scheduler).add(App(schedulers=[other]))
    async with group:
        assert (len(server.id) > 0, scheduler.status, other.status) == (True, "running", "running")
        await wait_until(lambda: ran, "the first tick")
    assert (scheduler.status, other.status) == ("left", "left")
    with pytest.raises(ClosedError):
        server.id  # noqa: B018 - it raises


async def test_a_server_has_its_own_time_to_finish(redis_url: str, redis_client: Redis) -> None:
    """Its grace is longer than go-zero's five seconds, and the group waits for that, not for less."""
    began, may_end = asyncio.Event(), asyncio.Event()
    mux = Mux()

    @mux.handle("slow")
    async def slow(_: Task) -> None:
        began.set()
        await may_end.wait()

    async with Client(redis_url) as client:
        await client.enqueue(Task("slow"))
    group = ServiceGroup().add(Server(redis_url, shutdown_timeout=600, cancel_grace=1), mux)
    assert group.shutdown_timeout == 606.0
    assert group.shutdown.limit([601.0]) > 606.0
    async with group:
        await began.wait()
        stopping = asyncio.ensure_future(group.stop())
        await asyncio.sleep(0)
        may_end.set()
        await stopping
    assert take_census(redis_client).gone == {"done": 1}


async def test_a_door_that_cannot_start_takes_the_others_along(redis_url: str) -> None:
    """The scheduler finds no Redis: the server, which was there already, leaves in order."""
    server = Server(redis_url)
    group = ServiceGroup().add(server, Mux()).add(Scheduler(NOWHERE, start_patience=0.05), name="reports")
    with pytest.raises(BrokerUnavailableError) as caught:
        await group.start()
    assert caught.value.__notes__ == ["raised by the service 'reports' of a group"]
    with pytest.raises(ClosedError):
        server.id  # noqa: B018 - it raises


def test_signals_of_a_group_that_owns_its_process(redis_url: str, redis_client: Redis) -> None:
    """The first lets work finish, the second puts it back; a shared connection is closed at the end."""
    mux = Mux()
    asked: list[str] = []

    @mux.handle("once")
    async def once(_: Task) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await wait_until(lambda: asked, "the signal to be heard")

    @mux.handle("twice")
    async def twice(_: Task) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await wait_until(lambda: asked, "the first signal to be heard")
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    async def enqueue(kind: str) -> None:
        async with Client(redis_url) as client:
            await client.enqueue(Task(kind))

    before = signal.getsignal(signal.SIGTERM)
    for kind in ("once", "twice"):
        asked.clear()
        asyncio.run(enqueue(kind))
        group = ServiceGroup(shutdown=AT_ONCE, on_wrap_up=lambda: asked.append("wrap up"))
        group.add(Server(Connection(redis_url), shutdown_timeout=600), mux).run()
        assert asked == ["wrap up"]
    census = take_census(redis_client)
    assert (census.gone, census.counts) == ({"done": 1}, {"pending": 1})
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_wrap_up_comes_before_the_first_stop() -> None:
    """Everything goes on until it is over; a second signal makes it shorter."""
    said: list[str] = []

    class Producer:
        async def start(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            await wait_until(lambda: said, "the wrap-up to begin")
            said.append("still works")
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

        async def stop(self) -> None:
            said.append("stops")

    async def wrap_up() -> None:
        said.append("wrap up")

    times = Shutdown(wrap_up_time=60, wait_time=120)
    began = time.monotonic()
    ServiceGroup(shutdown=times, on_wrap_up=wrap_up).add(Producer()).run()
    assert said == ["wrap up", "still works", "stops"]
    assert time.monotonic() - began < 50


def test_the_end_of_the_time_makes_everybody_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to send a second signal."""
    monkeypatch.setattr(group_module, "HURRY_PATIENCE", 0.05)

    class Hanging:
        async def start(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

        async def stop(self) -> None:
            await asyncio.Event().wait()

    times = Shutdown(wrap_up_time=0, wait_time=0.1)
    ServiceGroup(shutdown=times).add(Hanging(), stop_timeout=600).run()


def test_doors_rest_and_go_on(redis_url: str) -> None:
    """SIGTSTP and SIGCONT, as for a server; SIGCONT alone means nothing."""
    seen: list[str] = []
    scheduler = Scheduler(redis_url)

    async def watch() -> None:
        await wait_until(lambda: scheduler.status == "running", "it to run")
        os.kill(os.getpid(), signal.SIGCONT)
        os.kill(os.getpid(), signal.SIGTSTP)
        await wait_until(lambda: scheduler.status == "stopped", "it to rest")
        os.kill(os.getpid(), signal.SIGCONT)
        await wait_until(lambda: scheduler.status == "running", "it to go on")
        seen.append("all of it")
        os.kill(os.getpid(), signal.SIGTERM)

    ServiceGroup(shutdown=AT_ONCE).add(scheduler).add(with_start(watch)).run()
    assert seen == ["all of it"]
    assert scheduler.status == "left"


_HANGING = """
import asyncio, sys, time
from asyncq.app import ServiceGroup, Shutdown
from asyncq.app import group, leaving

group.LAST_PATIENCE = 0.2
group.CANCEL_PATIENCE = 0.05


class Hanging:
    async def start(self):
        print("started", flush=True)
        await asyncio.Event().wait()

    async def stop(self):
        print("stopping", flush=True)
        if sys.argv[1] == "blocked":
            time.sleep(600)
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass


ServiceGroup(shutdown=Shutdown(wrap_up_time=0, wait_time=0.2)).add(Hanging()).run()
"""


@pytest.mark.parametrize("how", ["blocked", "deaf"])
def test_a_process_that_hangs_is_ended(tmp_path: Path, how: str) -> None:
    """Whether its loop is blocked or a service ignores everything: with the code of the signal."""
    log = tmp_path / "log"
    (tmp_path / "hanging.py").write_text(_HANGING)
    process = spawn([sys.executable, tmp_path / "hanging.py", how], cwd=Path.cwd(), log=log)
    try:
        wait_until_sync(lambda: "started" in log.read_text(), "it to start")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
    assert "stopping" in log.read_text()

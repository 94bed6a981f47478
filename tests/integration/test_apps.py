"""An app: its parts begin, break and leave together."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis import Redis

from asyncq.app import App
from asyncq.client import Client
from asyncq.errors import (
    AlreadyRunningError,
    BrokerUnavailableError,
    ClosedError,
    ConfigError,
    NotStartedError,
)
from asyncq.mux import Mux
from asyncq.scheduler import Scheduler
from asyncq.semaphore import Semaphore
from asyncq.server import Server
from asyncq.shared import Connection
from asyncq.task import Task
from tests.support.census import take_census
from tests.support.waiting import wait_until

NOWHERE = "redis://127.0.0.1:1/0"


def _noting(ran: list[object]) -> Mux:
    mux = Mux()

    @mux.handle("work")
    async def work(task: Task) -> None:
        ran.append(task.payload)

    return mux


async def test_server_and_scheduler_live_together(redis_url: str) -> None:
    """One block, and both are there; afterwards both have left."""
    ran: list[object] = []
    scheduler = Scheduler(redis_url)
    scheduler.register("@every 1s", Task("work", "tick"))
    server = Server(redis_url)
    app = App(server, _noting(ran), schedulers=[scheduler])
    with pytest.raises(NotStartedError):
        await app.wait()
    await app.shutdown()  # does nothing
    async with app.running():
        with pytest.raises(AlreadyRunningError):
            await app.start()
        with pytest.raises(AlreadyRunningError):
            app.override(concurrency=2)
        await wait_until(lambda: ran, "the first tick")
        await app.stop()
        assert scheduler.status == "stopped"
        await app.resume()
        assert scheduler.status == "running"
    assert scheduler.status == "left"
    with pytest.raises(ClosedError):
        server.id  # noqa: B018 - it raises
    with pytest.raises(ClosedError):
        await app.start()
    with pytest.raises(ClosedError):
        await app.stop()


async def test_what_cannot_start_takes_the_others_along(redis_url: str) -> None:
    """The scheduler finds no Redis: the server, which was there already, leaves in order."""
    server = Server(redis_url)
    app = App(server, Mux(), schedulers=[Scheduler(NOWHERE, start_patience=0.05)])
    with pytest.raises(BrokerUnavailableError):
        await app.serve()
    with pytest.raises(ClosedError):
        server.id  # noqa: B018 - it raises


async def test_what_breaks_takes_the_others_along(redis_url: str) -> None:
    """A server that was shut down by its own handler is the end of the app; its error is the app's."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        raise KeyError("teardown")

    mux = Mux()
    server = Server(redis_url, lifespan=lifespan)
    scheduler = Scheduler(redis_url)
    leaving: list[asyncio.Task[None]] = []

    @mux.handle("leave")
    async def leave(_: Task) -> None:
        leaving.append(asyncio.ensure_future(server.shutdown()))

    async with Client(redis_url) as client:
        await client.enqueue(Task("leave"))
    with pytest.raises(KeyError, match="teardown"):
        await App(server, mux, schedulers=[scheduler]).serve()
    assert scheduler.status == "left"
    await asyncio.gather(*leaving, return_exceptions=True)


async def test_cancelling_leaves_in_order(redis_url: str, redis_client: Redis) -> None:
    """As a server does: what runs is finished."""
    began = asyncio.Event()
    mux = Mux()

    @mux.handle("slow")
    async def slow(_: Task) -> None:
        began.set()
        await asyncio.sleep(0.2)

    async with Client(redis_url) as client:
        await client.enqueue(Task("slow"))
    serving = asyncio.ensure_future(App(Server(redis_url), mux).serve())
    await began.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert take_census(redis_client).gone == {"done": 1}


async def test_told_to_leave_before_it_has_begun() -> None:
    """Redis is not there yet, and a signal to leave does not wait for it."""
    app = App(Server(NOWHERE, start_patience=60), Mux(), schedulers=[Scheduler(NOWHERE, start_patience=60)])
    serving = asyncio.ensure_future(app.serve())
    await asyncio.sleep(0)
    await app.shutdown()
    await serving


def test_signals_of_an_app_that_owns_its_process(redis_url: str, redis_client: Redis) -> None:
    """The first lets work finish, the second does not, and a shared connection is closed at the end."""
    connection = Connection(redis_url)
    client = Client(connection)
    mux = Mux()

    @mux.handle("once")
    async def once(_: Task) -> None:
        await client.enqueue(Task("twice"))
        os.kill(os.getpid(), signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGCONT)

    @mux.handle("twice")
    async def twice(_: Task) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0)  # the first is handled in a turn of its own
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    async def enqueue() -> None:
        async with Client(redis_url) as other:
            await other.enqueue(Task("once"))

    asyncio.run(enqueue())
    app = App(Server(connection, shutdown_timeout=60), mux, schedulers=[Scheduler(connection)])
    app.run()
    census = take_census(redis_client)
    assert (census.counts, census.gone) == ({"pending": 1}, {"done": 1})


async def test_an_app_does_not_run_inside_a_loop(redis_url: str) -> None:
    """It says what to call there."""
    with pytest.raises(AlreadyRunningError, match=r"app\.serve"):
        App(Server(redis_url), Mux()).run()


async def test_a_connection_is_redirected_with_its_clients(redis_url: str) -> None:
    """`--url` reaches every door that shares one."""
    connection = Connection(NOWHERE, prefix="old:")
    client, ran = Client(connection), list[object]()
    mux = _noting(ran)
    semaphore = Semaphore(connection, "narrow", 1)

    @mux.handle("limited", limit=semaphore)
    async def limited(task: Task) -> None:
        ran.append(task.payload)

    app = App(Server(connection), mux)
    app.override(redis_url, prefix="new:")
    async with connection, app.running(), client:
        await client.enqueue(Task("work", 1))
        await client.enqueue(Task("limited", 2))
        await wait_until(lambda: len(ran) == 2, "the tasks to run")
        with pytest.raises(ConfigError, match="one that was not used yet"):
            connection.redirect(NOWHERE)
    with pytest.raises(ClosedError):
        connection.redirect(NOWHERE)
    with pytest.raises(ConfigError, match="scheme"):
        Connection(NOWHERE).redirect("http://x")
    with pytest.raises(ConfigError, match="colon"):
        Connection(NOWHERE).redirect(prefix="x")


async def test_options_of_a_server_that_runs_stay(redis_url: str) -> None:
    """They were handed to its actors when it started."""
    server = Server(redis_url)
    server.override(concurrency=3)
    async with server.running(Mux()):
        with pytest.raises(AlreadyRunningError):
            server.override(concurrency=4)
    with pytest.raises(ClosedError):
        server.override(concurrency=4)
    assert server.config.concurrency == 3

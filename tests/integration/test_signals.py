"""Signals of a program that a server owns: to leave, to hurry, to stop, and to go on."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from redis import Redis

from asyncq.client import Client
from asyncq.errors import ClosedError
from asyncq.mux import Mux
from asyncq.server import Server
from asyncq.task import Task
from tests.integration.serving import inside
from tests.support.census import take_census
from tests.support.waiting import wait_until

_REPORT_AFTER = 30.0  # nothing here takes so long, unless it hangs


def test_signals_end_a_server_that_owns_its_process(redis_url: str, redis_client: Redis) -> None:
    """The first lets work finish, the second does not; what was there before is put back."""
    before = signal.getsignal(signal.SIGTERM)
    mux = Mux()

    @mux.handle("twice")
    async def twice(task: Task) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0)  # the first is handled in a turn of its own
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    @mux.handle("once")
    async def once(task: Task) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0)

    async def enqueue(kind: str) -> None:
        async with Client(redis_url) as client:
            await client.enqueue(Task(kind))

    asyncio.run(enqueue("once"))
    server = Server(redis_url, shutdown_timeout=_REPORT_AFTER)
    server.run(mux)
    census = take_census(redis_client)
    assert (census.counts, census.gone) == ({}, {"done": 1})
    with pytest.raises(ClosedError):
        server.run(mux)
    asyncio.run(enqueue("twice"))
    Server(redis_url, shutdown_timeout=_REPORT_AFTER).run(mux)
    assert take_census(redis_client).counts == {"pending": 1}
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("who", ["signal", "program"])
def test_signals_stop_and_resume_a_server(redis_url: str, redis_client: Redis, who: str) -> None:
    """SIGCONT takes back what SIGTSTP asked for, and nothing else: frozen processes get it, too."""
    server = Server(redis_url, concurrency=2)
    mux = Mux()

    @mux.handle("stop")
    async def stop(task: Task) -> None:
        status = inside(server)
        if who == "signal":
            os.kill(os.getpid(), signal.SIGTSTP)
            os.kill(os.getpid(), signal.SIGTSTP)
            await wait_until(lambda: status._status == "stopped", "it to stop")  # noqa: SLF001 - shown every 5 s
        else:
            await server.stop()
        async with Client(redis_url) as client:
            await client.enqueue(Task("leave"))
        assert take_census(redis_client).counts == {"active": 1, "pending": 1}
        os.kill(os.getpid(), signal.SIGCONT)
        if who == "program":
            await asyncio.sleep(0)  # the signal is handled in a turn of its own
            assert status._status == "stopped"  # noqa: SLF001 - as above
            await server.resume()

    @mux.handle("leave")
    async def leave(task: Task) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    async def enqueue() -> None:
        async with Client(redis_url) as client:
            await client.enqueue(Task("stop"))

    asyncio.run(enqueue())
    server.run(mux)
    assert take_census(redis_client).gone == {"done": 2}

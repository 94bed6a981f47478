"""Servers of one process log each to where they were told."""

from __future__ import annotations

import logging

import pytest
from redis import Redis

from asyncq.mux import Mux
from asyncq.task import Task
from tests.integration.serving import at_work, inside, settled
from tests.support.loggers import PlainLogger


def _mux() -> Mux:
    mux = Mux()

    @mux.handle("fail")
    async def fail(task: Task) -> None:
        raise ValueError("no")

    return mux


async def test_two_servers_log_to_different_places(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """One to a logger of its own from a level on, one to an object of the user's."""
    lines = PlainLogger()
    mine = logging.getLogger("tests.one")
    one = {"queues": ["one"], "logger": mine, "log_level": "warning"}
    two = {"queues": ["two"], "logger": lines}
    with caplog.at_level(logging.DEBUG):
        async with at_work(redis_url, _mux(), **one) as (client, _), at_work(redis_url, _mux(), **two):
            for queue in ("one", "two"):
                await client.enqueue(Task("fail"), queue=queue)
                await settled(redis_client, queue, retry=1)
    assert {record.name for record in caplog.records} & {"asyncq.server"} == set()
    of_one = [record for record in caplog.records if record.name == "tests.one"]
    assert {record.levelname for record in of_one} == {"WARNING"}
    (failed,) = [record for record in of_one if getattr(record, "event", "") == "task_failed"]
    assert (failed.filename, failed.queue) == ("conclusions.py", "one")  # type: ignore[attr-defined]
    assert "server" in next(text for level, text in lines.lines if level == "info")
    assert any("failed in attempt 1" in text for level, text in lines.lines if level == "warning")
    assert lines.lines[-1][1].endswith("has left")


async def test_every_actor_has_the_log_of_its_server(redis_url: str) -> None:
    """Also those with a thread of their own; a new one that does not would be found here."""
    lines = PlainLogger()
    async with at_work(redis_url, _mux(), logger=lines, health_check=lambda error: None) as (_, server):
        supervisor = inside(server)
        actors = [supervisor.executor, supervisor.fetcher, supervisor.settler, *supervisor.aggregators]
        logs = {id(getattr(actor, "_log", None) or getattr(actor, "log", None)) for actor in actors}
        assert logs == {id(server._log)}  # noqa: SLF001 - where something is said shows only when it is

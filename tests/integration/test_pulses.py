"""What was done with each of many queues lately: few numbers, of many names, quickly read."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis

from asyncq import Client, Inspector, Mux, RevokeTask, Server, Task
from asyncq.errors import ConfigError, NotAllowedError
from asyncq.inspector import Rights
from tests.conftest import AnyRedis
from tests.support.waiting import wait_until


def _mux() -> Mux:
    mux = Mux()

    @mux.handle("fine")
    async def fine(task: Task) -> None:
        return

    @mux.handle("bad")
    async def bad(task: Task) -> None:
        raise OSError("no")

    @mux.handle("revoked")
    async def revoked(task: Task) -> None:
        raise RevokeTask

    return mux


async def test_pulses_are_what_happened(any_redis: AnyRedis) -> None:
    """Of each queue that is named, once, in the order of the names; the same as in the history."""
    tasks = {"mail": ["fine", "fine", "bad", "revoked"], "low": ["fine"], "other": ["bad"]}
    async with (
        Client(any_redis.url) as client,
        Server(any_redis.url, queues=list(tasks)).running(_mux()) as server,
    ):
        for queue, types in tasks.items():
            for name in types:
                await client.enqueue(Task(name), queue=queue, max_retry=0)
        await wait_until(lambda: server.measures().processed == 6, "them to be done")
    # A server that leaves has written what it counted.
    async with Inspector(any_redis.url) as inspector:
        names = ["low", "mail", "nowhere", "low"]
        pulses = await inspector.measures.pulses(names, minutes=120, step=10)
        assert [(one.queue, one.total, one.total_failed) for one in pulses] == [
            ("low", 1, 0),
            ("mail", 4, 1),
            ("nowhere", 0, 0),
        ]
        assert {(one.seconds, len(one.processed), len(one.failed)) for one in pulses} == {(600.0, 12, 12)}
        assert pulses.is_whole
        points = await inspector.measures.history("mail", since=7200)
        assert sum(one.processed for one in points) == 4
        assert await inspector.measures.pulses([]) == []


@pytest.mark.parametrize(
    "options", [{"minutes": 0}, {"minutes": 183}, {"minutes": 10, "step": 3}, {"step": 0}, {"minutes": "x"}]
)
async def test_steps_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    """Before anything is sent."""
    async with Inspector("redis://localhost:1") as inspector:
        with pytest.raises(ConfigError, match=r"minutes|step"):
            await inspector.measures.pulses(["default"], **options)


async def test_what_nobody_can_read_counts_as_nothing(redis_url: str, redis_client: Redis) -> None:
    """Somebody wrote into our keys by hand, or put something else there: other queues have no part in it."""
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        async with Server(redis_url, queues=["mail"]).running(_mux()) as server:
            await client.enqueue(Task("fine"), queue="mail")
            await wait_until(lambda: server.measures().processed == 1, "it to be done")
        odd = [b"\xc1", b"", b"text", b"\x92\x01\x01", b"\x92\x01\x81\xa1a\x81\xa1d\xa1x"]
        fields = {str(number): odd[number % len(odd)] for number in range(180)}
        redis_client.hset("asyncq:{odd}:minutes", mapping=fields)
        redis_client.set("asyncq:{none}:minutes", "no hash at all")
        pulses = await inspector.measures.pulses(["odd", "none", "mail"], minutes=180)
        assert [one.total for one in pulses] == [0, 0, 1]


async def test_other_queues_are_not_told_of(redis_url: str) -> None:
    """Nor anything to somebody who may not look."""
    async with Inspector(redis_url) as inspector:
        it = inspector.acting_as("ann", rights=Rights.viewer(queues=["mail-*"]))
        assert [one.queue for one in await it.measures.pulses(["mail-eu"])] == ["mail-eu"]
        with pytest.raises(NotAllowedError, match="secret"):
            await it.measures.pulses(["mail-eu", "secret"])
        with pytest.raises(NotAllowedError, match="view"):
            await inspector.acting_as("eve", rights=Rights.of("trail")).measures.pulses([])

"""What the trail knows of a change whose maker goes while it is being noted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from asyncq import Client, Inspector, Task
from tests.conftest import AnyRedis
from tests.support.waiting import wait_until


@contextmanager
def _when_logged(do: Callable[[], object]) -> Iterator[None]:
    """Do something when a change is logged: from there on whoever makes it waits for the trail alone."""

    class Doing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            do()

    log, doing = logging.getLogger("asyncq.audit"), Doing()
    level = log.level
    log.addHandler(doing)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(doing)
        log.setLevel(level)


async def test_who_gives_up_while_it_is_noted_is_noted_all_the_same(any_redis: AnyRedis) -> None:
    """The change is done by then."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url, actor="ann") as inspector:
        await client.enqueue(Task("x"), queue="q")
        working = asyncio.ensure_future(inspector.queues.pause("q"))
        with _when_logged(working.cancel), pytest.raises(asyncio.CancelledError):
            await working
        assert (await inspector.queues.get("q")).is_paused
        (record,) = await inspector.trail.list()
        assert (record.actor, record.action, record.queue, record.outcome) == (
            "ann",
            "queue.pause",
            "q",
            "done",
        )


def test_a_loop_that_ends_takes_no_record_with_it(redis_url: str) -> None:
    """A program that is over while what it did is being noted: closing its inspector waits for that."""

    async def pause() -> None:
        async with Client(redis_url) as client:
            await client.enqueue(Task("x"), queue="q")
        logged = asyncio.Event()
        async with Inspector(redis_url, actor="ann") as inspector:
            with _when_logged(logged.set):
                pausing = asyncio.ensure_future(inspector.queues.pause("q"))
                await logged.wait()
            assert not pausing.done()

    async def said() -> list[tuple[str, str]]:
        async with Inspector(redis_url) as inspector:

            async def is_there() -> bool:
                return bool((await inspector.trail.list()).records)

            await wait_until(is_there, "the record")
            return [(one.action, one.outcome) for one in (await inspector.trail.list()).records]

    asyncio.run(pause())
    assert asyncio.run(said()) == [("queue.pause", "done")]

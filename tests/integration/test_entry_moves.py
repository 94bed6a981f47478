"""An entry that moves to another queue: each of its times is had in one of them, and none is lost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asyncq import Client, Scheduler, Task
from asyncq._broker.entries import Entries
from asyncq._wire.keys import Keys
from asyncq.errors import BrokerUnavailableError
from tests.conftest import AnyRedis
from tests.integration.following import look
from tests.support.waiting import wait_until

OLD, NEW = Keys().queue("old"), Keys().queue("new")


def _times(client: Any, queue: Any) -> list[float]:
    """The times of the only entry that were enqueued there, the oldest first."""
    return [float(raw.partition(b"-")[2]) for raw in reversed(client.lrange(queue.pending, 0, -1))]


@asynccontextmanager
async def _silence(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Let whoever changes an entry die when that is stored, before any queue is told."""

    async def die(*_: Any) -> None:
        raise BrokerUnavailableError("here", "killed")

    with monkeypatch.context() as patched:
        patched.setattr(Entries, "_tell", die)
        with pytest.raises(BrokerUnavailableError):
            yield


@pytest.mark.parametrize(
    ("any_redis", "is_killed"), [("single", False), ("cluster", True)], indirect=["any_redis"]
)
async def test_each_time_is_had_once_while_an_entry_moves(
    any_redis: AnyRedis, monkeypatch: pytest.MonkeyPatch, *, is_killed: bool
) -> None:
    """By schedulers that have heard of it and by those that have not, and if its mover died half-way."""
    client: Any = any_redis.client
    deaf = Scheduler(any_redis.url, waking="poll", look_interval=3600)
    other = Scheduler(any_redis.url)
    async with Client(any_redis.url) as user:
        entry: Any = {"entry_id": "mine", "catch_up": "all"}
        await user.schedules.upsert("* * * * * *", Task("report"), queue="old", **entry)
        async with deaf.running(), other.running():
            await wait_until(lambda: _times(client, OLD), "a time in the old queue")
            if is_killed:
                async with _silence(monkeypatch):
                    await user.schedules.upsert("* * * * * *", Task("report"), queue="new", **entry)
            else:
                await user.schedules.upsert("* * * * * *", Task("report"), queue="new", **entry)
            await wait_until(lambda: len(_times(client, NEW)) >= 2, "two times in the new queue")
            await wait_until(lambda: deaf.entries[0].queue == "new", "the other one to be refused")
        had = _times(client, OLD) + _times(client, NEW)
        assert had == [had[0] + number for number in range(len(had))]
        stored = await user._connected().entries.get("mine")  # noqa: SLF001 - what is left to be done
        assert stored is not None
        assert stored.left == ()


async def test_what_was_had_by_a_clock_that_is_ahead_is_not_had_again(
    redis_url: str, redis_client: Any
) -> None:
    """The new queue goes on behind it, wherever the clock of Redis is."""
    async with Client(redis_url) as user, Scheduler(redis_url).running():
        await user.schedules.upsert("* * * * * *", Task("report"), entry_id="mine", queue="old")
        ahead = int(time.time()) + 3
        redis_client.hset(OLD.tick("mine"), "at", f"{ahead}.000000")
        await user.schedules.upsert("* * * * * *", Task("report"), entry_id="mine", queue="new")
        assert float(redis_client.hget(NEW.tick("mine"), "at")) == ahead
        await wait_until(lambda: _times(redis_client, NEW), "the next one")
        assert _times(redis_client, NEW)[0] == ahead + 1


async def test_what_is_left_to_be_done_moves_along(redis_url: str, redis_client: Any) -> None:
    """Nobody looks into the old queue any more: reasons for the history, runs that are to be cancelled."""
    async with Client(redis_url) as user:
        await user.schedules.upsert("@daily", Task("report"), entry_id="mine", queue="old")
        run = await user.enqueue(Task("report"), queue="old")
        now = time.time()
        todo = {f"note:{now:.6f}": f"missed {now:.6f} {now:.6f} {now:.6f}", f"cancel:{run.id}": ""}
        redis_client.hset(OLD.tick("mine"), mapping={"at": now, "queued": now - 60, **todo})
        async with Scheduler(redis_url).running():
            # Told while it runs, and not only when it starts.
            await user.schedules.upsert("@daily", Task("report"), entry_id="mine", queue="new")

            async def reasons() -> set[str]:
                return {event.reason for event in await user.schedules.history("mine")}

            async def is_told() -> bool:
                return await reasons() == {"missed", "changed"}

            await wait_until(is_told, "the reasons")

            def is_cancelled() -> bool:
                return bool(redis_client.zscore(OLD.archived, run.id))

            await wait_until(is_cancelled, "the run to be cancelled")
            await wait_until(lambda: redis_client.hkeys(NEW.tick("mine")) == [b"at"], "all to be done")
        assert redis_client.hkeys(OLD.tick("mine")) == [b"at"]


async def test_an_entry_that_comes_back_goes_on_where_it_was(redis_url: str, redis_client: Any) -> None:
    """To a queue that remembers older times of it."""
    async with Client(redis_url) as user, Scheduler(redis_url).running():
        for queue, keys in (("old", OLD), ("new", NEW), ("old", OLD)):
            count = len(_times(redis_client, keys))
            await user.schedules.upsert("* * * * * *", Task("report"), entry_id="mine", queue=queue)
            await wait_until(lambda: len(_times(redis_client, keys)) > count, "a time")  # noqa: B023
    had = [*_times(redis_client, OLD), *_times(redis_client, NEW)]
    assert len(set(had)) == len(had)
    assert len(had) >= 3


async def test_what_code_moves_while_it_runs_moves_when_that_is_stored(
    redis_url: str, redis_client: Any
) -> None:
    """Nothing is enqueued into the new queue by a definition that nobody else can know of."""
    scheduler = Scheduler(redis_url, look_interval=3600)
    scheduler.register("* * * * * *", Task("report"), entry_id="mine", queue="old", catch_up="all")
    async with scheduler.running():
        await wait_until(lambda: _times(redis_client, OLD), "a time in the old queue")
        scheduler.register(
            "* * * * * *", Task("report"), entry_id="mine", queue="new", catch_up="all", replace=True
        )
        await wait_until(lambda: len(_times(redis_client, NEW)) >= 2, "two in the new one")
        await look(scheduler)
    had = _times(redis_client, OLD) + _times(redis_client, NEW)
    assert had == [had[0] + number for number in range(len(had))]

"""Queues are removed part by part, beside whatever else goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq._broker import queues as queues_area
from asyncq._wire.keys import Keys
from asyncq.errors import QueueNotEmptyError, QueueNotFoundError, ResultNotKeptError
from asyncq.inspector import Progress
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, settled
from tests.support.keyspace import snapshot
from tests.support.listing import listed
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)


def _left(any_redis: AnyRedis, queue: str) -> dict[str, Any]:
    """What is left of a queue, but for receipts, which expire, and what servers say of themselves."""
    base = Keys().queue(queue).base
    found = snapshot(any_redis.client, without=("receipt:", ":waiting", ":gathering"))
    return {name: value for name, value in found.items() if name.startswith(base)}


async def _nothing(_: Task) -> None:
    """Do nothing."""


async def test_who_waits_for_a_result_hears_that_it_was_removed(any_redis: AnyRedis) -> None:
    """At once, and not when patience ends."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        info = await client.enqueue(Task("x"), queue="q", process_in=HOUR)
        waiting = asyncio.ensure_future(client.result(info, 30))
        key = Keys().queue("q").task(info.id)
        await wait_until(lambda: any_redis.client.hexists(key, "awaited"), "somebody to wait")
        await inspector.queues.remove("q", force=True)
        with pytest.raises(ResultNotKeptError):
            await waiting


async def test_a_queue_with_tasks_is_not_removed(any_redis: AnyRedis) -> None:
    """Also with completed ones, and with those in groups."""
    async with Client(any_redis.url) as client:
        # In a cluster the name of the queue is elsewhere and written later; closing waits for it.
        await client.enqueue(Task("x"), queue="q", group="g")
        await client.enqueue(Task("x"), queue="q", process_in=HOUR)
    async with Inspector(any_redis.url) as inspector:
        before = snapshot(any_redis.client)
        with pytest.raises(QueueNotEmptyError, match="1 scheduled, 1 aggregating") as refused:
            await inspector.queues.remove("q")
        assert refused.value.contents == {"scheduled": 1, "aggregating": 1}
        assert snapshot(any_redis.client) == before


async def test_an_empty_queue_is_removed(any_redis: AnyRedis) -> None:
    """Its counters too, those of days included, and its pause."""
    mux = Mux()
    mux.handle("x")(_nothing)
    async with Inspector(any_redis.url) as inspector:
        async with at_work(any_redis.url, mux) as (client, _):
            await client.enqueue(Task("x"))
            await settled(any_redis.client, done=1)
            await inspector.queues.pause("default")
        assert await inspector.queues.remove("default") == 0
        assert _left(any_redis, "default") == {}
        assert await inspector.queues.names() == []
        with pytest.raises(QueueNotFoundError):
            await inspector.queues.remove("default")


async def test_with_force_all_goes_and_other_queues_stay(
    any_redis: AnyRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part by part, saying how far it is."""
    monkeypatch.setattr(queues_area, "REMOVED_AT_ONCE", 10)
    told: list[Progress] = []
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        for queue in ("q", "r"):
            for at in range(30):
                await client.enqueue(Task("x", {"at": at}), queue=queue, unique=600)
            await client.enqueue(Task("x"), queue=queue, process_in=HOUR)
            for group in range(5):
                await client.enqueue(Task("x"), queue=queue, group=f"g{group}")
        await listed(client)
        assert await inspector.queues.remove("q", force=True, on_progress=told.append) == 36
        assert _left(any_redis, "q") == {}
        assert await inspector.queues.names() == ["r"]
        assert (await inspector.queues.get("r")).size == 36
        assert [(step.step, step.done, step.total) for step in told[:2]] == [
            ("q: remove", 10, 36),
            ("q: remove", 20, 36),
        ]
        assert told[-1].done == told[-1].total == 36
        assert (await inspector.audit()).is_clean


async def test_a_name_that_a_client_remembers_is_published_again(any_redis: AnyRedis) -> None:
    """The tasks that come later would run, and no tool would show them."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        for _ in range(3):
            await client.enqueue(Task("x"), queue="q")
            await listed(client)  # or the name may arrive after the removal
            await inspector.queues.remove("q", force=True)
            assert await inspector.queues.names() == []
        await client.enqueue(Task("x"), queue="q")
        await client.enqueue(Task("x"), queue="q")

        async def is_listed() -> bool:
            return await inspector.queues.names() == ["q"]

        await wait_until(is_listed, "the queue to be listed")
        assert (await inspector.queues.get("q")).pending == 2
        assert (await inspector.audit()).is_clean


async def test_a_removal_that_was_interrupted_can_be_finished_or_called_off(
    any_redis: AnyRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is sound, listed, and not taken from until somebody decides."""
    monkeypatch.setattr(queues_area, "REMOVED_AT_ONCE", 10)

    class InterruptError(Exception):
        """Somebody pressed a key."""

    def interrupt(_: Progress) -> None:
        raise InterruptError

    mux = Mux()
    mux.handle("x")(_nothing)
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        for queue in ("finished", "called-off"):
            for _ in range(25):
                await client.enqueue(Task("x"), queue=queue)
            with pytest.raises(InterruptError):
                await inspector.queues.remove(queue, force=True, on_progress=interrupt)
            info = await inspector.queues.get(queue)
            assert (info.size, info.is_paused, info.is_being_removed) == (15, True, True)
            assert info.paused_at is not None
        report = await inspector.audit()
        assert report.is_clean, str(report)
        assert report.flow["finished"]["removed"] == 10
        assert await inspector.queues.names() == ["called-off", "finished"]
        assert await inspector.queues.remove("finished", force=True) == 15
        assert _left(any_redis, "finished") == {}
        async with Server(any_redis.url, queues={"called-off": 1}).running(mux):
            assert await inspector.queues.unpause("called-off") is True
            await settled(any_redis.client, "called-off", done=15, removed=10)
        assert (await inspector.audit()).is_clean


async def test_what_runs_is_cancelled_when_its_queue_is_removed(any_redis: AnyRedis) -> None:
    """What the handler still does goes nowhere, and its slot is free for another queue."""
    mux, began, ended, other = Mux(), asyncio.Event(), asyncio.Event(), asyncio.Event()

    @mux.handle("long")
    async def long(_: Task) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    @mux.handle("other")
    async def run_other(_: Task) -> None:
        other.set()

    async with (
        Inspector(any_redis.url) as inspector,
        at_work(any_redis.url, mux, concurrency=1, queues={"q": 1, "r": 1}) as (client, _),
    ):
        await client.enqueue(Task("long"), queue="q", retention=60)
        await asyncio.wait_for(began.wait(), 10)
        with pytest.raises(QueueNotEmptyError, match="1 active"):
            await inspector.queues.remove("q")
        assert await inspector.queues.remove("q", force=True) == 1
        await asyncio.wait_for(ended.wait(), 10)
        await client.enqueue(Task("other"), queue="r")
        await asyncio.wait_for(other.wait(), 10)
        assert _left(any_redis, "q") == {}
        # The server still serves this name, and is woken for what comes now.
        other.clear()
        await client.enqueue(Task("other"), queue="q")
        await asyncio.wait_for(other.wait(), 10)
        await settled(any_redis.client, "q", done=1)
        report = await inspector.audit()
        assert report.is_clean, str(report)


async def test_a_damaged_queue_is_removed_with_force_only(any_redis: AnyRedis) -> None:
    """Somebody wrote something else to one of its keys."""
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        await client.enqueue(Task("x"), queue="q")
        any_redis.client.set(Keys().queue("q").retry, "what")
        with pytest.raises(QueueNotEmptyError, match="1 pending, 1 damaged"):
            await inspector.queues.remove("q")
        await inspector.queues.remove("q", force=True)
        assert _left(any_redis, "q") == {}


class _Traffic:
    """Tasks of many kinds, and what their handler did."""

    def __init__(self) -> None:
        self.mux = Mux()
        self.mux.handle("x")(self._handle)
        self.ran: Counter[int] = Counter()
        self.number = 0
        self.is_over = False
        self.options: dict[str, Any] = {
            "retry": lambda *_: 0.01,
            "group_aggregator": self.gather,
            "group_grace_period": 0.01,
            "group_max_size": 3,
        }

    async def _handle(self, task: Task) -> None:
        self.ran[task.payload] += 1
        if task.payload % 7 == 0:
            raise OSError("again")
        if task.payload % 5 == 0:
            await asyncio.sleep(0.05)

    @staticmethod
    def gather(group: str, tasks: Sequence[Task]) -> Task:
        """Make one task of a group; no number is given twice."""
        del group
        return Task("x", tasks[0].payload)

    async def enqueue(self, client: Client) -> None:
        while not self.is_over:
            self.number += 1
            more: dict[str, Any] = {"unique": 60} if self.number % 3 == 0 else {}
            more |= {"process_in": 0.01} if self.number % 4 == 0 else {}
            more |= {"retention": 60} if self.number % 2 == 0 else {}
            more |= {"group": f"g{self.number % 22}"} if self.number % 11 == 0 else {}
            await client.enqueue(Task("x", self.number), queue="q", max_retry=1, **more)


@pytest.mark.faults
async def test_removing_beside_clients_and_servers_leaves_no_trace(any_redis: AnyRedis) -> None:
    """Whatever comes between: no task runs twice, and what is left is a sound queue, or none."""
    traffic = _Traffic()
    async with (
        Inspector(any_redis.url) as inspector,
        Inspector(any_redis.url) as other,
        at_work(any_redis.url, traffic.mux, queues={"q": 1}, **traffic.options) as (client, _),
    ):
        removed = 0

        async def remove_all(inspector: Inspector) -> None:
            nonlocal removed
            while removed < 25:
                try:
                    await inspector.queues.remove("q", force=True)
                    removed += 1
                except QueueNotFoundError:
                    await asyncio.sleep(0)
            traffic.is_over = True

        await asyncio.gather(traffic.enqueue(client), remove_all(inspector), remove_all(other))
        last = await client.enqueue(Task("x", 1_000_001), queue="q", retention=60)

        async def is_done() -> bool:
            return (await inspector.tasks.get("q", last.id)).state == "completed"

        await wait_until(is_done, "the last task to run")
        await listed(client)
        too_often = {at: times for at, times in traffic.ran.items() if times > (2 if at % 7 == 0 else 1)}
        assert not too_often
        assert await inspector.queues.names() == ["q"]
        report = await inspector.audit()
        assert report.is_clean, str(report)
        await inspector.queues.remove("q", force=True)
        assert _left(any_redis, "q") == {}

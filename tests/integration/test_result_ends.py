"""Whoever waits for a task is told of its end by a message, also where no server settles it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq._broker import results
from asyncq.errors import ResultNotKeptError, TaskArchivedError
from tests.conftest import AnyRedis
from tests.integration.serving import is_told, task_hash
from tests.support.waiting import wait_until


async def test_who_waits_is_told_however_a_task_ends(
    any_redis: AnyRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By work in bulk, with its queue, or as a part of another task: no server has to run it."""
    # Nobody looks by himself, so what is found out was told.
    monkeypatch.setattr(results, "LOOK_EVERY", 3600.0)
    ends = {"deleted": "here", "archived": "here", "removed": "there", "aggregated": "elsewhere"}
    async with Client(any_redis.url) as client, Inspector(any_redis.url) as inspector:
        deleted = [await client.enqueue(Task("x"), queue="here") for _ in range(3)]
        archived = [await client.enqueue(Task("x"), queue="here", process_in=60) for _ in range(3)]
        removed = [await client.enqueue(Task("x"), queue="there", process_in=delay) for delay in (0, 60)]
        members = [await client.enqueue(Task("x"), queue="elsewhere", group="g") for _ in range(3)]
        tasks = dict(zip(ends, (deleted, archived, removed, members), strict=True))
        waiting = {
            how: [asyncio.create_task(client.result(info, 30)) for info in infos]
            for how, infos in tasks.items()
        }
        await is_told(any_redis)
        for how, infos in tasks.items():
            for info in infos:
                marked = partial(task_hash, any_redis.client, info.id, ends[how])
                await wait_until(lambda marked=marked: "awaited" in marked(), "the mark")

        await inspector.tasks.delete_all("here", "pending")
        await inspector.tasks.archive_all("here", "scheduled")
        await inspector.queues.remove("there", force=True)
        options: Any = {"group_grace_period": 0.05, "queues": ["elsewhere"]}
        async with Server(any_redis.url, group_aggregator=lambda *_: Task("x"), **options).running(Mux()):
            for how, answers in waiting.items():
                for answer in await asyncio.gather(*answers, return_exceptions=True):
                    if how == "archived":
                        assert isinstance(answer, TaskArchivedError)
                        assert answer.reason == "requested"
                    else:
                        assert isinstance(answer, ResultNotKeptError)
                        assert answer.how == how
        assert (await inspector.audit()).is_clean

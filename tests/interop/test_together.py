"""Servers of both languages drain one queue together."""

from __future__ import annotations

from collections import Counter

import pytest
from redis import Redis

from asyncq import Task
from tests.support.waiting import wait_until

from .go_side import GoSide
from .python_side import PythonSide
from .sides import script

TASKS = 4000
FAILS_ONCE = 400


async def produce(golang: GoSide, python: PythonSide) -> None:
    """Each language enqueues half of the tasks, while they are worked off already; some fail at first."""
    plain = [f"plain-{number}" for number in range(TASKS - FAILS_ONCE)]
    failing = [f"failing-{number}" for number in range(FAILS_ONCE)]
    fail_once = script(act="fail", text="once", times=1)
    for ids, payload in ((plain, b"1"), (failing, fail_once)):
        half = len(ids) // 2
        task = {"type": "a", "payload": payload, "options": {"max_retry": 3}}
        await golang.go("enqueue_many", task=task, ids=ids[:half])
        rest = (Task("a", payload, task_id=task_id, max_retry=3) for task_id in ids[half:])
        async for outcome in python.client.enqueue_many(rest):
            assert outcome.is_enqueued


@pytest.mark.timeout(120)
async def test_no_task_is_lost_and_none_runs_twice(
    golang: GoSide, python: PythonSide, redis_client: Redis
) -> None:
    """Each task succeeds once: nobody crashed, so there is no reason for another run."""
    await golang.serve(retry_delay=0.1)
    await python.serve(retry_delay=0.1, concurrency=20)
    await produce(golang, python)

    def is_over() -> bool:
        return len(golang.runs()) + len(python.runs()) >= TASKS + FAILS_ONCE

    await wait_until(is_over, "all tasks to be run", 60)

    async def is_empty() -> bool:
        return (await golang.numbers())["size"] == 0

    await wait_until(is_empty, "the queue to be empty")
    runs = Counter((run.task, run.retried) for run in golang.runs() + python.runs())
    assert set(runs.values()) == {1}
    assert len(runs) == TASKS + FAILS_ONCE
    # Neither watched the other, though who is faster takes most.
    assert min(len(golang.runs()), len(python.runs())) > TASKS / 100
    numbers = {"processed": TASKS + FAILS_ONCE, "failed": FAILS_ONCE, "archived": 0, "size": 0}
    assert await golang.numbers() == await python.numbers() == numbers
    assert list(redis_client.scan_iter("asynq:{default}:t:*")) == []

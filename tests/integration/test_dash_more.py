"""What the dashboard shows of all together: charts, causes, the trail, and work on all that match."""

from __future__ import annotations

import re

import pytest
from redis import Redis

from asyncq import Client, Mux, Server, Task
from asyncq.dash.bulk import Bulk
from asyncq.dash.plots import Plots
from asyncq.inspector import Rights, bulk
from tests.conftest import AnyRedis
from tests.support.census import take_census
from tests.support.dashboard import at_dashboard
from tests.support.waiting import wait_until


async def _fail(url: str, *types: str, queue: str = "default") -> None:
    """Have tasks of these types fail, each with an error that names its number."""
    mux, failed = Mux(), 0

    async def fail(task: Task) -> None:
        raise ConnectionError(f"host {task.payload} does not answer")

    for one in dict.fromkeys(types):
        mux.handle(one, fail)

    def note(_: object) -> None:
        nonlocal failed
        failed += 1

    async with Client(url) as client:
        for number, one in enumerate(types):
            await client.enqueue(Task(one, number), queue=queue, max_retry=0)
        async with Server(url, queues=[queue], on_error=note).running(mux):
            await wait_until(lambda: failed == len(types), "all to fail")


async def test_the_overview_draws_what_was_measured(any_redis: AnyRedis) -> None:
    """Of all queues, or of one; further back by a key, and in one column where it is narrow."""
    await _fail(any_redis.url, "a", "b", "b", queue="mail")
    async with Client(any_redis.url) as client, at_dashboard(any_redis.url, start="overview") as operator:
        await client.enqueue(Task("work"), queue="bulk")
        await operator.sees("Overview, last 1h", "queues 2", "ready 1", "archived 3", "failed today 3")
        await operator.sees("Attempts", "Failures", "Wait, median", "Run, 99%", "█")
        await operator.press("s")
        await operator.sees("Overview, last 3h", "█")
        await operator.press("colon")
        await operator.say("overview bulk 1d")
        await operator.sees("Overview of bulk, last 1d", "queues 1", "ready 1", "archived 0")
        await operator.resize(60, 56)
        await operator.sees("Overview of bulk", "Run, 99%")
        assert operator.board.query_one(Plots).has_class("narrow")
        await operator.press("colon")
        await operator.say("overview nowhere")
        await operator.sees("no queue 'nowhere'")


async def test_failures_come_by_cause_and_lead_to_their_tasks(redis_url: str, redis_client: Redis) -> None:
    """All tasks of the cause under the cursor can be run again at once."""
    await _fail(redis_url, "invoice", "invoice", "invoice", "report")
    async with at_dashboard(redis_url) as operator:
        await operator.sees("Queues  ·  1")
        await operator.press("f")
        await operator.sees("Failures by cause  ·  2", "invoice", "host # does not answer", "report")
        await operator.press("enter")
        await operator.sees("Tasks found  ·  3", "host 0 does", "host 2 does", "archived", but="report")
        await operator.press("enter")
        await operator.sees("Task ", "ConnectionError")
        await operator.press("escape", "escape")
        await operator.sees("Failures by cause")
        await operator.press("B")
        await operator.sees("of invoice that failed with ConnectionError")
        await operator.press("r")
        await operator.sees("Run 3 tasks")
        await operator.press("y")
        await operator.sees("3 tasks run.")
        await operator.press("enter")
        await operator.sees("Failures by cause  ·  1", "report", but="invoice")
    assert take_census(redis_client).counts == {"pending": 3, "archived": 1}


async def test_all_that_match_a_filter_are_counted_confirmed_and_done(
    redis_url: str, redis_client: Redis
) -> None:
    """On all pages, and no other. What is deleted has to be confirmed by its number."""
    async with (
        Client(redis_url) as client,
        at_dashboard(redis_url, start="scheduled", actor="ann") as operator,
    ):
        tasks = [
            Task("odd" if number % 3 else "even", task_id=f"task {number}", process_in=600)
            for number in range(240)
        ]
        assert all([one.is_enqueued async for one in client.enqueue_many(tasks)])
        await operator.sees("100 of 240")
        await operator.press("slash")
        await operator.say("even")
        await operator.sees("/even", "looked at")
        await operator.press("B")
        await operator.sees("All tasks scheduled in default with 'even' in them", "D: delete", "r: run")
        await operator.press("D")
        await operator.sees("Delete 80 tasks", "Type 80")
        await operator.say("8")
        await operator.sees("Nothing was done")
        await operator.press("enter", "B", "D")
        await operator.sees("Type 80")
        await operator.say("80")
        await operator.sees("80 tasks deleted.")
        assert take_census(redis_client).counts == {"scheduled": 160}
        await operator.press("escape")
        await operator.sees("0 of 160")
        await operator.press("B", "A")
        await operator.sees("There is nothing to archive")
        await operator.press("enter", "t")
        await operator.sees("Trail of changes", "ann", "task.delete", "begun", "done", "80 tasks")
        await operator.press("slash")
        await operator.say("bob")
        await operator.sees("Trail of changes  ·  0", "looked at 2 of 2")


async def test_work_on_many_can_be_stopped(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done stays done, and it says how much that was."""
    # So slow that there is something to stop.
    monkeypatch.setattr(bulk, "CHUNK", 2)
    monkeypatch.setattr(bulk, "_LEAST", 1)
    async with Client(redis_url) as client, at_dashboard(redis_url, start="scheduled") as operator:
        tasks = [Task("work", number, process_in=600) for number in range(3000)]
        assert all([one.is_enqueued async for one in client.enqueue_many(tasks)])
        await operator.sees("100 of 3,000")
        await operator.press("B", "A")
        await operator.sees("Archive 3,000 tasks")
        await operator.press("y")
        await operator.sees("Archive all tasks", "escape: stop", "%", but=" 0 archived")
        await operator.press("escape")
        await operator.sees("Stopped. At least", "archived.")
        told = re.search(r"At least ([\d,]+) tasks? archived", operator.screen())
    counts = take_census(redis_client).counts
    assert told is not None
    # The answer of the call that was under way is not waited for.
    assert 0 <= counts["archived"] - int(told[1].replace(",", "")) <= 2
    assert counts["archived"] + counts["scheduled"] == 3000
    assert counts["scheduled"] > 0


@pytest.mark.parametrize("rights", [Rights.of("view"), None])
async def test_whoever_may_not_or_must_not_change_anything_changes_nothing(
    redis_url: str, redis_client: Redis, rights: Rights | None
) -> None:
    """Before they are asked how many; a board that is read-only has no such key."""
    async with (
        Client(redis_url) as client,
        at_dashboard(redis_url, start="pending", rights=rights, read_only=rights is None) as operator,
    ):
        await client.enqueue(Task("work"))
        await operator.sees("1 of 1")
        if rights is None:
            await operator.press("B")
            operator.board.action_bulk()
            await operator.sees("This dashboard is read-only", but="All tasks")
        else:
            await operator.press("B")
            await operator.sees("All tasks pending")
            await operator.press("D")
            await operator.sees("may not delete tasks")
            await operator.press("escape", "t")
            await operator.sees("lacks the right")
    assert take_census(redis_client).counts == {"pending": 1}


async def test_a_query_finds_tasks_anywhere(redis_url: str) -> None:
    """It is changed as a filter is; a wrong one is refused with what would be right."""
    async with Client(redis_url) as client, at_dashboard(redis_url) as operator:
        await client.enqueue(Task("mail", {"to": "ann"}), queue="one")
        await client.enqueue(Task("mail", {"to": "bob"}), queue="two", process_in=600)
        await operator.press("colon")
        await operator.say("find type:mail")
        await operator.sees("Tasks found  ·  2", "pending", "scheduled")
        await operator.press("slash", "end")
        await operator.say(" bob")
        await operator.sees("Tasks found  ·  1", "/type:mail bob", "two")
        await operator.press("B")
        await operator.sees("All tasks that fit type:mail bob")
        await operator.press("C")
        await operator.sees("Cancel 1 task,")
        await operator.press("y")
        await operator.sees("1 task cancelled.")
        assert isinstance(operator.app.screen, Bulk)
        await operator.press("enter")
        await operator.sees("Tasks found  ·  1", "archived")
        await operator.press("colon")
        await operator.say("find state:gone")
        await operator.sees("one of pending")

"""The dashboard in a terminal, driven by keys against real servers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis import Redis

from asyncq import Client, Inspector, Mux, Scheduler, Task
from asyncq.dash import Dashboard
from asyncq.errors import ConfigError
from asyncq.inspector import Rights
from tests.conftest import AnyRedis
from tests.integration.serving import at_work
from tests.support.census import take_census
from tests.support.dashboard import at_dashboard
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.waiting import wait_until


async def test_from_the_queues_to_a_task_and_back(any_redis: AnyRedis) -> None:
    """And what changes meanwhile is seen without a key."""
    async with Client(any_redis.url) as client, at_dashboard(any_redis.url) as operator:
        await operator.sees("Queues  ·  0")
        info = await client.enqueue(Task("email:welcome", {"user": 42}), queue="mail", headers={"h": "x"})
        await client.enqueue(Task("later"), queue="mail", process_in=600)
        await operator.sees("Queues  ·  1", "mail", "open")
        await operator.press("enter")
        await operator.sees("Tasks pending in mail  ·  1 of 1", info.id, "email:welcome", "0/25")
        await operator.press("enter")
        await operator.sees(f"Task {info.id} in mail", "{'user': 42}", "h: x", "pending")
        await operator.press("escape", "3")
        await operator.sees("Tasks scheduled in mail  ·  1 of 1", "later", "in 9m")
        await operator.press("escape", "escape")
        await operator.sees("Queues  ·  1")


async def test_tasks_are_run_archived_deleted_and_cancelled(redis_url: str, redis_client: Redis) -> None:
    """Capital letters ask first, and whoever says no has done nothing."""

    def counts() -> dict[str, int]:
        return take_census(redis_client).counts

    async with Client(redis_url) as client, at_dashboard(redis_url, start="scheduled") as operator:
        for number in range(4):
            await client.enqueue(Task(f"kind{number}"), process_in=600 + number, task_id=f"id{number}")
        await operator.sees("Tasks scheduled in default  ·  4 of 4")
        await operator.press("r")
        await operator.sees("id0: runs now", "3 of 3")
        assert counts() == {"scheduled": 3, "pending": 1}
        await operator.press("A")
        await operator.sees("Archive id1?")
        await operator.press("n")
        await operator.sees("Nothing was done")
        assert counts() == {"scheduled": 3, "pending": 1}
        await operator.press("A", "y")
        await operator.sees("id1: archived", "2 of 2")
        await operator.press("C", "y")
        await operator.sees("id2: cancelled", "1 of 1")
        assert counts() == {"scheduled": 1, "pending": 1, "archived": 2}
        await operator.press("5")
        await operator.sees("Tasks archived in default  ·  2 of 2")
        await operator.press("asterisk")
        await operator.sees("2 marked")
        await operator.press("D")
        await operator.sees("Delete 2 at once?")
        await operator.press("y")
        await operator.sees("delete: 2 of 2 lines", "0 of 0")
        assert counts() == {"scheduled": 1, "pending": 1}


async def test_marks_are_for_some_and_end_with_escape(redis_url: str, redis_client: Redis) -> None:
    """They stay with their rows while others come and go."""
    async with Client(redis_url) as client, at_dashboard(redis_url, start="scheduled") as operator:
        for number in range(3):
            await client.enqueue(Task("work"), process_in=600 + number, task_id=f"id{number}")
        await operator.sees("3 of 3")
        await operator.press("space", "space")
        await operator.sees("2 marked")
        await client.enqueue(Task("work"), process_in=60, task_id="first")
        await operator.sees("4 of 4", "2 marked")
        await operator.press("escape")
        await operator.sees("4 of 4", but="marked")
        await operator.press("k", "k", "k", "k", "space", "space", "r")
        await operator.sees("run: 2 of 2 lines")
        assert take_census(redis_client).counts == {"scheduled": 2, "pending": 2}


async def test_what_cannot_be_done_is_said(redis_url: str) -> None:
    """By the error of the inspector, which says which states would do."""
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        await client.enqueue(Task("work"), process_in=600, task_id="one")
        async with at_dashboard(redis_url, start="scheduled", interval=3600) as operator:
            await operator.sees("1 of 1")
            await inspector.tasks.delete("default", "one")
            await operator.press("r")
            await operator.sees("no task 'one'")


async def test_queues_are_paused_and_removed(redis_url: str, redis_client: Redis) -> None:
    """To remove one with its tasks, its name has to be typed."""
    async with Client(redis_url) as client, at_dashboard(redis_url) as operator:
        await client.enqueue(Task("work"), queue="mail")
        await operator.sees("mail")
        await operator.press("p")
        await operator.sees("mail: paused", "paused  ")
        await operator.press("p")
        await operator.sees("mail: goes on", "open")
        await operator.press("X")
        await operator.sees("Remove mail?", "Type mail")
        await operator.say("male")
        await operator.sees("Nothing was done")
        assert take_census(redis_client, "mail").counts == {"pending": 1}
        await operator.press("X")
        await operator.sees("Type mail")
        await operator.say("mail")
        await operator.sees("removed with 1 tasks", "Queues  ·  0")


async def test_servers_and_what_they_run(redis_url: str) -> None:
    """And it can be told to stop."""
    mux, begun = Mux(), asyncio.Event()

    @mux.handle("long")
    async def long(task: Task) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with (
        at_work(redis_url, mux, name="post office") as (client, server),
        at_dashboard(redis_url, start="servers") as operator,
    ):
        await operator.sees("Servers  ·  1", server.id, "post office", "active", "default:1")
        await client.enqueue(Task("long"), task_id="endless")
        await begun.wait()
        await operator.press("enter")
        await operator.sees(f"Work of server {server.id}", "endless", "long")
        await operator.press("C", "y")
        await operator.sees("endless: told to stop", "·  0  ·")
        await operator.press("colon")
        await operator.say("archived")
        await operator.sees("Tasks archived in default  ·  1 of 1", "endless")


async def test_schedulers_and_their_entries(redis_url: str) -> None:
    """Paused, run by hand, looked into, and removed."""
    scheduler = Scheduler(redis_url, name="clockwork")
    async with scheduler.running(), Client(redis_url) as client:
        await client.schedules.upsert("0 3 * * *", Task("report"), entry_id="nightly")
        async with at_dashboard(redis_url, start="schedulers", size=(140, 30)) as operator:
            await operator.sees("Schedulers  ·  1", "clockwork", "running", "ok")
            await operator.press("enter")
            await operator.sees("nightly", "0 3 * * *", "report", "on")
            await operator.press("p")
            await operator.sees("nightly: paused", "paused  ")
            await operator.press("p")
            await operator.sees("nightly: goes on", "on  ")
            await operator.press("r")
            await operator.sees("nightly: enqueued as")
            await operator.press("enter")
            await operator.sees("History of nightly", "enqueued by hand", "paused", "resumed")
            await operator.press("escape", "X", "y")
            await operator.sees("nightly: removed", "Entries of schedulers  ·  0")


async def test_groups(redis_url: str) -> None:
    """From the queue to the tasks that wait in one."""
    async with Client(redis_url) as client, at_dashboard(redis_url) as operator:
        await client.enqueue(Task("mail", 1), group="digest", queue="mail")
        await operator.sees("mail")
        await operator.press("g")
        await operator.sees("Groups of mail  ·  1", "digest")
        await operator.press("enter")
        await operator.sees("Tasks aggregating in mail in group digest  ·  1 of 1")


async def test_many_tasks_come_in_pages_and_can_be_filtered(redis_url: str) -> None:
    """By the inspector, so that it does not matter how many there are."""
    async with Client(redis_url) as client, at_dashboard(redis_url, start="tasks") as operator:
        # With ids of their own: a random one may hold what is looked for.
        tasks = [Task("odd" if number == 170 else "even", task_id=f"task {number}") for number in range(250)]
        assert all([one.is_enqueued async for one in client.enqueue_many(tasks)])
        await operator.sees("100 of 250", "next page", but="page before")
        await operator.press("n")
        await operator.sees("100 of 250", "page 2", "page before")
        await operator.press("n")
        await operator.sees("50 of 250", "page 3")
        await operator.press("b", "b")
        await operator.sees("100 of 250", but="page 2")
        await operator.press("slash")
        await operator.say("ODD")
        await operator.sees("1 of 250", "/ODD", "looked at 250 of 250")
        await operator.press("escape")
        await operator.sees("100 of 250", but="/ODD")


async def test_a_jump_that_leads_nowhere_says_so(redis_url: str) -> None:
    """And the prompt can be left."""
    async with at_dashboard(redis_url) as operator:
        await operator.press("colon")
        await operator.say("quues")
        await operator.sees("did you mean 'queues'")
        await operator.press("colon", "s", "escape")
        await operator.sees("Queues  ·  0", but="where to")
        await operator.press("colon")
        await operator.say("tasks nowhere")
        await operator.sees("Tasks pending in nowhere", "no queue 'nowhere'")
        await operator.press("question_mark")
        await operator.sees("What is done")
        await operator.press("escape")
        await operator.sees("Tasks pending in nowhere", but="What is done")
        await operator.press("colon")
        await operator.say("quit")
        await wait_until(lambda: operator.app.return_code == 0, "it to end")


async def test_redis_may_go_away_and_come_back() -> None:
    """What was seen last stays, and a line says that it is old."""
    with RedisProcess(RedisOptions(appendonly=True)) as redis:
        async with Client(redis.url) as client:
            await client.enqueue(Task("work"), queue="mail")
        async with at_dashboard(redis.url) as operator:
            await operator.sees("mail")
            redis.kill()
            await operator.sees("mail", "Redis does not answer since", "trying again")
            await operator.press("p")
            await operator.sees("pause or resume", "mail")
            await asyncio.to_thread(redis.start)
            await operator.sees("Redis answers again", "mail", but="does not answer")


async def test_nothing_is_changed_in_a_read_only_dashboard(redis_url: str, redis_client: Redis) -> None:
    """The keys are not there, and would do nothing."""
    async with Client(redis_url) as client, at_dashboard(redis_url, read_only=True) as operator:
        await client.enqueue(Task("work"))
        await operator.sees("default", "read-only", but="pause/resume")
        await operator.press("p", "X")
        operator.board.action_act("p")
        await operator.sees("This dashboard is read-only")
        await operator.press("enter", "D", "y")
        await operator.sees("Tasks pending", "1 of 1", but="Delete")
        assert take_census(redis_client).counts == {"pending": 1}


async def test_what_the_operator_may_not_do_is_refused(redis_url: str, redis_client: Redis) -> None:
    """By the inspector, whose rights are those of every tool; and queues of others are not even shown."""
    rights = Rights.viewer(queues=["mail"])
    async with Client(redis_url) as client, at_dashboard(redis_url, rights=rights) as operator:
        await client.enqueue(Task("work"), queue="mail")
        await client.enqueue(Task("work"), queue="secret")
        await operator.sees("Queues  ·  1", "mail", but="secret")
        await operator.press("enter", "D")
        await operator.sees("Delete")
        await operator.press("y")
        await operator.sees("lacks the right", "1 of 1")
        await operator.press("colon")
        await operator.say("tasks secret")
        await operator.sees("Tasks pending in secret", "lacks the right")
        assert take_census(redis_client, "mail").counts == {"pending": 1}


async def test_what_others_wrote_cannot_hurt_the_terminal(redis_url: str) -> None:
    """Types, ids, payloads and errors are whatever anybody enqueued."""
    evil = "[red on blue]\x1b[2J\u202e[/x]"
    async with Client(redis_url) as client:
        await client.enqueue(Task(evil, {"p": evil}), task_id=evil, queue=evil.replace("{", ""))
        async with at_dashboard(redis_url) as operator:
            shown = await operator.sees(r"[red on blue]\x1b[2J\u202e[/x]")
            await operator.press("enter")
            await operator.sees("Tasks pending", "1 of 1")
            await operator.press("enter")
            shown += await operator.sees("payload")
            await operator.press("escape", "D")
            shown += await operator.sees(r"Delete [red on blue]\x1b[2J\u202e[/x]?")
            await operator.press("y")
            shown += await operator.sees("deleted")
    assert "\x1b" not in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize("plain", [False, True])
async def test_small_terminals_get_fewer_columns(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, *, plain: bool
) -> None:
    """And those without colours the same words."""
    monkeypatch.delenv("NO_COLOR", raising=False)  # the gate has it set
    if plain:
        monkeypatch.setenv("NO_COLOR", "1")
    async with Client(redis_url) as client, at_dashboard(redis_url, size=(60, 12)) as operator:
        await client.enqueue(Task("work"), queue="mail")
        await operator.sees("mail", "PENDING", "ARCHIVED", but="SCHEDULED")
        await operator.resize(130, 30)
        await operator.sees("SCHEDULED", "TODAY", "IN GROUPS")
        await operator.resize(48, 8)
        await operator.sees("QUEUE", "mail", but="SCHEDULED")
        await operator.press("enter")
        await operator.sees("Tasks pending in mail", "work")
        assert bool(operator.app.no_color) is plain


async def test_the_other_wire(redis_url: str) -> None:
    """Its tasks and its servers, too."""
    async with Client(redis_url, wire="asynq") as client:
        await client.enqueue(Task("work"), task_id="one")
        async with at_dashboard(redis_url, wire="asynq", start="pending") as operator:
            await operator.sees("Tasks pending in default  ·  1 of 1", "one")
            await operator.press("D", "y")
            await operator.sees("one: deleted", "0 of 0")


async def test_wrong_options_are_refused(redis_url: str) -> None:
    """Before a terminal is touched."""
    wrong: dict[str, Any]
    async with Inspector(redis_url) as inspector:
        for wrong in ({"interval": 0}, {"interval": float("inf")}, {"start": "nowhere"}, {"start": "quit"}):
            with pytest.raises(ConfigError, match=next(iter(wrong))):
                Dashboard(inspector, **wrong)

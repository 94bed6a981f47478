"""The scheduler against a real server: what is due is enqueued, and nothing stops it silently."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from asyncq import Client, Connection, Mux, Scheduler, Server, Task, TaskInfo
from asyncq.errors import (
    AlreadyRunningError,
    BrokerError,
    ClosedError,
    ConfigError,
    EntryNotFoundError,
    NotStartedError,
)
from asyncq.options import TaskOptions
from asyncq.scheduler import Entry
from tests.support.proxy import Proxy
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until, wait_until_sync

PENDING = "asyncq:{default}:pending"


async def test_entries_are_enqueued_each_time_they_are_due(redis_url: str, redis_client: Redis) -> None:
    """The point of a scheduler."""
    scheduler = Scheduler(redis_url)
    scheduler.register("@every 1s", Task("report", {"n": 1}))
    scheduler.register(timedelta(seconds=1), Task("other"), queue="low")
    async with scheduler.running():
        await wait_until(lambda: redis_client.llen(PENDING) == 2, "two runs of the report")
    assert redis_client.llen("asyncq:{low}:pending") >= 1


async def test_a_scheduled_task_runs_in_a_server_of_the_same_program(redis_url: str) -> None:
    """A server and a scheduler share one process, and one connection."""
    ran: list[object] = []
    mux = Mux()

    @mux.handle("report")
    async def report(task: Task) -> None:
        ran.append(task.payload)

    async with Connection(redis_url) as connection:
        scheduler = Scheduler(connection)
        scheduler.register("@every 1s", Task("report", "due"))
        async with Server(connection, concurrency=2).running(mux), scheduler.running():
            await wait_until(lambda: ran, "the report to run")
    assert ran[0] == "due"


async def test_an_entry_registered_while_running_is_not_forgotten(
    redis_url: str, redis_client: Redis
) -> None:
    """Registering must wake a loop that sleeps for ever because it had nothing to do."""
    scheduler = Scheduler(redis_url)
    async with scheduler.running():
        scheduler.register("@every 1s", Task("late"))
        await wait_until(lambda: redis_client.llen(PENDING) == 1, "the entry that came late")


async def test_an_unregistered_entry_is_enqueued_no_more(redis_url: str, redis_client: Redis) -> None:
    """Removing one entry leaves the others alone."""
    scheduler = Scheduler(redis_url)
    gone = scheduler.register("@every 1s", Task("gone"))
    scheduler.register("@every 1s", Task("stays"), queue="stays")
    scheduler.unregister(gone)
    scheduler.register("@every 1h", Task("gone"), entry_id="@every 1s gone")
    async with scheduler.running():
        await wait_until(lambda: redis_client.llen("asyncq:{stays}:pending") == 1, "the entry that stays")
    assert redis_client.llen(PENDING) == 0
    with pytest.raises(EntryNotFoundError, match="did you mean '@every 1s gone'"):
        scheduler.unregister("every 1s gone")


async def test_one_entry_that_cannot_be_enqueued_does_not_stop_the_others(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """A duplicate is refused each time, is said each time, and costs nobody else a run."""
    scheduler = Scheduler(redis_url)
    refused = scheduler.register("@every 1s", Task("twice"), unique=600)
    scheduler.register("@every 1s", Task("fine"), queue="fine")
    async with scheduler.running():
        await wait_until(
            lambda: redis_client.llen("asyncq:{fine}:pending") == 2, "two runs of the other entry"
        )
        await wait_until(lambda: "was not enqueued" in caplog.text, "the refusal to be logged")
    assert redis_client.llen(PENDING) == 1
    entry = next(entry for entry in scheduler.entries if entry.id == refused)
    assert "unique" in entry.last_error


async def test_what_was_due_before_the_start_is_not_made_up_for(redis_url: str, redis_client: Redis) -> None:
    """A scheduler that was registered long before it is started must not fire a burst."""
    scheduler = Scheduler(redis_url)
    scheduler.register("* * * * *", Task("minutely"))
    scheduler.entries[0].next_at = datetime.now(UTC) - timedelta(days=1)
    async with scheduler.running():
        next_at = scheduler.entries[0].next_at
        assert next_at is not None
        assert next_at > datetime.now(UTC)
    assert redis_client.llen(PENDING) == 0


async def test_starting_twice_is_refused(redis_url: str) -> None:
    """Two loops over the same entries would enqueue everything twice."""
    scheduler = Scheduler(redis_url)
    async with scheduler.running():
        with pytest.raises(AlreadyRunningError):
            await scheduler.start()


async def test_run_inside_an_event_loop_says_what_to_do(redis_url: str) -> None:
    """`run()` owns a loop of its own."""
    with pytest.raises(AlreadyRunningError, match="serve"):
        Scheduler(redis_url).run()


async def test_a_cancelled_serve_leaves_in_order(redis_url: str, redis_client: Redis) -> None:
    """Inside somebody else's loop, cancelling is how it ends."""
    scheduler = Scheduler(redis_url)
    scheduler.register("@every 1s", Task("report"))
    serving = asyncio.ensure_future(scheduler.serve())
    await wait_until(lambda: redis_client.llen(PENDING) == 1, "the first run")
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_a_scheduler_goes_on_when_redis_comes_back() -> None:
    """It must not stop silently: an outage costs the runs in it and no more."""
    with RedisProcess() as redis:
        scheduler = Scheduler(redis.url)
        scheduler.register("@every 1s", Task("report"))
        async with scheduler.running():
            with redis.client() as raw:
                await wait_until(lambda: raw.llen(PENDING) == 1, "a run before the outage")
            redis.restart()
            with redis.client() as raw:
                await wait_until(lambda: raw.llen(PENDING) >= 1, "a run after the outage")


async def test_redis_away_at_the_start_is_an_error_that_says_where() -> None:
    """Not a loop that hopes in silence."""
    scheduler = Scheduler("redis://127.0.0.1:1/0", start_patience=0.2)
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1"):
        await scheduler.start()
    with pytest.raises(ClosedError):
        await scheduler.start()


async def test_a_scheduler_that_waits_for_redis_can_be_told_to_leave() -> None:
    """A process manager that gives up on it must not have to kill it."""
    scheduler = Scheduler("redis://127.0.0.1:1/0", start_patience=60)
    serving = asyncio.ensure_future(scheduler.serve())
    await asyncio.sleep(0)
    await scheduler.shutdown()
    await serving
    await scheduler.shutdown()


async def test_a_cancelled_start_leaves_nothing() -> None:
    """The fixtures count tasks and connections."""
    with RedisProcess() as redis, Proxy(redis) as proxy:
        redis.kill()
        scheduler = Scheduler(proxy.url, start_patience=60)
        starting = asyncio.ensure_future(scheduler.start())
        await wait_until(lambda: proxy.accepted >= 2, "it to have tried in vain")
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    with pytest.raises(ClosedError):
        await scheduler.start()


async def test_a_scheduler_is_used_once(redis_url: str) -> None:
    """As a server. What is asked of it at the wrong moment says so."""
    scheduler = Scheduler(redis_url)
    await scheduler.shutdown()  # it does not run: nothing to do
    with pytest.raises(NotStartedError):
        await scheduler.wait()
    with pytest.raises(NotStartedError):
        await scheduler.stop()
    with pytest.raises(NotStartedError):
        await scheduler.resume()
    assert (await scheduler.ping()).server  # over a connection of its own
    assert scheduler.entries == []
    async with scheduler.running():
        assert (await scheduler.ping()).server
    await scheduler.wait()
    for method in (scheduler.start, scheduler.stop, scheduler.resume, scheduler.ping):
        with pytest.raises(ClosedError):
            await method()
    with pytest.raises(ClosedError):
        _ = scheduler.id


async def test_a_scheduler_logs_where_it_is_told(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """All of its actors do."""

    def fail(outcome: object) -> None:
        raise RuntimeError("no matter")

    logger = logging.getLogger("a log of our own")
    scheduler = Scheduler(redis_url, logger=logger, log_level="info", post_enqueue=fail)
    scheduler.register("@every 1s", Task("report"))
    caplog.set_level(logging.DEBUG)
    async with scheduler.running():
        await wait_until(lambda: "post_enqueue failed" in caplog.text, "the callback to fail")
    ours = [record for record in caplog.records if hasattr(record, "event")]
    assert {record.name for record in ours} == {"a log of our own"}
    events = [record.event for record in ours]  # type: ignore[attr-defined]
    assert events[:2] == ["entries_declared", "scheduler_started"]


async def test_hooks_are_told_before_and_after(redis_url: str, redis_client: Redis) -> None:
    """As in asynq; and one that raises or hangs costs nothing but a line in the log."""
    told: list[tuple[str, object]] = []

    async def before(task: Task, options: TaskOptions) -> None:
        told.append((task.type, dict(options)))
        options["queue"] = "elsewhere"  # a copy: changes nothing
        raise RuntimeError("no matter")

    def after(outcome: TaskInfo | Exception) -> None:
        told.append(("after", type(outcome).__name__))

    async def failed(entry: Entry, error: Exception) -> None:
        told.append((entry.id, type(error).__name__))

    scheduler = Scheduler(redis_url, pre_enqueue=before, post_enqueue=after, on_error=failed)
    scheduler.register("@every 1s", Task("report"), unique=60, entry_id="mine")
    async with scheduler.running():
        await wait_until(lambda: len(told) >= 5, "the second run to be refused")
    assert told[:5] == [
        ("report", {"unique": 60}),
        ("after", "TaskInfo"),
        ("report", {"unique": 60}),
        ("after", "DuplicateTaskError"),
        ("mine", "DuplicateTaskError"),
    ]
    assert redis_client.llen(PENDING) == 1


async def test_a_hook_that_hangs_makes_no_other_entry_late(redis_url: str, redis_client: Redis) -> None:
    """Each time of each entry is on its own."""
    gate = asyncio.Event()

    async def before(task: Task, options: TaskOptions) -> None:
        del options
        if task.type == "slow":
            await gate.wait()

    scheduler = Scheduler(redis_url, pre_enqueue=before)
    scheduler.register("@every 1s", Task("slow"), queue="slow")
    scheduler.register("@every 1s", Task("fine"), queue="fine")
    async with scheduler.running():
        await wait_until(lambda: redis_client.llen("asyncq:{fine}:pending") == 2, "two runs of the other")
        assert redis_client.llen("asyncq:{slow}:pending") == 0
        gate.set()
    assert redis_client.llen("asyncq:{slow}:pending") >= 2


@pytest.mark.parametrize(
    ("spec", "task", "options"),
    [
        ("61 * * * *", Task("x"), {}),
        ("* * * *", Task("x"), {}),
        ("@every 0s", Task("x"), {}),
        ("@hourly", Task("x"), {"task_id": "same"}),
        ("@hourly", Task("x", task_id="same"), {}),
        ("@hourly", Task("x"), {"max_retries": 1}),
        ("@hourly", "no task", {}),
        ("@hourly", Task("x"), {"timezone": "Mars/Olympus"}),
    ],
)
def test_a_wrong_entry_is_refused_when_it_is_registered(
    spec: str, task: Task, options: dict[str, object], redis_url: str
) -> None:
    """At three in the morning is too late."""
    scheduler = Scheduler(redis_url)
    with pytest.raises(ConfigError):
        scheduler.register(spec, task, **options)  # type: ignore[arg-type]
    assert scheduler.entries == []


def test_no_two_entries_have_one_id(redis_url: str) -> None:
    """Also not two that are equal: asynq takes both, and can remove only one of them again."""
    scheduler = Scheduler(redis_url)
    assert scheduler.register("@hourly", Task("report")) == "@hourly report"
    with pytest.raises(ConfigError, match="second of two equal entries"):
        scheduler.register("@hourly", Task("report"))
    assert scheduler.register("@hourly", Task("report"), entry_id="mine") == "mine"
    with pytest.raises(ConfigError, match="no other entry"):
        scheduler.register("@daily", Task("report"), entry_id="mine")


def test_options_are_checked_together() -> None:
    """All that is wrong at once, and the name that was probably meant."""
    with pytest.raises(ConfigError, match=r"(?s)2 values.*timezone.*on_error"):
        Scheduler("redis://localhost", timezone="Europe/Pari", on_error=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="did you mean 'pre_enqueue'"):
        Scheduler("redis://localhost", pre_enqeue=print)  # type: ignore[call-arg]


_PROGRAM = """
import sys
from asyncq import Scheduler, Task
scheduler = Scheduler(sys.argv[1])
scheduler.register("@every 1s", Task("report"))
scheduler.run()
"""


def test_run_ends_with_sigterm(redis_url: str, redis_client: Redis) -> None:
    """A process manager asks once, and the program leaves with exit code 0."""
    with subprocess.Popen([sys.executable, "-c", _PROGRAM, redis_url]) as program:
        wait_until_sync(lambda: redis_client.llen(PENDING) == 1, "the first run")
        program.send_signal(signal.SIGTERM)
        assert program.wait(timeout=10) == 0


async def test_a_client_of_the_same_connection_survives_the_scheduler(redis_url: str) -> None:
    """Whoever made the connection closes it, and nobody else."""
    async with Connection(redis_url) as connection:
        client = Client(connection)
        async with Scheduler(connection).running():
            pass
        assert (await client.enqueue(Task("after"))).state == "pending"
        await client.aclose()
        other = Client(connection)
        assert (await other.enqueue(Task("after"))).state == "pending"

"""The scheduler against a real server: what is due is enqueued, and nothing stops it silently."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from asyncq import Client, Connection, Mux, Scheduler, Server, Task
from asyncq.errors import AlreadyRunningError, BrokerError, ConfigError
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
    async with scheduler.running():
        await wait_until(lambda: redis_client.llen("asyncq:{stays}:pending") == 1, "the entry that stays")
    assert redis_client.llen(PENDING) == 0
    with pytest.raises(ConfigError, match="stays"):
        scheduler.unregister("gone")


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


async def test_redis_away_at_the_start_is_an_error_that_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a loop that hopes in silence."""
    monkeypatch.setattr("asyncq.scheduler.START_PATIENCE", 0.2)
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1"):
        await Scheduler("redis://127.0.0.1:1/0").start()


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


def test_ids_are_made_of_spec_and_type_and_never_twice(redis_url: str) -> None:
    """A taken name is refused; a made one gets a number."""
    scheduler = Scheduler(redis_url)
    assert scheduler.register("@hourly", Task("report")) == "@hourly report"
    assert scheduler.register("@hourly", Task("report")) == "@hourly report (2)"
    assert scheduler.register("@hourly", Task("report"), entry_id="mine") == "mine"
    with pytest.raises(ConfigError, match="no other entry"):
        scheduler.register("@hourly", Task("report"), entry_id="mine")


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

"""The client for blocking code: the same client, from threads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis

from asyncq import Connection, PeriodicTask, Task, TaskInfo
from asyncq.errors import (
    BrokerUnavailableError,
    ClosedError,
    ConfigError,
    DuplicateTaskError,
    EntryNotFoundError,
)
from asyncq.sync import Client

PENDING = "asyncq:{default}:pending"


def test_a_task_is_there_when_enqueue_returns(redis_url: str, redis_client: Redis) -> None:
    """Blocking means that the answer of Redis was waited for."""
    with Client(redis_url) as client:
        info = client.enqueue(Task("email", {"user_id": 42}))
        assert redis_client.lrange(PENDING, 0, -1) == [info.id.encode()]


def test_many_tasks_have_an_outcome_each_in_order(redis_url: str, redis_client: Redis) -> None:
    """The iterable is read as it is needed, and one bad task does not spoil the others."""

    def tasks() -> Iterator[Task]:
        for number in range(250):
            yield Task("n", object() if number == 7 else number)

    with Client(redis_url) as client:
        outcomes = list(client.enqueue_many(tasks(), chunk=100))
    assert len(outcomes) == 250
    assert [outcome.is_enqueued for outcome in outcomes] == [number != 7 for number in range(250)]
    assert isinstance(outcomes[7].error, ConfigError)
    assert redis_client.llen(PENDING) == 249


def test_threads_share_one_client(redis_url: str, redis_client: Redis) -> None:
    """A web server's threads enqueue at the same time, over one connection."""
    with Client(redis_url) as client, ThreadPoolExecutor(8) as threads:
        infos = list(threads.map(lambda number: client.enqueue(Task("n", number)), range(200)))
        names = [entry["name"] for entry in redis_client.client_list()]
    assert len({info.id for info in infos}) == 200
    assert redis_client.llen(PENDING) == 200
    assert sum(name.startswith("asyncq:") for name in names) == 1


def test_refusals_are_raised_in_the_calling_thread(redis_url: str) -> None:
    """With the type that the asynchronous client raises."""
    with Client(redis_url) as client:
        client.enqueue(Task("once"), unique=60)
        with pytest.raises(DuplicateTaskError):
            client.enqueue(Task("once"), unique=60)


def test_redis_away_is_an_error_after_the_patience(redis_url: str) -> None:
    """A view must not hang for as long as Redis does."""
    del redis_url
    with (
        Client("redis://127.0.0.1:1/0", patience=0.1) as client,
        pytest.raises(BrokerUnavailableError) as caught,
    ):
        client.enqueue(Task("x"))
    assert caught.value.where == "127.0.0.1:1"
    assert caught.value.advice


def test_a_closed_client_says_so_and_leaves_no_thread(redis_url: str) -> None:
    """Closing twice is no error; using it afterwards is."""
    client = Client(redis_url)
    client.ping()
    client.close()
    client.close()
    with pytest.raises(ClosedError):
        client.enqueue(Task("x"))
    assert not [thread for thread in threading.enumerate() if thread.name == "asyncq-client"]


def test_nothing_is_started_before_the_first_use(redis_url: str) -> None:
    """A client made at import costs nothing."""
    client = Client(redis_url)
    assert not [thread for thread in threading.enumerate() if thread.name == "asyncq-client"]
    client.close()


def test_a_client_made_before_a_fork_says_so_in_the_child(redis_url: str) -> None:
    """The child has no thread to serve it: it must hear why, and not hang."""
    with Client(redis_url) as client:
        client.ping()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                client.enqueue(Task("x"))
                os.write(writing, b"enqueued")
            except Exception as error:  # noqa: BLE001 - reported to the parent
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            assert b"fork" in pipe.read()
        os.waitpid(child, 0)


def test_a_client_that_was_not_used_before_a_fork_works_in_the_child(
    redis_url: str, redis_client: Redis
) -> None:
    """Made at import, as web servers do that fork for each of their workers."""
    client = Client(redis_url)
    child = os.fork()
    if child == 0:
        try:
            client.enqueue(Task("x"))
            client.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert redis_client.llen(PENDING) == 1
    client.enqueue(Task("x"))
    assert redis_client.llen(PENDING) == 2
    client.close()


async def test_connections_belong_to_one_event_loop(redis_url: str) -> None:
    """A shared connection cannot be used from the thread of a blocking client as well."""
    async with Connection(redis_url) as connection:
        connection.router()
        with Client(connection) as client, pytest.raises(ConfigError, match="loop"):  # type: ignore[arg-type]
            client.enqueue(Task("x"))


@pytest.mark.parametrize("many", [False, True])
def test_calls_that_are_under_way_end_with_the_client(redis_url: str, *, many: bool) -> None:
    """Their threads would wait for ever: the event loop that was to go on with them has stopped."""
    for _ in range(20):
        client = Client(redis_url)
        info = client.enqueue(Task("n"))

        def work(client: Client = client, info: TaskInfo = info) -> None:
            if many:
                while True:
                    assert all(outcome.is_enqueued for outcome in client.enqueue_many([Task("n")] * 300))
            client.result(info)

        with ThreadPoolExecutor(1) as threads:
            call = threads.submit(work)
            client.ping()
            client.close()
            with pytest.raises((ClosedError, AssertionError)):
                call.result(5.0)


def test_a_call_that_begins_while_the_client_is_closed_ends(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has found the event loop running, and hands it its work a moment later."""
    begun, closed = threading.Event(), threading.Event()
    hand_over = asyncio.run_coroutine_threadsafe

    def hand_over_late(*args: Any) -> Future[Any]:
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            closed.wait(0.5)
        return hand_over(*args)

    client = Client(redis_url)
    client.enqueue(Task("n"))
    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", hand_over_late)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(client.enqueue, Task("n"))
        assert begun.wait(5.0)
        client.close()
        closed.set()
        error = call.exception(5.0)
    assert error is None or isinstance(error, ClosedError)


def test_entries_of_schedulers_are_changed_from_blocking_code(redis_url: str) -> None:
    """A Django view that changes the times of a customer's report."""
    with Client(redis_url) as client:
        schedules = client.schedules
        entry = schedules.add("@daily", Task("report", 42), entry_id="report:42")
        changed = schedules.upsert("@hourly", Task("report", 42), entry_id="report:42", version=entry.version)
        assert schedules.get("report:42") == changed
        assert schedules.pause("report:42", "not paid").is_paused
        assert [info.id for info in schedules.list(paused=True)] == ["report:42"]
        assert [info.id for info in schedules.iterate(paused=True)] == ["report:42"]
        info = schedules.run_now("report:42")
        assert not schedules.resume("report:42").is_paused
        outcomes = [event.outcome for event in schedules.history("report:42")]
        assert outcomes == ["resumed", "enqueued", "paused"]
        assert info.type == "report"
        assert schedules.upsert_many(PeriodicTask("@daily", Task("x"), id=name) for name in "ab").added == (
            "a",
            "b",
        )
        schedules.remove("report:42")
        with pytest.raises(EntryNotFoundError):
            schedules.get("report:42")

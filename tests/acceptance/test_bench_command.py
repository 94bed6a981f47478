"""`asyncq bench`: what it says, whom it does not disturb, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from asyncq.cli import main
from asyncq.sync import Client
from asyncq.task import Task
from tests.conftest import AnyRedis
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.waiting import wait_until_sync

pytestmark = pytest.mark.acceptance

SMALL = ("--tasks", "50", "--samples", "5", "--callers", "5", "--concurrency", "5")


def bench(*arguments: str) -> Result:
    """Run a small one in this process."""
    return CliRunner().invoke(main, ["bench", *SMALL, *arguments])


def left(redis: Any) -> list[bytes]:
    """Keys that a bench must not leave. Those that remember days, say, have an end of their own."""
    return [key for key in redis.scan_iter("*bench*") if redis.ttl(key) < 0]


def test_it_measures_on_any_redis_and_leaves_nothing(any_redis: AnyRedis) -> None:
    """Each number is there and is a number; the queue is not."""
    result = bench("--url", any_redis.url, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    results = found["results"]
    assert list(results) == [
        "enqueue",
        "enqueue_concurrently",
        "enqueue_many",
        "run",
        "pick_up",
        "there_and_back",
    ]
    assert all(value > 0 for result in results.values() for value in result.values())
    assert results["pick_up"]["p50"] <= results["pick_up"]["p99"] < results["there_and_back"]["p99"] * 2
    assert found["settings"]["tasks"] == 50
    assert found["redis"]["latency"] > 0
    assert left(any_redis.client) == []


def test_a_table_for_people(redis_url: str) -> None:
    """What was measured stands beside how."""
    result = bench("--url", redis_url)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[2].split() == ["a", "second", "p50", "ms", "p99", "ms"] or "a second" in result.stdout
    for words in (
        "enqueue, one by one",
        "enqueue, 5 callers",
        "enqueue_many",
        "run, 5 at a time",
        "enqueue to result",
    ):
        assert sum(line.startswith(words) for line in lines) == 1, result.stdout


def test_the_asynq_wire(redis_url: str, redis_client: Redis) -> None:
    """Payloads are bytes, so the wire does not matter to them."""
    result = bench("--url", redis_url, "--wire", "asynq", "--json")
    assert result.exit_code == 0, result.output
    assert left(redis_client) == []


def test_a_redis_in_use_is_left_alone_unless_somebody_is_sure(redis_url: str) -> None:
    """Whoever measures production must have meant to."""
    with Client(redis_url) as client:
        client.enqueue(Task("work"))
    result = bench("--url", redis_url)
    assert result.exit_code == 2
    assert "1 task waits or runs there, and would feel it: add --yes" in result.stderr
    assert bench("--url", redis_url, "--yes").exit_code == 0


def test_a_redis_without_room_is_not_filled() -> None:
    """A full Redis stops everybody's work."""
    with RedisProcess(RedisOptions(extra={"maxmemory": "12mb"})) as redis:
        result = bench("--url", redis.url, "--tasks", "5000000")
    assert result.exit_code == 2
    assert "at most " in result.stderr
    assert "MiB left" in result.stderr


def test_what_a_killed_bench_left_is_removed_by_the_next(redis_url: str, redis_client: Redis) -> None:
    """Nobody else would ever do it."""
    with Client(redis_url) as client:
        client.enqueue(Task("asyncq:bench", queue="asyncq-bench-dead"))
    result = bench("--url", redis_url)
    assert result.exit_code == 0, result.output
    assert "Removed 1 queue that an earlier bench left." in result.stderr
    assert left(redis_client) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_cleans_up(redis_url: str, redis_client: Redis, number: signal.Signals) -> None:
    """In the middle of it, with thousands of tasks in Redis."""
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncq", "bench", "--tasks", "1000000"],
        env={**os.environ, "ASYNCQ_URL": redis_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until_sync(lambda: redis_client.dbsize() > 300, "it to be in the middle", 45.0)
        process.send_signal(number)
        _, errors = process.communicate(timeout=45)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode not in (0, None), errors
    assert b"Traceback" not in errors, errors
    assert left(redis_client) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--tasks", "0"], 2, "0 is not in the range"),
        (["--url", "redis://127.0.0.1:1/0"], 5, "127.0.0.1:1"),
        (["--url", "http://x"], 2, "scheme"),
        (["--prefix", "{x}:"], 2, "prefix"),
    ],
)
def test_bad_input(arguments: list[str], code: int, words: str) -> None:
    """One line, and the exit code that says whose fault it is."""
    result = bench(*arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert "Traceback" not in result.output

"""The command line of Go's asynq, on what Python has put into Redis.

Its module is not in every module proxy, so it is not built here: install it with
`go install github.com/hibiken/asynq/tools/asynq@latest`, or name it in `ASYNCQ_ASYNQ_CLI`. What it prints it
asks of the inspector, which the other tests of this folder hold against our tasks, servers and entries.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import UUID

import pytest

from asyncq import Scheduler, Task
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.waiting import wait_until

from .python_side import PythonSide
from .test_asynqmon import fill

Cli = Callable[..., Awaitable[str]]


@pytest.fixture
def tcp_redis() -> Iterator[RedisProcess]:
    """A Redis with a port: the command knows no sockets."""
    with RedisProcess(RedisOptions(transport="tcp")) as process:
        yield process


@pytest.fixture
async def python(tcp_redis: RedisProcess) -> AsyncIterator[PythonSide]:
    """Ours, on that Redis."""
    async with PythonSide(tcp_redis.url) as side:
        yield side


@pytest.fixture
def cli(tcp_redis: RedisProcess) -> Cli:
    """Run the command, and return what it prints, in plain text."""
    program = os.environ.get("ASYNCQ_ASYNQ_CLI") or shutil.which("asynq")
    if program is None:
        pytest.skip("NOT TESTED with asynq's command line: there is no `asynq` on PATH")

    async def call(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            f"--uri=127.0.0.1:{tcp_redis.port}",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        text = re.sub(r"\x1b\[[0-9;]*m", "", output.decode())
        assert process.returncode == 0, text
        return text

    return call


def rows(text: str) -> list[list[str]]:
    """The cells of a table, without the two lines above it."""
    lines = text.splitlines()
    begin = next(
        number for number, line in enumerate(lines) if set(line.strip()) <= {"-", " "} and "-" in line
    )
    starts = [match.start() for match in re.finditer(r"(?<!\S)-", lines[begin])]
    ends = [*starts[1:], None]
    body = [line for line in lines[begin + 1 :] if line.strip()]
    return [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in body]


async def test_queues_and_numbers_are_printed(cli: Cli, python: PythonSide) -> None:
    """`queue ls` and `stats`."""
    await fill(python)
    assert (await cli("queue", "ls")).split() == ["default"]
    stats = await cli("stats")
    by_state, by_queue, by_day = stats.split("\n\n")[:3]
    assert rows(by_state) == [["1"] * 7]
    assert "default (paused)" in by_queue
    assert rows(by_queue) == [["7"]]
    assert rows(by_day) == [["3", "2", "66.67%"]]


@pytest.mark.parametrize(
    ("state", "more"),
    [
        ("active", r""),
        ("pending", r""),
        ("scheduled", r"in (59m\d\ds|1h0m[01]s)"),
        ("retry", r"in (59m\d\ds|1h0m[01]s) .*no luck .* 20\d\d 1 5"),
        ("archived", r".* 20\d\d .*no luck"),
        ("completed", r".* 20\d\d 42"),
        ("aggregating", r"g"),
    ],
)
async def test_tasks_of_each_state_are_printed(cli: Cli, python: PythonSide, state: str, more: str) -> None:
    """`task ls`, with the columns that a state has."""
    made = await fill(python)
    ((task, kind, payload, *rest),) = rows(
        await cli("task", "ls", "--queue=default", f"--state={state}", "--group=g")
    )
    assert (task, kind) == (made[state], "mail:send")
    assert payload.startswith("{")
    assert re.fullmatch(more, " ".join(rest))


async def test_our_servers_are_printed(cli: Cli, python: PythonSide) -> None:
    """`server ls`."""
    await python.serve(concurrency=7, queues={"critical": 6, "low": 1})

    async def is_listed() -> bool:
        return "No running" not in await cli("server", "ls")

    await wait_until(is_listed, "the server to say that it is there")
    ((host, pid, state, workers, queues, started),) = rows(await cli("server", "ls"))
    assert (host, int(pid)) == (socket.gethostname(), os.getpid())
    assert state in ("new", "active")  # it was listed when it began
    assert (workers, queues) == ("0/7", "critical:6 low:1")
    assert started.endswith("ago")


async def test_our_schedulers_are_printed(cli: Cli, tcp_redis: RedisProcess) -> None:
    """`cron ls`."""
    scheduler = Scheduler(tcp_redis.url, wire="asynq")
    scheduler.register("0 5 * * *", Task("mail:digest", {"to": "all"}), queue="low", max_retry=3)
    async with scheduler.running():

        async def is_listed() -> bool:
            return "No scheduler" not in await cli("cron", "ls")

        await wait_until(is_listed, "the scheduler to say that it is there")
        ((found, spec, kind, payload, options, following, before),) = rows(await cli("cron", "ls"))
    assert (spec, kind) == ("0 5 * * *", "mail:digest")
    assert UUID(found)  # Go's ids of entries are, and so what it is shown of ours
    assert payload == '{"to":"all"}'
    assert 'Queue("low")' in options
    assert "MaxRetry(3)" in options
    assert following.startswith("In ")
    assert before == "N/A"

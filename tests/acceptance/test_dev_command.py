"""`asyncq dev`: everything in one, on this machine only."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from asyncq.cli import main
from tests.support.commands import Command, Program

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

WORK = """
from contextlib import asynccontextmanager
from asyncq import Client

@mux.handle("work")
async def work(task):
    note("work", task.payload)

@asynccontextmanager
async def lifespan():
    async with Client(URL) as client:
        await client.enqueue(Task("work", 1))
        yield

app = App(Server(URL, lifespan=lifespan), mux)
"""


def test_everything_in_one_without_any_redis(tmp_path: Path) -> None:
    """One command on an empty machine: a Valkey, the program, reloading, and where they are."""
    shop = Program(tmp_path)
    shop.write(WORK)
    with Command(tmp_path, "dev", "shop", "--no-web", "--fresh") as command:
        command.wait_for("Ctrl-C leaves")
        for words in (
            "program  shop  (starts anew",
            "redis    embedded://",
            "nothing is kept",
            "asyncq enqueue TYPE",
        ):
            assert words in command.output
        shop.wait("work 1")
        shop.write(WORK.replace('note("work"', 'note("changed"'))
        shop.wait("changed 1")
        command.send(signal.SIGINT)
        assert command.wait() == 0
    assert not (tmp_path / ".asyncq").exists()


def test_another_redis_takes_the_place_of_the_embedded_one(tmp_path: Path, redis_url: str) -> None:
    """For who has one running anyway."""
    shop = Program(tmp_path)
    shop.write(WORK)
    with Command(tmp_path, "dev", "shop", "--no-web", "--no-reload", ASYNCQ_URL=redis_url) as command:
        shop.wait("work 1")
        assert "Embedded" not in command.output
        assert command.leave() == 0


def test_bad_input() -> None:
    """What makes no sense is said before anything starts."""
    result = CliRunner().invoke(main, ["dev", "shop", "--fresh", "--url", "redis://localhost"])
    assert result.exit_code == 2
    assert "--fresh is about the embedded Valkey" in result.stderr

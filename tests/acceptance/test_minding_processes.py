"""How the parent of processes and its children treat each other when one of them is stuck or dying."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from asyncq import Client, Task
from asyncq.cli import parent as parents
from asyncq.cli.offspring import Offspring
from asyncq.cli.parent import Parent
from asyncq.cli.plan import Plan
from asyncq.cli.probing import _asked
from tests.support.commands import Program
from tests.support.doors import door
from tests.support.servers import is_gone
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

STUCK = """
@mux.handle("stuck")
async def stuck(task):
    note("stuck")
    time.sleep(1000)

app = App(Server(URL), mux)
"""

VERSION = """
note("version {}")
app = App(Server(URL), mux)
"""

LINE = """
import os
import sys
from asyncq.cli.child import ParentLine
from asyncq.cli.plan import Plan

orders, theirs = os.pipe()
ours, reports = os.pipe()
os.write(theirs, Plan(apps=("shop",)).dumps().encode() + b"\\n")
line = ParentLine(orders, reports)
if "heard" in sys.argv:
    line.hear(print)
    line.hear(None)
line._hand_on(sys.argv[1])
sys.exit(3)
"""


async def test_a_reload_kills_a_process_that_is_stuck(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New code would wait for ever otherwise. The task that held it up runs again when its lease is over."""
    monkeypatch.setattr(parents, "RELOAD_PATIENCE", 0.1)
    monkeypatch.setattr(parents, "LAST_PATIENCE", 0.2)
    shop = Program(tmp_path)
    shop.write(STUCK)
    parent = Parent(Plan(apps=("shop",), app_dir=str(tmp_path), url=redis_url), 1)
    life = asyncio.ensure_future(parent.run())
    try:
        await wait_until(lambda: parent.ready, "it to work")
        (old,) = parent.ready
        async with Client(redis_url) as client:
            await client.enqueue(Task("stuck"))
        await wait_until(lambda: shop.noted("stuck"), "it to be stuck")
        await parent.reload()
        await wait_until(lambda: parent.ready and parent.ready[0] is not old, "another to work")
        assert is_gone(old.pid)
    finally:
        for _ in range(3):
            parent.leave()
        await life


async def test_a_reload_reaches_a_process_at_any_moment_of_its_start(tmp_path: Path, redis_url: str) -> None:
    """While it is made, while it loads the program, while it begins: none is lost, and none is left over."""
    shop, version, pids = Program(tmp_path), 1, set[int]()
    shop.write(VERSION.format(version))
    parent = Parent(Plan(apps=("shop",), app_dir=str(tmp_path), url=redis_url, is_reloaded=True), 1)
    life = asyncio.ensure_future(parent.run())

    def is_made() -> bool:
        pids.update(child.pid for child in parent.living)
        return any(not child.report for child in parent.living)

    def has_loaded() -> bool:
        return any(child.report for child in parent.living)

    try:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not parent.living, "it is too late to meet it while it is made"
        for moment in (lambda: True, is_made, has_loaded, lambda: parent.ready):
            for child in parent.living:
                child.kill()
                await wait_until(lambda gone=child: gone not in parent.living, "it to be gone")  # type: ignore[misc]
            await wait_until(moment, "the moment to come")
            version += 1
            shop.write(VERSION.format(version))
            await parent.reload()

            def is_new(number: int = version) -> bool:
                is_made()
                return [child.pid for child in parent.ready] == shop.noted(f"version {number}")[-1:] != []

            await wait_until(is_new, "the new code to work")
        (last,) = parent.living
        assert all(is_gone(pid) for pid in pids - {last.pid})
    finally:
        parent.leave()
        assert await life == 0
    assert is_gone(last.pid)


@pytest.mark.parametrize("word", ["leave", "now"])
def test_a_child_whose_app_has_ended_keeps_its_exit_code(word: str) -> None:
    """To leave is to end at once only before there is an app: it may have ended with an error."""
    codes = [
        subprocess.run([sys.executable, "-c", LINE, word, *more], check=False, timeout=60).returncode
        for more in ([], ["heard"])
    ]
    assert codes == [0, 3]


async def test_a_child_that_goes_away_without_an_answer_is_said_so() -> None:
    """In the list of all, and not by an error of the page."""

    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    child = Offspring(Plan(apps=("shop",)), lambda _: None)
    async with door(hangs_up) as address:
        child.report = {"state": "ready", "probes": f"http://{address}"}
        answer = await _asked(child, "/healthz")
    assert answer["status"] == 0
    assert answer["says"] == "no answer: ConnectionResetError"

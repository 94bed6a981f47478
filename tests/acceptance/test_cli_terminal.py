"""The command line on a real terminal: questions, an editor, a bar, and Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asyncq.sync import Client
from asyncq.task import Task
from tests.acceptance.staging import Stage, set_stage
from tests.support.waiting import wait_until_sync

pytestmark = pytest.mark.acceptance


def test_a_payload_is_changed_in_an_editor(redis_url: str, tmp_path: Path) -> None:
    """What is saved is written, unless somebody was faster; a file that is left as it is changes nothing."""
    stage = set_stage(redis_url)
    task_id = stage.ids["pending"]
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/42/43/ "$1"\n', encoding="ascii")
    editor.chmod(0o700)
    for expected in (0, 1):
        done = subprocess.run(
            [sys.executable, "-m", "asyncq", "task", "edit", task_id, "--editor"],
            env={**os.environ, **stage.environment, "EDITOR": str(editor), "VISUAL": str(editor)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == expected, done.stderr
    assert "nothing was changed" in done.stderr
    assert stage.one("task", "show", task_id)["payload"] == {"user_id": 43}


def test_a_bar_shows_how_far_it_is(redis_url: str) -> None:
    """On a terminal, and it leaves nothing of it behind."""
    with Client(redis_url) as client:
        for number in range(60):
            client.enqueue(Task("x", number, process_in=3600))
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "asyncq",
                "task",
                "runall",
                "-q",
                "default",
                "-s",
                "scheduled",
                "--rate",
                "150/s",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, **Stage(redis_url).environment},
            check=False,
            timeout=60,
        )
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.stdout == b"default: 60 of 60 scheduled tasks run.\n"
    assert re.search(r"default: run scheduled  \[#*\.+\]  \d+ of 60", shown)
    assert shown.rstrip("\r ").endswith("\r") or shown.endswith("\r")


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 1), ("y", 0, 0)])
def test_on_a_terminal_it_asks_and_says_how_many(redis_url: str, answer: str, code: int, left: int) -> None:
    """A real process on a real terminal, with a bar of progress beside it."""
    stage = set_stage(redis_url)
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncq", "task", "delete", "-q", "mail", "-s", "archived", "-s", "retry"],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **stage.environment},
        )
        os.write(ours, f"{answer}\n".encode())
        output, errors = process.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert b"Delete 1 archived task of mail, 1 retry task of mail? [y/N]" in errors
    assert process.returncode == code, output
    assert stage.one("queue", "ls", "mail")["tasks"]["archived"] == left


def test_ctrl_c_at_a_question_is_no(redis_url: str) -> None:
    """At once: the loop that waits for Redis must not keep it."""
    stage = set_stage(redis_url)
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncq", "queue", "rm", "mail", "--force"],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **stage.environment},
        )
        assert process.stderr is not None
        asked = b""
        while b"[y/N]" not in asked:
            asked += os.read(process.stderr.fileno(), 1000) or pytest.fail("it did not ask")

        def is_over() -> bool:
            # One that comes between the question and the reading is seen with the next key only.
            process.send_signal(signal.SIGINT)
            return process.poll() is not None

        wait_until_sync(is_over, "the command to end", 30.0)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(ours)
        os.close(theirs)
    assert process.returncode != 0, errors
    assert stage.one("queue", "ls", "mail")["size"] == 7


def test_ctrl_c_says_how_far_it_came(redis_url: str) -> None:
    """Bulk work may be stopped at any time; what was done is done, and the rest is as it was."""
    with Client(redis_url) as client:
        for number in range(500):
            client.enqueue(Task("x", number, process_in=3600))
    stage = Stage(redis_url)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "asyncq",
            "task",
            "run",
            "-q",
            "default",
            "-s",
            "scheduled",
            "--rate",
            "10/s",
            "--json",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **stage.environment},
    )
    wait_until_sync(
        lambda: stage.one("queue", "ls")["tasks"]["pending"] > 0, "the work to be under way", 60.0
    )
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    done = stage.one("queue", "ls")["tasks"]["pending"]
    assert f"Stopped half-way. default: {done} of 500 scheduled tasks run.".encode() in errors
    (report,) = json.loads(output)["items"]
    assert (report["done"], report["is_complete"]) == (done, False)
    assert 0 < done < 500
    stage.run("doctor")

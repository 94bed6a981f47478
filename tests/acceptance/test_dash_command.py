"""`asyncq dash` as a program in a terminal of its own, and the pictures of it in the guide."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.pages import DOCS
from tools import screenshots

pytestmark = [pytest.mark.acceptance]


def test_it_needs_a_terminal(redis_url: str) -> None:
    """Wrong usage, and what a script uses instead."""
    done = subprocess.run(
        [sys.executable, "-m", "asyncq", "dash", "--url", redis_url],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["nowhere"], 2)])
def test_it_shows_queues_and_leaves(redis_url: str, arguments: list[str], code: int) -> None:
    """In a real terminal, which is as it was afterwards."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncq", "dash", "--url", redis_url, *arguments],
        stdin=follower,
        stdout=follower,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        start_new_session=True,
    )
    os.close(follower)
    try:
        seen = _read_until(leader, b"Queues" if not code else b"is no place")
        if not code:
            os.write(leader, b"q")
            seen += _read_until(leader, b"\x1b[?1049l")
        assert process.wait(timeout=30) == code, seen
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def _read_until(leader: int, what: bytes) -> bytes:
    seen, deadline = b"", time.monotonic() + 40
    while what not in seen:
        ready, _, _ = select.select([leader], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"waited for {what!r}; there was {seen!r}"
        try:
            seen += os.read(leader, 65536)
        except OSError:  # the other end was closed
            break
    assert what in seen, seen
    return seen


_WORDS = {
    "dash-queues": ("Queues", "critical", "PENDING"),
    "dash-task": ("report-2026-10", "payload"),
    "dash-overview": ("Overview,", "Attempts", "95%"),
}


def test_the_pictures_in_the_guide_are_those_of_today(redis_url: str, tmp_path: Path) -> None:
    """They are drawn by hand, and times differ; but the words on them do not."""
    drawn = asyncio.run(screenshots.draw(redis_url, tmp_path))
    assert [path.stem for path in drawn] == list(_WORDS)
    for path in drawn:
        picture = path.read_text(encoding="utf-8")
        kept = (DOCS / "images" / path.name).read_text(encoding="utf-8")
        assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"|<!--.*?-->', "", picture), "it would be fetched"
        for word in _WORDS[path.stem]:
            assert word in picture
            assert word in kept, "draw it anew: python tools/screenshots.py"

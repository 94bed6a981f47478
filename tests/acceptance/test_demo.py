"""`make demo` is the first thing that a stranger runs: it must work everywhere, and tell the truth."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "demo.py"

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(120)]


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return {**kept, **more}


@dataclass(frozen=True)
class Shown:
    """What was seen of one run, and how it ended."""

    text: str
    errors: str
    code: int
    folder: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shown, Shown]:
    """A run into a pipe and one in a terminal, at the same time: each takes as long as a story does."""
    plain, drawn = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("drawn")
    ours, theirs = pty.openpty()
    with (
        subprocess.Popen(
            [sys.executable, "-W", "error", DEMO],
            cwd=plain,
            env=_environment(TMPDIR=str(plain)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as piped,
        subprocess.Popen(
            [sys.executable, "-W", "error", DEMO],
            cwd=drawn,
            env=_environment(TERM="xterm-256color", COLUMNS="120", LINES="50", TMPDIR=str(drawn)),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as pictured,
    ):
        os.close(theirs)
        shown = _read_all(ours)
        code = pictured.wait(10)
        text, errors = piped.communicate(timeout=90)
    os.close(ours)
    return Shown(text, errors, piped.returncode, plain), Shown(shown, "", code, drawn)


def test_the_demo_tells_its_story_in_plain_lines_and_checks_it(runs: tuple[Shown, Shown]) -> None:
    """Into a file or a pipe go lines, one for each thing that happened; the summary finds nothing wrong."""
    done, _ = runs
    assert done.code == 0, done.text + done.errors
    assert "WRONG" not in done.text
    assert done.text.count("  ok   ") == 9
    assert "\x1b" not in done.text, "escape sequences in a file"
    for word in ("placed ", "paid ", "closed ", "report ", "in attempt 2", "the card was refused"):
        assert word in done.text, word
    assert not done.errors
    assert not list(done.folder.iterdir()), "the demo left something behind"


def test_the_demo_draws_a_picture_in_a_terminal(runs: tuple[Shown, Shown]) -> None:
    """With rich and a terminal the same story is a picture that changes."""
    _, done = runs
    assert done.code == 0, done.text
    assert "╭─ news" in done.text
    assert "payments" in done.text
    assert "WRONG" not in done.text
    assert "Traceback" not in done.text


def _read_all(terminal: int) -> str:
    """Everything that was written until the last writer was gone, which Linux reports as an error."""
    chunks: list[bytes] = []
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks).decode(errors="replace")

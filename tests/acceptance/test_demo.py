"""`make demo` is the first thing that a stranger runs: it must work everywhere, and tell the truth."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "demo.py"

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(120)]


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return {**kept, **more}


def test_the_demo_tells_its_story_in_plain_lines_and_checks_it(tmp_path: Path) -> None:
    """Into a file or a pipe go lines, one for each thing that happened; the summary finds nothing wrong."""
    done = subprocess.run(
        [sys.executable, "-W", "error", DEMO],
        cwd=tmp_path,
        env=_environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    assert done.stdout.count("  ok   ") == 9
    assert "\x1b" not in done.stdout, "escape sequences in a file"
    for word in ("placed ", "paid ", "closed ", "report ", "in attempt 2", "the card was refused"):
        assert word in done.stdout, word
    assert not done.stderr
    assert not list(tmp_path.iterdir()), "the demo left something behind"


def test_the_demo_draws_a_picture_in_a_terminal(tmp_path: Path) -> None:
    """With rich and a terminal the same story is a picture that changes."""
    pytest.importorskip("rich")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-W", "error", DEMO],
        cwd=tmp_path,
        env=_environment(TERM="xterm-256color", COLUMNS="120", LINES="50", TMPDIR=str(tmp_path)),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = _read_all(ours)
        code = process.wait(10)
    os.close(ours)
    assert code == 0, shown
    assert "╭─ news" in shown
    assert "payments" in shown
    assert "WRONG" not in shown
    assert "Traceback" not in shown


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

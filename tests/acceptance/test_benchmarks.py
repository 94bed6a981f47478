"""Each benchmark runs, short: one that rotted cannot answer its question when it is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A leading underscore marks what benchmarks share; it answers no question by itself.
BENCHMARKS = sorted(path for path in (ROOT / "benchmarks").glob("*.py") if not path.stem.startswith("_"))

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(180)]


def test_the_benchmarks_were_found() -> None:
    """An empty folder would make the test below pass."""
    assert BENCHMARKS


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmark_runs(path: Path) -> None:
    """`make bench` is a promise; its numbers are judged by people, not by the gate."""
    done = subprocess.run(
        [sys.executable, path, "--short"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
